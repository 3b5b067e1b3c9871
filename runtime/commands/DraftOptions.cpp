//===- DraftOptions.cpp ---------------------------------------------------===//
#include "runtime/commands/DraftOptions.h"

namespace mbc {

/// So that a step of a few sequences stays one of few rows.
constexpr uint64_t mostDraftTokens = 16;

Expected<uint64_t> DraftTexts::parse() const {
  if (!mtp && !draftTokens.empty())
    return inputError("option '--draft-tokens' needs '--mtp'");
  if (draftTokens.empty())
    return mtp ? 1 : 0;
  return parseCount("--draft-tokens", draftTokens, 1, mostDraftTokens);
}

} // namespace mbc
