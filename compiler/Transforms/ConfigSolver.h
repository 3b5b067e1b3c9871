//===- ConfigSolver.h - A configuration from what it must give --*- C++ -*-===//
#pragma once

#include "compiler/Transforms/ConfigFile.h"
#include "dialects/NN/NNOps.h"

#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringSet.h"

#include <map>
#include <string>
#include <vector>

namespace mbc::nn {

/// Solves a declared model for the fields of config.json: given values of
/// expressions over its names, finds names and fields, by undoing one operator
/// after another until nothing new comes out. What it finds is a proposal,
/// proved by evaluating the model forwards on the result.
class ConfigSolver {
public:
  explicit ConfigSolver(ModelOp model);

  /// Demands that `expr` is `value`. `source` says why, as the subject of a
  /// sentence: "field 'num_layers' = 4".
  /// With `when`, once that is known to hold.
  void demand(mlir::Attribute expr, mlir::Attribute value, std::string source,
              mlir::Attribute when = {});
  void solve();

  /// Two demands that cannot both hold, as sentences.
  const std::vector<std::string> &contradictions() const { return conflicts; }
  /// Whether a demand said what the name is.
  bool isKnown(llvm::StringRef name) const { return names.count(name); }
  /// Whether a demand said what the field, or something below it, is.
  bool isKnownField(llvm::StringRef path) const;

  /// `expr` with what is known in it.
  mlir::Attribute fold(mlir::Attribute expr) const;
  /// Sets a field that no demand gave; the others keep what was found.
  void assume(llvm::StringRef path, mlir::Attribute value);
  /// The value of an expression over names with what is known, defaults for
  /// the rest; null where a field without default is needed.
  mlir::Attribute complete(mlir::Attribute expr);
  /// Names whose definitions need a field that is neither known nor has a
  /// default.
  std::vector<std::string> unresolved();

  /// The fields found, as the members of a config.json, sorted by name.
  Json fields() const;
  /// The path under which a "field" expression is written.
  static std::string writtenPath(mlir::Attribute field);

private:
  struct Known {
    mlir::Attribute value;
    std::string source;
  };
  struct Demand {
    mlir::Attribute expr, value;
    std::string source;
    mlir::Attribute when;
  };

  bool mayBe(mlir::Attribute expr, mlir::Attribute value) const;
  void push(mlir::Attribute expr, mlir::Attribute value,
            const std::string &source);
  void pushOperation(ExprAttr expr, mlir::Attribute value,
                     const std::string &source);
  void pushChoice(ExprAttr expr, mlir::Attribute value,
                  const std::string &source);
  void pushLogic(ExprAttr expr, bool value, const std::string &source);
  void pushEquality(ExprAttr expr, bool equal, const std::string &source);
  void pushArithmetic(ExprAttr expr, int64_t value, const std::string &source);
  void pushLayers(ExprAttr expr, mlir::Attribute value,
                  const std::string &source);
  void learn(llvm::StringRef name, mlir::Attribute value,
             const std::string &source);
  void learnField(const std::string &path, mlir::Attribute value,
                  const std::string &source);
  void propagateDefinitions();
  void conflict(std::string text);
  std::string originsOf(mlir::Attribute expr) const;
  /// Values of all names with defaults for what is not known; `open` gets the
  /// names that have none.
  llvm::StringMap<mlir::Attribute>
  completeNames(std::vector<std::string> *open);

  ModelOp model;
  std::vector<Demand> demands;
  llvm::StringMap<Known> names;
  std::map<std::string, Known> fieldValues;
  llvm::StringMap<mlir::Attribute> dims;
  /// Record name -> its path and the name of its tag.
  llvm::StringMap<std::pair<std::string, std::string>> records;
  std::vector<std::string> conflicts;
  bool changed = false, guessing = false;
};

} // namespace mbc::nn
