//===- Attention.h - Grouped-query attention over a state -------*- C++ -*-===//
#pragma once

#include "runtime/core/Error.h"
#include "runtime/host/RowKernels.h"
#include "runtime/program/Call.h"

#include <span>

namespace mbc::host {

/// Keys or values of one layer: a row of elements for each slot, `width` apart.
struct StateRows {
  std::byte *data = nullptr;
  int64_t width = 0;
  Elem elem = Elem::F32;
  /// From one head to the next; 0: heads lie side by side.
  int64_t headStride = 0;
};

/// Writes the rows of a call, [rows, heads, size] or [rows, size], to their
/// places in the state.
void append(const BoundView &view, const StateRows &state,
            std::span<const Sequence> sequences, ThreadPool &pool);

struct AttentionCall {
  const BoundView *q, *k, *v, *out; ///< [rows, kv, group, d], [rows, kv, d]
  StateRows keys, values;           ///< of `attend` with a state
  double scale;
  bool causal;
  int64_t window; ///< tokens, 0: all
};

/// Writes the call's keys and values into the state, then attends: blocks of
/// keys with a running maximum and sum, so that no more than a tile of scores
/// exists. The same bits for any number of threads.
void attend(const AttentionCall &call, std::span<const Sequence> sequences,
            ThreadPool &pool);

/// Attends without a state: of `rows` rows each sees those of its part. `ends`
/// [rows] says for each the number behind the last one of its part; null: all
/// are one. An Input error for ends that are of no parts. The same bits for a
/// part in any company.
Status attendParts(AttentionCall call, const BoundView *ends, int64_t rows,
                   ThreadPool &pool);

} // namespace mbc::host
