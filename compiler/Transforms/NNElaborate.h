//===- NNElaborate.h - State of the elaboration of one model ----*- C++ -*-===//
#pragma once

#include "compiler/Transforms/ConfigFile.h"
#include "dialects/NN/Expr.h"
#include "dialects/NN/NNOps.h"

#include "mlir/IR/Builders.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringSet.h"

namespace mbc::nn {

struct ElaborateOptions {
  bool strictConfig = false;
  llvm::StringSet<> accept;
};

/// The first half: values of names, obligations, and the account of fields.
class ConfigEvaluator {
public:
  ConfigEvaluator(ModelOp model, ConfigFile &config,
                  const ElaborateOptions &options)
      : model(model), config(config), options(options),
        builder(model.getContext()) {}

  /// Reports everything that is wrong, then fails.
  mlir::LogicalResult run();

  /// The value of an expression at `loc`; null, with an error unless what it
  /// depends on has failed already.
  mlir::Attribute evaluate(mlir::Attribute expr, mlir::Location loc);
  /// The same, which must be true or false.
  std::optional<bool> evaluateCondition(mlir::Attribute expr,
                                        mlir::Location loc);
  /// Folds what is known; for expressions over a layer index.
  mlir::Attribute substitute(mlir::Attribute expr);
  /// The value for one layer; null with an error.
  mlir::Attribute evaluateLayer(mlir::Attribute expr, llvm::StringRef index,
                                int64_t layer, mlir::Location loc);
  void oblige(llvm::StringRef kind, const std::string &text,
              llvm::StringRef verdict, mlir::Location loc);
  mlir::InFlightDiagnostic error(mlir::Location loc) {
    failed = true;
    return mlir::emitError(loc);
  }
  bool hadError() const { return failed; }
  /// Stores values, fields and obligations in the model.
  void store();

private:
  void evaluateVariant(VariantOp op);
  mlir::Attribute variantRecord(VariantOp op, mlir::DictionaryAttr record,
                                const std::string &path);
  void checkRequire(RequireOp op);
  void checkUnsupported();
  void checkUnknown();
  void markFields(mlir::Attribute expr, FieldUse use);
  mlir::Attribute lookupSymbol(llvm::StringRef name) const;
  std::string foundText(mlir::Attribute expr);

  ModelOp model;
  ConfigFile &config;
  const ElaborateOptions &options;
  mlir::Builder builder;
  llvm::StringMap<mlir::Attribute> values;
  llvm::SmallVector<mlir::Attribute> obligations;
  llvm::StringSet<> broken; ///< names whose evaluation failed
  bool failed = false;
};

/// The second half: replaces every expression of the model by its value.
mlir::LogicalResult makeStatic(ModelOp model, ConfigEvaluator &evaluator);

} // namespace mbc::nn
