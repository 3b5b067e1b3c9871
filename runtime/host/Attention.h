//===- Attention.h - Grouped-query attention over a state -------*- C++ -*-===//
#pragma once

#include "runtime/host/RowKernels.h"

#include <span>

namespace mbc::host {

/// A sequence's part of a call: rows [begin, begin + count) of the packed axis
/// come after `cached` tokens that the state holds from slot `slot` on.
struct Sequence {
  int64_t begin, count, slot, cached;
};

/// Keys or values of one layer: a row of `width` elements for each slot.
struct StateRows {
  std::byte *data = nullptr;
  int64_t width = 0;
  Elem elem = Elem::F32;
};

/// Writes the rows of a call, [rows, heads, size] or [rows, size], to their
/// places in the state.
void append(const BoundView &view, const StateRows &state,
            std::span<const Sequence> sequences, ThreadPool &pool);

struct AttentionCall {
  const BoundView *q, *k, *v, *out; ///< [rows, kv, group, d], [rows, kv, d]
  StateRows keys, values;
  double scale;
  bool causal;
  int64_t window; ///< tokens, 0: all
};

/// Writes the call's keys and values into the state, then attends: blocks of
/// keys with a running maximum and sum, so that no more than a tile of scores
/// exists. The same bits for any number of threads.
void attend(const AttentionCall &call, std::span<const Sequence> sequences,
            ThreadPool &pool);

} // namespace mbc::host
