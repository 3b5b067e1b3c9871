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

  /// What they say, as options of the library (BridgeOptions) or of one
  /// checkpoint (OpenOptions), which has no hub ids.
  template <typename Options> Status addTo(Options &options) const;
  /// Of one checkpoint, what these and the common options say of it; a hub id
  /// of --hf-model becomes its folder.
  Expected<OpenOptions> openOptions(const CommonOptions &common) const;
};

/// The number of --iteration; none when `text` is empty.
Expected<std::optional<uint64_t>> parseIteration(std::string_view text);

template <typename Options>
Status ReferenceOptions::addTo(Options &options) const {
  options.hfModel = hfModel;
  options.model = model;
  if (!vocabulary.empty()) {
    MBC_ASSIGN(options.vocabulary,
               parseCount("--vocab-size", vocabulary, 1, uint64_t(1) << 40));
  }
  MBC_ASSIGN(options.iteration, parseIteration(iteration));
  return {};
}

} // namespace mbc
