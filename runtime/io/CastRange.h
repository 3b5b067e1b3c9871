//===- CastRange.h - What a cast would turn into infinity -------*- C++ -*-===//
#pragma once

#include "runtime/io/TensorSet.h"

#include <span>

namespace mbc {

/// A tensor with finite values that its new type rounds to infinity.
struct Overflow {
  std::string name;
  DType dtype; ///< the new type
  int64_t elements;
  int64_t first; ///< row-major position of the first of them
  double value;  ///< its value
};

/// Looks at every tensor of `set` whose type in `dtypes` (one for each) reaches
/// less far than its own, FP8 as values; in the order of the set.
Expected<std::vector<Overflow>> findOverflow(const TensorSet &set,
                                             std::span<const DType> dtypes,
                                             unsigned threads);

/// The Input error that names what `findOverflow` has found; success for none.
Status refuseOverflow(const std::vector<Overflow> &found);

} // namespace mbc
