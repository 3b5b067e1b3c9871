//===- HeadTurns.h - Queries and keys before an attention -------*- C++ -*-===//
#pragma once

#include "runtime/schema/program_generated.h"

#include <map>

namespace mbc::cuda {

/// What a row kernel does for the attention after it, and nothing else: RMS
/// norms of heads, maybe, and a rotation. Numbers of views; -1: no norm.
struct HeadTurns {
  const program::AttentionT *attention;
  uint32_t q, k; ///< as they are before
  int32_t qWeight = -1, kWeight = -1;
  float qEpsilon = 0, kEpsilon = 0;
  uint32_t angles = 0;
  bool pairs = false; ///< neighbours are turned; else elements of two halves
};

/// Commands of a program that may be left out where the attention after them
/// does their work: nothing else reads what they write, and the attention
/// writes nothing of what they read.
using TurnsOfRows = std::map<const program::RowsT *, HeadTurns>;
TurnsOfRows headTurns(const program::ProgramT &program);

} // namespace mbc::cuda
