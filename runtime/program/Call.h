//===- Call.h - What a backend is asked to compute --------------*- C++ -*-===//
#pragma once

#include "runtime/core/Error.h"
#include "runtime/program/Drawing.h"
#include "runtime/schema/program_generated.h"

#include <map>
#include <span>
#include <string>
#include <vector>

namespace mbc {

/// A sequence's part of a call: rows [begin, begin + count) of the packed axis
/// come after `cached` tokens that the state holds from slot `slot` on.
struct Sequence {
  int64_t begin, count, slot, cached;
};

/// A token that a device chose from the logits of a row: the likeliest, of
/// equals the first, or a drawn one; and the logarithm of its probability, of
/// the model before any setting. `id` is -1 where the largest logit, divided by
/// the temperature, is infinite, or one is no number.
struct ChosenToken {
  int32_t id;
  float logprob;
};

/// One call of a function: rows are packed tokens, sequence after sequence, or
/// patches, of no sequence.
struct Call {
  int64_t rows = 0;
  std::vector<Sequence> sequences;
  /// i32 arrays by the names of the function's inputs. `positions` may be left
  /// out: then they follow from the sequences. So may `place`: then no features
  /// take the places of tokens.
  std::map<std::string, std::span<const int32_t>, std::less<>> inputs;
  /// float32 arrays by the names of the function's inputs: `pixels` and
  /// `hidden` of the rows, and `features`, of which there may be fewer or none.
  std::map<std::string, std::span<const float>, std::less<>> floats;
  /// Float arrays by the names of its outputs, of the rows asked for.
  std::map<std::string, std::span<float>, std::less<>> outputs;
  /// Outputs with a slot for each layer of which one alone is wanted: that
  /// layer. Their arrays are [rows, 1, ...].
  std::map<std::string, uint32_t, std::less<>> oneLayer;
  /// Outputs of which not the numbers are wanted, but a token of each row.
  /// Where `Session::choosesTokens`.
  std::map<std::string, std::span<ChosenToken>, std::less<>> chosen;
  /// How each of them is chosen; empty: all are the likeliest.
  std::span<const Drawing> drawings = {};
};

/// A call that was found to fit its function.
struct BoundCall {
  int64_t rows = 0;
  /// Rows of which logits are wanted: the length of the input `outputs`; 0
  /// where there is none.
  int64_t outputs = 0;
  /// Of each input of the function: the call's numbers, or those that follow
  /// from the sequences, padded with zeros to the size of the input; or its
  /// floats, as many as the call has.
  std::vector<std::vector<int32_t>> numbers;
  std::vector<std::span<const float>> floats;
  /// Rows that the caller gave of each.
  std::vector<int64_t> given;
};

/// Errors are Input, and name the input that is missing or of another size, the
/// token outside of the vocabulary, the sequence that does not fit the `slots`
/// of the state, the output without room.
Expected<BoundCall> bindCall(const program::ProgramT &program,
                             const program::FunctionT &function,
                             const Call &call, int64_t slots);

/// Rows of the call that there are of `most`, which says what rows they are:
/// several for each token (of experts), those that the caller asked for, or
/// one for several neighbours.
int64_t rowsOf(const program::FunctionT &function, const BoundCall &call,
               int64_t most);

/// Of a row that no feature takes the place of, in the input `place`.
inline constexpr int32_t noPlace = -1;

/// Whether `ends` of an attention say of each row where its part ends; parts
/// follow each other. An Input error names the row.
Status checkParts(std::span<const int32_t> ends);

} // namespace mbc
