//===- ExprFold.h - Operations on configuration values ----------*- C++ -*-===//
#pragma once

#include "mlir/IR/BuiltinAttributes.h"
#include "llvm/ADT/StringRef.h"

#include <string>

namespace mbc::nn {

/// Whether `attr` is a value: no symbol and no expression in it.
bool isValue(mlir::Attribute attr);

mlir::Attribute floatValue(mlir::MLIRContext *ctx, double value);
mlir::Attribute boolValue(mlir::MLIRContext *ctx, bool value);
/// Integers and floats compare by value; no string equals a number.
bool equalValues(mlir::Attribute a, mlir::Attribute b);

/// The value of `op` on values; null and a reason without one.
mlir::Attribute foldValues(mlir::MLIRContext *ctx, llvm::StringRef op,
                           llvm::ArrayRef<mlir::Attribute> operands,
                           std::string &why);

} // namespace mbc::nn
