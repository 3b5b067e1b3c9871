//===- ModelLowering.h - One model on its way to nn operations --*- C++ -*-===//
//
// The state that the files Lower{Config,Param,Body,Call,Operator}.cpp share.
// Numbers L.. are those of README.md.
//
//===----------------------------------------------------------------------===//
#pragma once

#include "compiler/Frontend/LowerExpr.h"
#include "compiler/Frontend/LowerModel.h"
#include "dialects/NN/AxisRules.h"
#include "dialects/NN/NNOps.h"

#include "mlir/IR/Builders.h"
#include "llvm/ADT/SmallPtrSet.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringSet.h"

namespace mbc {

/// What an expression in a body is: a value, or a scalar attribute.
struct Operand {
  mlir::Value value;
  mlir::Attribute scalar;
  bool isNone() const { return scalar && llvm::isa<mlir::UnitAttr>(scalar); }
};
using Operands = llvm::SmallVector<Operand>;

/// Names of one body: of a block, of layers or of a function.
struct BodyScope {
  explicit BodyScope(NameScope *outer) : names(outer) {}

  std::string qualifier; ///< "Attention": in the names of its dims
  NameScope names;
  llvm::StringMap<Operand> values;
  llvm::StringMap<nn::ParamOp> params;
  llvm::StringMap<llvm::SMLoc> paramLocs;
  llvm::StringMap<nn::AxisAttr> sumAxes;
  llvm::StringMap<llvm::SMLoc> instances;
};

/// A block or stack while its body is lowered, to find recursion.
struct Activation {
  llvm::StringRef name;
  llvm::SMLoc call;
};

class ModelLowering {
public:
  ModelLowering(const ast::Model &model, llvm::StringRef file,
                ModelSources &sources, Diagnostics &diagnostics,
                mlir::OpBuilder &builder, NameScope &names)
      : model(model), file(file), sources(sources), diagnostics(diagnostics),
        builder(builder), context(builder.getContext()), names(names),
        top(&names) {}

  nn::ModelOp lower();

private:
  friend class OperatorCall;

  // LowerModel.cpp
  mlir::Location at(llvm::SMLoc loc) const { return diagnostics.at(loc); }
  mlir::InFlightDiagnostic error(llvm::SMLoc loc) {
    return diagnostics.error(loc);
  }
  mlir::LogicalResult declare(const ast::Ident &name);
  void collectBlocks();
  void checkTies();
  void checkUnused();

  // LowerConfig.cpp
  void lowerConfig(const std::vector<ast::ConfigEntry> &entries,
                   llvm::ArrayRef<std::string> objects, bool own,
                   llvm::StringRef from);
  void lowerUses(const std::vector<ast::Use> &uses,
                 llvm::ArrayRef<std::string> objects, llvm::StringRef from);
  void lowerEntry(const ast::ConfigDef &entry,
                  llvm::ArrayRef<std::string> objects, bool own);
  void lowerEntry(const ast::Require &entry,
                  llvm::ArrayRef<std::string> objects);
  void lowerEntry(const ast::Inert &entry, llvm::ArrayRef<std::string> objects);
  void lowerEntry(const ast::Unsupported &entry,
                  llvm::ArrayRef<std::string> objects);
  void lowerEntry(const ast::Variant &entry,
                  llvm::ArrayRef<std::string> objects, bool own);
  void lowerLibraryConfig(const LibrarySource &library,
                          llvm::ArrayRef<std::string> objects);
  void lowerDim(const ast::Dim &dim, NameScope &scope,
                llvm::StringRef qualifier, bool own);
  ExprContext configContext(llvm::ArrayRef<std::string> objects) {
    return {diagnostics, context, names, /*fields=*/true, objects};
  }

  // LowerParam.cpp
  void lowerParam(const ast::Param &param, BodyScope &scope);
  mlir::FailureOr<nn::AxisAttr> lowerAxis(const ast::Axis &axis,
                                          BodyScope &scope);
  mlir::FailureOr<nn::AxisAttr> lowerSumAxis(const ast::Axis &axis,
                                             BodyScope &scope);
  mlir::LogicalResult lowerSide(const std::vector<ast::Axis> &axes,
                                BodyScope &scope,
                                llvm::SmallVectorImpl<nn::AxisAttr> &out);
  mlir::ArrayAttr lowerShards(const ast::Param &param, nn::TensorType type);
  mlir::FailureOr<mlir::Attribute> lowerSize(const ast::Expr &expr,
                                             BodyScope &scope);
  mlir::FailureOr<mlir::Attribute> lowerScalar(const ast::Expr &expr,
                                               BodyScope &scope);

