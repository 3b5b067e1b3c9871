//===- Runs.h - Layers of a stack, by kind ----------------------*- C++ -*-===//
#pragma once

#include "mlir/IR/BuiltinAttributes.h"
#include "llvm/ADT/SmallVector.h"

namespace mbc {

/// The layers, ascending, that the body `kind` is for, in runs [kind, first
/// layer, count] that follow each other.
inline llvm::SmallVector<int64_t> layersOfKind(mlir::ArrayAttr runs,
                                               int64_t kind) {
  llvm::SmallVector<int64_t> layers;
  for (auto run : runs.getAsRange<mlir::DenseI64ArrayAttr>())
    if (run[0] == kind)
      for (int64_t i = 0; i < run[2]; ++i)
        layers.push_back(run[1] + i);
  return layers;
}

/// The first of `layers` that is none of `declared`, both ascending.
inline std::optional<int64_t> firstLayerNotIn(llvm::ArrayRef<int64_t> declared,
                                              llvm::ArrayRef<int64_t> layers) {
  for (int64_t layer : layers)
    if (!std::binary_search(declared.begin(), declared.end(), layer))
      return layer;
  return std::nullopt;
}

} // namespace mbc
