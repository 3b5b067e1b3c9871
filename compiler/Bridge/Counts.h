//===- Counts.h - The Hugging Face tensors that a configuration implies ---===//
#pragma once

#include "compiler/Transforms/WMapEntries.h"
#include "runtime/core/DType.h"
#include "runtime/core/Error.h"

#include "llvm/ADT/STLFunctionalExtras.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace mbc {

/// Tensors of one name pattern and one shape: a part of an entry's first
/// alternative, over its layers and the batch axes that the name spells.
struct ImpliedFamily {
  wmap::EntryOp entry;
  std::string pattern; ///< "model.layers.{l}.self_attn.q_proj.weight"
  std::string part;    ///< "slot.q"; empty: the whole parameter
  std::vector<int64_t> shape;
  /// Of the block scale stored beside it under the name plus `scaleSuffix`.
  std::optional<std::vector<int64_t>> scaleShape;
  std::string scaleSuffix;
  /// The type that the declaration keeps whatever the model's.
  std::optional<DType> pinned;
  /// A copy of a tied parameter, which a folder may leave out.
  bool optional = false;
  uint64_t count = 0;

  int64_t elements() const;
  int64_t scaleElements() const; ///< 0 without a scale

  /// Calls `fn` with each name and its layer (0 outside of stacks), outermost
  /// index slowest.
  void forEachName(
      llvm::function_ref<void(std::string name, int64_t layer)> fn) const;

  std::vector<mlir::Attribute> segments;
  llvm::SmallVector<wmap::LoopAttr> inner;
};

/// A pattern of tensors that a folder may hold and Megatron does not.
struct ExtraFamily {
  std::string pattern;
  uint64_t count = 0;
  /// Another spelling of the one before: a folder holds one of them.
  bool alternative = false;
};

/// What a folder of this configuration stores.
struct ImpliedTensors {
  std::vector<ImpliedFamily> families;
  std::vector<ExtraFamily> extras;

  uint64_t tensors = 0;  ///< that a folder must hold, scales included
  uint64_t elements = 0; ///< of them
  uint64_t scaleTensors = 0, scaleElements = 0;
  uint64_t optional = 0; ///< tensors that it may hold besides
};

/// Counts for a proved mapping of an elaborated model.
Expected<ImpliedTensors> impliedTensors(nn::ModelOp model,
                                        wmap::MappingOp mapping);

} // namespace mbc
