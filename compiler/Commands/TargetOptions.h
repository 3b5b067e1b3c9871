//===- TargetOptions.h - How a Megatron checkpoint is written ---*- C++ -*-===//
#pragma once

#include "compiler/Commands/Command.h"

#include <string>

namespace mbc {

/// The texts of the options that say what kind of checkpoint is written.
struct TargetOptions {
  SizeOptions sizes;
  std::string format, layerSpec, experts, mcore, vocabMultiple, firstLayers,
      lastLayers, rank;
  bool embeddingCounts = false, lossCounts = false;

  /// Declares them. `withRank`: --rank too.
  void declare(Command &command, bool withRank);
  /// Refuses what does not go together.
  Expected<MegatronLayout> parse() const;
};

} // namespace mbc
