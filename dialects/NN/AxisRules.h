//===- AxisRules.h - What each operator asks of the axes --------*- C++ -*-===//
//
// One function an operator, used by the verifier and by the front end: it
// checks the operands and gives the type of the result. Axes are matched by
// name, size and parts. Errors are without the place, which `emit` knows.
//
//===----------------------------------------------------------------------===//
#pragma once

#include "dialects/NN/NNDialect.h"

#include "mlir/IR/Diagnostics.h"

namespace mbc::nn {

using EmitErrorFn = llvm::function_ref<mlir::InFlightDiagnostic()>;
using AxisResult = mlir::FailureOr<TensorType>;
using AxisResults = mlir::FailureOr<llvm::SmallVector<TensorType>>;

AxisResult inferEmbedding(EmitErrorFn emit, TensorType ids, TensorType weight);
/// `bias` may be null.
AxisResult inferLinear(EmitErrorFn emit, TensorType x, TensorType weight,
                       TensorType bias);
/// `bias` is null for `rms_norm`.
AxisResult inferNorm(EmitErrorFn emit, TensorType x, TensorType weight,
                     TensorType bias);
AxisResults inferSplit(EmitErrorFn emit, TensorType x, llvm::StringRef axis);
AxisResult inferJoin(EmitErrorFn emit, AxisAttr axis,
                     llvm::ArrayRef<TensorType> parts);
/// `positions` may be null.
AxisResults inferRope(EmitErrorFn emit, TensorType q, TensorType k,
                      TensorType positions);
/// `windows` may be null.
AxisResult inferAttention(EmitErrorFn emit, TensorType q, TensorType k,
                          TensorType v, TensorType windows);
AxisResult inferMLAAttention(EmitErrorFn emit, TensorType qNope,
                             TensorType qRope, TensorType latent,
                             TensorType kRope, TensorType up);
/// One operand and a scalar, or as many operands as `kind` has.
AxisResult inferMap(EmitErrorFn emit, llvm::StringRef kind,
                    llvm::ArrayRef<TensorType> inputs, bool scalar);
/// `correction` may be null.
AxisResults inferRoute(EmitErrorFn emit, TensorType logits,
                       TensorType correction, mlir::Attribute topk);
AxisResult inferDispatch(EmitErrorFn emit, TensorType x, TensorType idx);
AxisResult inferGroupedLinear(EmitErrorFn emit, TensorType x,
                              TensorType weight);
AxisResult inferCombine(EmitErrorFn emit, TensorType y, TensorType weights,
                        TensorType idx);
AxisResult inferMerge(EmitErrorFn emit, TensorType x, mlir::Attribute count,
                      llvm::StringRef axis);
AxisResult inferPlace(EmitErrorFn emit, TensorType x, TensorType features,
                      TensorType ids);
AxisResult inferShift(EmitErrorFn emit, TensorType ids);
AxisResult inferReorder(EmitErrorFn emit, TensorType x, TensorType order);
AxisResult inferTake(EmitErrorFn emit, TensorType x, TensorType rows);
AxisResult inferCrossEntropy(EmitErrorFn emit, TensorType logits,
                             TensorType labels);

/// The axis has a well-formed name, a size and, if any, parts.
mlir::LogicalResult verifyAxis(EmitErrorFn emit, AxisAttr axis);
/// No axis twice on a side, nor in batch and out; activations have out only.
mlir::LogicalResult verifyTensor(EmitErrorFn emit, TensorType type);
/// The target "axis" or "axis.part" of a parameter, or an error.
mlir::LogicalResult verifyShardTarget(EmitErrorFn emit, TensorType type,
                                      llvm::StringRef target);

} // namespace mbc::nn
