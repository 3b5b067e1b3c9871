//===- MatchTensors.h - Which tensor of a folder is which ------*- C++ -*-===//
#pragma once

#include "compiler/Bridge/Counts.h"
#include "runtime/io/TensorSet.h"

#include "llvm/ADT/SmallVector.h"

#include <string>
#include <vector>

namespace mbc {

/// Tensors whose names differ in numbers alone and that have one shape. Only a
/// number between dots is an index: "h.3.ln_1" has one.
struct TensorGroup {
  std::vector<std::string> literals; ///< one more than indices
  std::vector<int64_t> shape;
  std::vector<llvm::SmallVector<int64_t>> tuples; ///< ascending

  /// "h.{l}.ln_1", the indices in the order of `names`; "{#}" without one.
  std::string pattern(llvm::ArrayRef<llvm::StringRef> names) const;
};
std::vector<TensorGroup> groupTensors(const TensorSet &set);

/// What the headers say of one family of tensors that a declaration implies.
struct FamilyMatch {
  /// Groups that may be it: one where shape, indices and names leave no doubt.
  std::vector<size_t> groups;
};

/// A guess for each of `families`. Shapes and indices must be equal; where that
/// leaves several, common names of the same thing decide (wq, q_proj, query);
/// and where they do not either, all that are equally good are given.
std::vector<FamilyMatch>
matchFamilies(const std::vector<ImpliedFamily> &families,
              const std::vector<TensorGroup> &groups);

} // namespace mbc
