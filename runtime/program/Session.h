//===- Session.h - A program with its weights on a device -------*- C++ -*-===//
#pragma once

#include "runtime/core/Progress.h"
#include "runtime/program/Call.h"

#include <string>
#include <vector>

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

  /// Whether calls can be started one after another, and their results waited
  /// for later.
  virtual bool runsAhead() const { return false; }
  /// Puts a call on the device, where it begins once those before it are done.
  /// It and what it points to must stay until `finish`. With `follows` its
  /// input 'tokens' is not what it holds, but the tokens that the call before
  /// has `chosen`, row by row: the host need not have seen them. Two calls at
  /// most are under way.
  virtual Status start(const program::FunctionT &function, const Call &call,
                       bool follows) {
    return inputError("the device does not run ahead");
  }
  /// Waits for the oldest of them; then its outputs are there.
  virtual Status finish() { return {}; }

  /// Tokens that the state can hold, of all sequences together.
  virtual int64_t slots() const = 0;

  /// What makes this device slower than it could be, for the user: sentences
  /// without a point at the end. What a call needed is known after it.
  virtual std::vector<std::string> notes() const { return {}; }

  /// Whether calls may ask for `chosen` tokens.
  virtual bool choosesTokens() const { return false; }
};

} // namespace mbc
