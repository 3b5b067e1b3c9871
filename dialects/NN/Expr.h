//===- Expr.h - Building and evaluating configuration expressions -*- C++
//-*-===//
//
// An expression is an attribute (see NN_ExprAttr). Integer sums and products
// are kept as canonical polynomials: equal sizes are pointer-equal, and
// `d * (n / d)` folds to `n`, as integer quotients are exact.
//
//===----------------------------------------------------------------------===//
#pragma once

#include "mlir/IR/BuiltinAttributes.h"
#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/ADT/StringRef.h"

#include <optional>
#include <string>

namespace mbc::nn {

/// Operators and functions: "+", "-", "*", "/", "%", "neg", "!", "==", "!=",
/// "<", "<=", ">", ">=", "in", "&&", "||", "??", "|", "?:", "[]", ".field"
/// (operand 1: StringAttr), "field" (operand 0: StringAttr path; the rest:
/// StringAttr paths of the objects to look in, "self" for the file), "sqrt",
/// "log", "all" (list, value), "ceil_div", "round_up", "min", "max", "len",
/// "float", "per_layer" (operand
/// 0: StringAttr index name, 1: count, 2: body).
/// Folds constants and canonicalises; the result may be a leaf.
mlir::Attribute buildExpr(mlir::MLIRContext *ctx, llvm::StringRef op,
                          llvm::ArrayRef<mlir::Attribute> operands);

mlir::Attribute intExpr(mlir::MLIRContext *ctx, int64_t value);
/// The value of an integer leaf.
std::optional<int64_t> asInt(mlir::Attribute expr);

/// Infix text, as the `.mbc` source would say it: "kv_heads * (group + 2)".
std::string exprText(mlir::Attribute expr);
/// "heads = 8", and "8" for a literal.
std::string exprText(mlir::Attribute expr, mlir::Attribute value);

/// Calls `fn` on every symbol name in the expression.
void forEachSymbol(mlir::Attribute expr,
                   llvm::function_ref<void(llvm::StringRef)> fn);
/// Calls `fn` on every "field" operation in the expression.
void forEachField(mlir::Attribute expr,
                  llvm::function_ref<void(mlir::Attribute)> fn);

/// What names and fields mean. A name that is not there: null attribute.
struct ExprEnvironment {
  llvm::function_ref<mlir::Attribute(llvm::StringRef symbol)> symbol;
  /// Gets the "field" operation; UnitAttr when absent or null.
  llvm::function_ref<mlir::Attribute(mlir::Attribute field)> field;
  /// Told by `evaluate` of every integer quotient whose value is needed, before
  /// it is found exact or not. May be empty.
  llvm::function_ref<void(mlir::Attribute quotient, int64_t dividend,
                          int64_t divisor)>
      quotient = nullptr;
};

/// Replaces what the environment knows and folds. Never fails: what cannot be
/// folded stays an expression.
mlir::Attribute substitute(mlir::Attribute expr, const ExprEnvironment &env);

/// `substitute`, and the result must be a value: int, float, string, bool,
/// none, list or record. On failure returns null and sets `why`: "heads = 8 is
/// not a multiple of kv_heads = 3", "config field 'x' is missing".
mlir::Attribute evaluate(mlir::Attribute expr, const ExprEnvironment &env,
                         std::string &why);

} // namespace mbc::nn
