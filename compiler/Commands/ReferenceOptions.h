//===- ReferenceOptions.h - What stands in for a missing side ---*- C++ -*-===//
#pragma once

#include "compiler/Commands/Command.h"

namespace mbc {

/// The flags that say what a Megatron checkpoint leaves open.
struct ReferenceOptions {
  std::string hfModel, model, vocabulary, iteration;

  /// Adds --hf-model, --model, --vocab-size and --iteration.
  void declare(Command &command, const char *hfModelHelp);
  static void declareIteration(Command &command, std::string &iteration);

  /// What they say, as options of the library.
  Status addTo(BridgeOptions &options) const;
};

/// The number of --iteration; none when `text` is empty.
Expected<std::optional<uint64_t>> parseIteration(std::string_view text);

} // namespace mbc
