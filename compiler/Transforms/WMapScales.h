//===- WMapScales.h - The block scales of a mapping -------------*- C++ -*-===//
#pragma once

#include "compiler/Transforms/WMapEntries.h"

#include "llvm/ADT/SmallVector.h"

#include <optional>
#include <string>
#include <vector>

namespace mbc::wmap {

/// True for the type (spelled as in a header) of weights with block scales.
bool isScaledType(llvm::StringRef dtype);

/// What a mapping's `scaled` clause says under one configuration.
struct Scales {
  /// Of the names of scales; empty: the mapping knows none.
  std::string suffix;
  /// Rows and columns of a block; empty: the configuration asks for none.
  llvm::SmallVector<int64_t> blocks;
  /// The clause.
  ScaleOp op;

  bool stored() const { return !blocks.empty(); }
  /// The shape of the scales of a tensor.
  std::vector<int64_t> shapeOf(llvm::ArrayRef<int64_t> shape) const;

  /// For an elaborated model. None, with the reason, where the clause does not
  /// evaluate to two positive block sizes.
  static std::optional<Scales> of(nn::ModelOp model, MappingOp mapping,
                                  std::string &why);
};

} // namespace mbc::wmap
