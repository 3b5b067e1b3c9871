//===- Sampler.h - From logits to the next token ----------------*- C++ -*-===//
#pragma once

#include "runtime/core/Error.h"
#include "runtime/program/Drawing.h"

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace mbc::generate {

/// How a token is chosen. The meaning and the order of the settings are those
/// of transformers' logits processors: the repetition penalty, then, where a
/// token is drawn, temperature, top-k, top-p and min-p.
struct Sampling {
  /// Draw a token; otherwise the largest logit is taken, the first of equals.
  bool draw = false;
  double temperature = 1; ///< > 0
  uint64_t topK = 0;      ///< 0: all
  double topP = 1;        ///< (0, 1], 1: all
  double minP = 0;        ///< [0, 1], 0: all
  /// Logits of tokens that the text has are divided by it where positive and
  /// multiplied where negative; > 0, 1: none.
  double repetitionPenalty = 1;
  uint64_t seed = 0;

  bool operator==(const Sampling &) const = default;
};

/// An Input error for a value outside of its range; `where` begins it.
Status checkSampling(const Sampling &sampling, std::string_view where);

/// A token and the logarithm of its probability.
struct TokenScore {
  int32_t id = 0;
  float logprob = 0;
};

/// A chosen token.
struct Choice {
  TokenScore token;
  /// The most probable tokens, the best first.
  std::vector<TokenScore> top;
};

/// What the choice of one token depends on, besides its logits.
struct ChoiceContext {
  const Sampling *sampling = nullptr;
  /// Prompt and generated tokens: what the repetition penalty looks at.
  std::span<const int32_t> text;
  /// Number of the token in what is generated, from 0. With the seed it is all
  /// that decides the random number: neither the place in a batch nor what else
  /// is computed does.
  uint64_t step = 0;
  /// Log-probabilities, of the model before any setting: none where < 0, of the
  /// chosen token and of so many best ones else.
  int32_t logprobs = -1;
};

/// Whether the choice follows from the logits, the settings and the random
/// number, and of other tokens nothing is asked: a device can make it.
bool needsLogitsAlone(const ChoiceContext &context);

/// What a device that chooses has to know of the choice, where
/// `needsLogitsAlone`.
Drawing drawingOf(const ChoiceContext &context);

/// The error for logits of the token after `count` others that have none to
/// choose.
Failure unusableLogits(size_t count);

/// Applies the settings to the logits of every token; those that cannot be
/// drawn become minus infinity.
void processLogits(std::span<float> logits, const Sampling &sampling,
                   std::span<const int32_t> text);

/// Draws a token; `logits` are used up. None where one is not a number, or the
/// largest, divided by the temperature, is infinite. What devices do.
std::optional<int32_t> drawToken(std::span<float> logits,
                                 const Drawing &drawing);

/// Chooses a token; `logits` are used up. An Input error for logits that are
/// not numbers.
Expected<Choice> chooseToken(std::span<float> logits,
                             const ChoiceContext &context);

} // namespace mbc::generate
