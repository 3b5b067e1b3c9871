//===- Executor.h - What computes the next tokens ---------------*- C++ -*-===//
#pragma once

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
  /// How the token after the last one is chosen; none is without `sampling`.
  ChoiceContext choice;
};

/// A program with its weights and a state of `slots` tokens, on some device.
/// Choosing tokens is its part, so that a device can do it where the logits
/// are.
class Executor {
public:
  virtual ~Executor() = default;

  /// Most tokens of a step, of all parts together.
  virtual int64_t rows() const = 0;
  /// Most parts of a step.
  virtual int64_t sequences() const = 0;
  /// Tokens that the state holds, of all sequences together.
  virtual int64_t slots() const = 0;
  /// Tokens that a sequence may have.
  virtual int64_t length() const = 0;
  virtual int64_t vocabulary() const = 0;
  /// Whether a sequence's results are its own, whatever else is in a step or
  /// was before it. If not, sequences come one after another and nothing is
  /// reused.
  virtual bool sequencesAreIndependent() const { return true; }

  /// Computes the parts, in order, and one choice for each part that asks for
  /// one, in their order. After an error the state is not to be used.
  virtual Expected<std::vector<Choice>> step(std::span<const Part> parts) = 0;
};

} // namespace mbc::generate
