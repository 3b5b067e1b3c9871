//===- RopeTables.h - Inverse frequencies of rotary positions ---*- C++ -*-===//
#pragma once

#include "mlir/IR/BuiltinAttributes.h"
#include "llvm/ADT/STLFunctionalExtras.h"

#include <optional>
#include <vector>

namespace mbc {

/// How far each pair turns a position, and what cosines and sines are
/// multiplied with.
struct RopeTable {
  std::vector<float> invFreq; ///< radians, one a pair
  double attentionFactor = 1;
  /// theta, factor, original length: beyond it the base grows (dynamic NTK).
  std::optional<std::array<double, 3>> dynamic;
  std::vector<int64_t> axis; ///< of several position numbers, which one
  int64_t numbers = 1;       ///< that a position has
};

/// The table for heads of `dim` numbers. `scaling` is unit (none), or the
/// record of a `variant scaling` of models/rope.mbc: a dictionary with `type`.
/// `axial`: the first half of the pairs turns by the first of two position
/// numbers, the second by the second.
/// Sources: rotary embeddings (arXiv 2104.09864), YaRN (2309.00071), the
/// Llama 3.1 release; all in float32 as transformers computes them.
std::optional<RopeTable> ropeTable(int64_t dim, double theta,
                                   mlir::Attribute scaling, bool axial,
                                   llvm::function_ref<void(std::string)> error);

} // namespace mbc
