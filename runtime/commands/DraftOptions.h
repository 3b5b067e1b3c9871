//===- DraftOptions.h - Guessing tokens ahead -------------------*- C++ -*-===//
#pragma once

#include "runtime/commands/BaseCommand.h"

#include <string>

namespace mbc {

/// The options about drafts, as they were typed.
struct DraftTexts {
  bool mtp = false;
  std::string draftTokens;

  template <typename Self> void declare(ChainedCommand<Self> &command);

  /// Tokens that are drafted ahead; 0: none. An Input error for a number
  /// without --mtp.
  Expected<uint64_t> parse() const;
};

template <typename Self>
void DraftTexts::declare(ChainedCommand<Self> &command) {
  command
      .flag("--mtp", mtp,
            "Let the model's layers for multi-token prediction (DeepSeek-V3) "
            "draft tokens, which are tried at once: the same text, in fewer "
            "steps where drafts are right")
      .option("--draft-tokens", draftTokens, "N",
              "With --mtp: tokens that are drafted ahead, each from the one "
              "before (default: 1)");
}

} // namespace mbc
