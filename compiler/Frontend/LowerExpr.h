//===- LowerExpr.h - Expressions to attributes ------------------*- C++ -*-===//
#pragma once

#include "compiler/Frontend/NameScope.h"

#include "mlir/Support/LLVM.h"

namespace mbc {

/// Where an expression stands.
struct ExprContext {
  Diagnostics &diagnostics;
  mlir::MLIRContext *context;
  NameScope &names;
  /// In configurations an unknown name is a field, looked up in `objects`
  /// (empty: the file); elsewhere it is an error.
  bool fields = false;
  llvm::ArrayRef<std::string> objects = {};
};

/// Whether `name` is a function of expressions: sqrt, min, ...
bool isExprFunction(llvm::StringRef name);

/// The attribute of an expression (see dialects/NN/Expr.h).
mlir::FailureOr<mlir::Attribute> lowerExpr(const ast::Expr &expr,
                                           const ExprContext &where);

/// The "field" expression of a path of config.json.
mlir::Attribute makeField(mlir::MLIRContext *context, llvm::StringRef path,
                          llvm::ArrayRef<std::string> objects);

} // namespace mbc
