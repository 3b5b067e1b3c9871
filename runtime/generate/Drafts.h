//===- Drafts.h - Trying guessed tokens -------------------------*- C++ -*-===//
#pragma once

#include "runtime/generate/Executor.h"

namespace mbc::generate {

/// Chooses the tokens of a part that asks for some: `logits` are those of its
/// last `1 + drafts` tokens, and are used up. Each token is chosen as it would
/// be without drafts, with the random number of its place, and the first that
/// is not the draft is the last: what comes after it follows from a wrong
/// token.
Expected<std::vector<Choice>> chooseTokens(std::span<float> logits,
                                           const Part &part);

/// The same where a device has chosen a token after each of the last
/// `1 + drafts`; its id is -1 where the logits are not numbers.
Expected<std::vector<Choice>> takeChosen(std::span<const TokenScore> chosen,
                                         const Part &part);

/// A guess of the token after `text`, the end of which is `chosen` tokens after
/// what the part was given: chosen as the token itself will be, with the same
/// random number. `logits` are used up. -1 where they are not numbers.
int32_t chooseDraft(std::span<float> logits, const Part &part,
                    std::span<const int32_t> text, size_t chosen);

/// Drafts that the executor makes for a part after so many chosen tokens.
int64_t wantedDrafts(const Executor &executor, const Part &part, size_t chosen);

/// The text of a part with the tokens that were chosen, and no drafts.
std::vector<int32_t> textAfter(const Part &part,
                               std::span<const Choice> choices);

} // namespace mbc::generate
