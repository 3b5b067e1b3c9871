//===- AxisRulesImpl.h - Helpers of the axis rules --------------*- C++ -*-===//
#pragma once

#include "dialects/NN/AxisRules.h"

namespace mbc::nn {

using Axes = llvm::ArrayRef<AxisAttr>;

/// "[tokens, hidden]"
std::string axesText(Axes axes);
/// Empty when equal, else "expected [hidden], found [ffn]" or, for equal
/// names, what size or parts of the first different axis are.
std::string mismatch(Axes expected, Axes found);
/// A value with these axes.
TensorType activation(mlir::MLIRContext *ctx, Axes axes,
                      llvm::StringRef elem = "act");
/// Refuses weights with batch or in axes where a vector or value is needed.
mlir::LogicalResult expectFlat(EmitErrorFn emit, TensorType type,
                               llvm::StringRef what);
/// Refuses anything but a value (no weight).
mlir::LogicalResult expectValue(EmitErrorFn emit, TensorType type,
                                llvm::StringRef what);
/// Refuses a value that is not of integers.
mlir::LogicalResult expectIds(EmitErrorFn emit, TensorType type,
                              llvm::StringRef what);

} // namespace mbc::nn
