//===- RandomTensors.h - Weights that nobody trained ------------*- C++ -*-===//
//
// Counter-based: the value of an element depends on the seed, the name of its
// tensor and its index, and on nothing else.
//
//===----------------------------------------------------------------------===//
#pragma once

#include "runtime/io/TensorSet.h"

#include <cstdint>
#include <span>

namespace mbc {

enum class RandomKind {
  Weight, ///< bell-shaped around 0
  Norm,   ///< bell-shaped around 1, a tenth wide
  Scale   ///< positive: block scales of FP8 weights
};

struct RandomTensor {
  TensorInfo info;
  RandomKind kind = RandomKind::Weight;
  /// The tensor that this one is a copy of; empty: none.
  std::string original = "";
};

/// Fills `out` with elements from `begin` on, as many as fit. Weights of type
/// F8_E4M3 are random bytes, but no NaN; other types are BF16, F16 and F32.
/// `deviation`: the standard deviation of weights.
void fillRandom(const RandomTensor &tensor, uint64_t seed, float deviation,
                int64_t begin, std::span<std::byte> out);

} // namespace mbc
