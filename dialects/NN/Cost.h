//===- Cost.h - What operators cost -----------------------------*- C++ -*-===//
#pragma once

#include "dialects/NN/NNDialect.h"

#include "mlir/IR/Value.h"
#include "mlir/Support/LLVM.h"

#include <cstdint>

namespace mbc::nn {

class RopeOp;

/// Bytes of the elements whose kind leaves them open.
struct ElementSizes {
  uint64_t activation = 4, weight = 4;

  /// Of all elements of a static value: i32 and f32 are 4 bytes, and so are
  /// weights that are pinned to f32 and the results of an entry.
  uint64_t bytesOf(mlir::Value value) const;
};

/// One execution of an operator, over all rows.
struct OpCost {
  llvm::StringRef form; ///< "absorbed"; empty where there is one form
  uint64_t flops = 0;   ///< multiplications and additions of matrix products
  uint64_t attentionFlops = 0; ///< likewise, if each row attends to one token
  uint64_t contextFlops = 0;   ///< likewise, for each token of the state
  uint64_t movedBytes = 0;     ///< activations read and written
  uint64_t weightBytes = 0;    ///< of its weights as a whole
  uint64_t readBytes = 0;      ///< of its weights, those that it reads at most
  uint64_t stateBytes = 0;     ///< added to the state

  /// Operations where every row attends to `context` tokens of one state.
  uint64_t flopsWith(uint64_t context) const {
    return flops + context * (attentionFlops + contextFlops);
  }
};

/// What a rope's cosines and sines depend on besides positions: rotations with
/// equal keys and positions share one table, [rows, width] of f32.
mlir::Attribute angleKey(RopeOp op);
/// The last axis, which is rotated.
int64_t angleWidth(RopeOp op);

} // namespace mbc::nn
