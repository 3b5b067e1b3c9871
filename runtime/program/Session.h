//===- Session.h - A program with its weights on a device -------*- C++ -*-===//
#pragma once

#include "runtime/core/Progress.h"
#include "runtime/program/Call.h"

namespace mbc {

class WeightSource;

/// A program with memory for its weights, its state and its scratch on some
/// device, and its execution there. A backend has one class of them. Not for
/// several threads at once.
class Session {
public:
  virtual ~Session() = default;

  /// Fills the weights.
  virtual Status load(const WeightSource &source, Progress &progress) = 0;

  /// Runs a function, and returns when its outputs are there. Errors name the
  /// input that is missing or of another size, the token outside of the
  /// vocabulary, the sequence that does not fit the state, and the command's
  /// place in the declaration.
  virtual Status run(const program::FunctionT &function, const Call &call) = 0;

  /// Tokens that the state can hold, of all sequences together.
  virtual int64_t slots() const = 0;

  /// Whether calls may ask for the `likeliest` tokens.
  virtual bool findsLikeliest() const { return false; }
};

} // namespace mbc
