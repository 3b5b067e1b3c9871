//===- Executor.h - What computes the next tokens ---------------*- C++ -*-===//
#pragma once

#include "runtime/generate/EncodedPrompt.h"
#include "runtime/generate/Sampler.h"

#include <cstdint>
#include <span>
#include <vector>

namespace mbc::generate {

/// A sequence's part of a step: tokens that come after `cached` ones, which the
/// state holds from slot `slot` on.
struct Part {
  std::span<const int32_t> tokens;
  int64_t slot = 0, cached = 0;
  /// [tokens, 3], time, row and column of each, in a sequence with pictures;
  /// else empty: each is at its place in the sequence.
  std::span<const int32_t> positions = {};
  /// Those of the whole sequence; where its tokens are all cached, `picture`
  /// may be null.
  std::span<const PlacedPicture> pictures = {};
  /// How the token after the last one is chosen; none is without `sampling`.
  /// With drafts, `text` and `step` are those of the token in the place of the
  /// first, and `text` goes on with them.
  ChoiceContext choice;
  /// So many of the last tokens are guesses of an earlier step.
  int64_t drafts = 0;
  /// Tokens that the sequence may still get, those of this step among them: a
  /// draft that could not become one is not wanted.
  int64_t left = 0;
  /// Without `sampling`: the token of the prompt after the last one.
  int32_t next = 0;
};

/// What a part's step gives.
struct Continuation {
  /// Chosen tokens: those that are equal to the drafts, and one more. The same
  /// as if there had been no drafts and as many steps.
  std::vector<Choice> choices;
  /// A guess of what comes after them.
  std::vector<int32_t> drafts;
};

/// A program with its weights and a state of `slots` tokens, on some device.
/// Choosing tokens is its part, so that a device can do it where the logits
/// are, and so is guessing them.
class Executor {
public:
  virtual ~Executor() = default;

  /// Most tokens of a step, of all parts together: at least `sequences()` times
  /// a token and its drafts.
  virtual int64_t rows() const = 0;
  /// Most parts of a step.
  virtual int64_t sequences() const = 0;
  /// Tokens that the state holds, of all sequences together.
  virtual int64_t slots() const = 0;
  /// Tokens that a sequence may have.
  virtual int64_t length() const = 0;
  virtual int64_t vocabulary() const = 0;
  /// Most drafts of a part; 0: it does not guess.
  virtual int64_t drafts() const { return 0; }
  /// Whether a sequence's results are its own, whatever else is in a step or
  /// was before it. If not, sequences come one after another and nothing is
  /// reused.
  virtual bool sequencesAreIndependent() const { return true; }
  /// Whether parts may have pictures.
  virtual bool sees() const { return false; }

  /// Computes the parts, in order, and a continuation for each part that asks
  /// for one, in their order. After an error the state is not to be used.
  virtual Expected<std::vector<Continuation>>
  step(std::span<const Part> parts) = 0;
};

} // namespace mbc::generate
