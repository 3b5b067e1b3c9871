//===- Exchange.h - What stands in another's place --------------*- C++ -*-===//
//
// Weights that a converter puts in the wrong place have the right values, so
// that statistics of a model see nothing of them. Where two sets differ, this
// looks for such cases: whole tensors, and slices of tensors along the axes
// that the copy plan gives them, whose contents are those of another place.
// What things are called comes from the plan alone.
//
//===----------------------------------------------------------------------===//
#pragma once

#include "mbc/VerifyReport.h"
#include "runtime/io/PlanPlaces.h"
#include "runtime/io/TensorSet.h"

#include <span>
#include <string>
#include <vector>

namespace mbc {

/// The tensor `holder` holds what `owner` should hold.
struct Holding {
  std::string holder, owner;
};

/// Names exchanges of whole tensors: of layers, experts, parts (gate and up),
/// or of any two; and what holds something else without an exchange. `places`
/// may be null: then by the tensors' names alone.
std::vector<Exchange> nameExchanges(std::span<const Holding> holdings,
                                    const PlanPlaces *places);

/// A tensor in which two sets of equal names differ.
struct Suspect {
  size_t a, b; ///< its index in either set; the shapes are equal
  DType dtype; ///< in which both are read
};

/// Explains differences between two sets: exchanged and misplaced tensors, then
/// heads, experts, rows and other slices, and axes in another order (transposed
/// matrices). A slice is one index, or one tuple of neighbouring axes; of
/// several explanations of a tensor that with the fewest slices is given.
/// Nothing is said of a tensor that no exchange explains entirely, nor where
/// equal contents leave the choice open.
///
/// Tensors are read once more, and up to `sliceBudget` elements of those that
/// are not explained as a whole a second time; later ones are not looked into.
Expected<std::vector<Exchange>> findExchanges(const TensorSet &a,
                                              const TensorSet &b,
                                              std::span<const Suspect> suspects,
                                              const PlanPlaces *places,
                                              unsigned threads);
constexpr int64_t sliceBudget = int64_t(1) << 28;

} // namespace mbc
