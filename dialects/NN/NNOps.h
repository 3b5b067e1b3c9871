//===- NNOps.h - Declarations and operators of a model ----------*- C++ -*-===//
#pragma once

#include "dialects/NN/AxisRules.h"
#include "dialects/NN/Cost.h"
#include "dialects/NN/PartitionRules.h"

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

namespace mbc::nn::detail {
/// (N48) The results of an operator are what its rule gives, placements aside.
mlir::LogicalResult verifyAxisRule(mlir::Operation *op);
} // namespace mbc::nn::detail

#include "dialects/NN/NNInterfaces.h.inc"

#define GET_OP_CLASSES
#include "dialects/NN/NNOps.h.inc"

namespace mbc::nn {
/// Whether the operation computes each row from the same rows alone, and is for
/// a cluster (N54).
bool isRowOp(mlir::Operation *op);

/// Whether callers can follow the rows of a value: one for each token, or one
/// for each expert that a token has, which they see in the tokens' order.
bool canBeSeen(TensorType type);
} // namespace mbc::nn
