//===- CompareSides.h - Where two checkpoints part --------------*- C++ -*-===//
#pragma once

#include "compiler/Compare/Side.h"
#include "runtime/compare/ReferenceStates.h"

namespace mbc {

struct ComparisonOptions {
  RunOptions run;
  /// None: by what the sides are, see `toleranceOf`.
  std::optional<double> tolerance;
  /// Where both compute the same, whether all weights are compared: those that
  /// the tokens do not show may differ.
  bool weights = true;
  /// Tokens of a position's distribution that are compared.
  int64_t top = 5;
};

/// Runs both sides on the tokens, with taps after each layer, and once more
/// with taps after each operation of the first layer that differs. An Input
/// error for models that are not of one shape, and tokens outside of the
/// vocabulary.
Expected<compare::Report> compareSides(Side &a, Side &b,
                                       std::span<const int32_t> tokens,
                                       const ComparisonOptions &options);

/// The same of a side and what another program computed of the same tokens.
Expected<compare::Report>
compareWithReference(Side &a, const compare::ReferenceStates &states,
                     const std::string &path, const ComparisonOptions &options);

} // namespace mbc