  // LowerBody.cpp
  mlir::LogicalResult lowerItems(const std::vector<ast::BodyItem> &items,
                                 BodyScope &scope);
  mlir::LogicalResult lowerStmt(const ast::Stmt &stmt, BodyScope &scope);
  mlir::LogicalResult assign(const ast::Ident &target, const Operand &operand,
                             BodyScope &scope);
  mlir::FailureOr<Operands> lowerValues(const ast::Expr &expr,
                                        BodyScope &scope);
  mlir::FailureOr<Operand> lowerOperand(const ast::Expr &expr,
                                        BodyScope &scope);
  mlir::FailureOr<mlir::Value> lowerValue(const ast::Expr &expr,
                                          BodyScope &scope);
  mlir::FailureOr<Operand> lowerArithmetic(const ast::Expr &expr,
                                           BodyScope &scope);
  mlir::FailureOr<Operands> lowerChoice(const ast::Expr &expr,
                                        BodyScope &scope);
  mlir::FailureOr<Operands> lowerBranch(const ast::Expr &expr, BodyScope &scope,
                                        mlir::Region &region);
  bool isTensor(const ast::Expr &expr, BodyScope &scope);

  // LowerCall.cpp
  mlir::FailureOr<Operands> lowerCall(const ast::Expr &call, BodyScope &scope);
  mlir::FailureOr<Operands> lowerBlockCall(const ast::Expr &call,
                                           const ast::Block &block,
                                           BodyScope &scope);
  mlir::FailureOr<Operands>
  lowerRun(const ast::Expr &call, const ast::Layers &layers, BodyScope &scope);
  nn::BlockOp instantiate(const ast::Block &block, const ast::Expr &call,
                          llvm::ArrayRef<mlir::Attribute> dims,
                          llvm::ArrayRef<nn::TensorType> types);
  nn::LayersOp lowerLayers(const ast::Layers &layers, llvm::SMLoc call,
                           llvm::ArrayRef<nn::TensorType> types);
  void lowerFunction(const ast::Function &function);
  mlir::FailureOr<nn::TensorType> lowerFormal(const ast::Formal &formal,
                                              BodyScope &scope);
  mlir::LogicalResult checkArguments(const ast::Expr &call,
                                     llvm::ArrayRef<ast::Formal> formals,
                                     llvm::ArrayRef<nn::TensorType> types,
                                     BodyScope &inner);
  mlir::FailureOr<llvm::SmallVector<mlir::Value>>
  lowerArguments(const ast::Expr &call, unsigned expected, BodyScope &scope);
  mlir::LogicalResult enter(llvm::StringRef name, llvm::SMLoc call);

  const ast::Model &model;
  llvm::StringRef file;
  ModelSources &sources;
  Diagnostics &diagnostics;
  mlir::OpBuilder &builder;
  mlir::MLIRContext *context;
  NameScope &names;
  BodyScope top; ///< parameters and sum axes of the model

  nn::ModelOp op;
  mlir::Operation *current = nullptr; ///< new bodies come before this one
  llvm::StringMap<llvm::SMLoc> declared;
  llvm::StringMap<const ast::Block *> blocks;
  llvm::StringMap<nn::BlockOp> instances; ///< by name and arguments
  llvm::StringMap<unsigned> instanceNames;
  llvm::StringMap<nn::LayersOp> stacks;
  llvm::SmallPtrSet<const void *, 16> usedBodies;
  llvm::SmallVector<Activation> active;
  llvm::SmallVector<std::pair<nn::ParamOp, const ast::Param *>> ties;
  llvm::SmallVector<nn::TensorType> forwardTypes;
  /// Used libraries in order; their configuration once for each place where
  /// its fields are looked up, which the set remembers.
  llvm::SmallVector<const ast::Library *> libraries;
  llvm::StringSet<> loweredLibraries;
};

} // namespace mbc
