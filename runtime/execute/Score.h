//===- Score.h - The logits of given tokens ---------------------*- C++ -*-===//
#pragma once

#include "runtime/program/Program.h"
#include "runtime/program/Session.h"

#include <functional>

namespace mbc::execute {

/// Kind of the functions that give the logits of every row.
inline constexpr const char *scoreFunction = "score";

/// Its output that is about the token after the next, NaN where a sequence has
/// no next token.
inline constexpr const char *draftOutput = "draft";

/// What a call gives, by the names of the function's outputs.
using Outputs = decltype(Call::outputs);

/// What of a text is pictures; empty: nothing.
struct Sight {
  std::vector<int32_t> positions; ///< [rows, 3]
  /// [rows]: which of the features takes the place of a token, -1: none. They
  /// come in order.
  std::vector<int32_t> place;
  std::vector<float> features; ///< [features, hidden]
};

/// Runs `batch` sequences of `length` tokens each, in chunks of the functions'
/// rows, or as many at once as fit such a chunk and the state; hands on what
/// the [batch * length] rows give, in order: `sink(first row, outputs of some
/// rows)`. Of outputs in `oneLayer` that layer is computed alone, as
/// `Call::oneLayer` says. `sight`: of all rows.
Status score(Session &session, const program::ProgramT &program,
             std::span<const int32_t> tokens, int64_t batch, int64_t length,
             const std::function<Status(int64_t row, const Outputs &)> &sink,
             const decltype(Call::oneLayer) &oneLayer = {},
             const Sight &sight = {});

/// Tokens of state with which `score` packs as many sequences as its functions
/// take.
int64_t scoreSlots(const program::ProgramT &program, int64_t batch,
                   int64_t length);

} // namespace mbc::execute
