//===- Routing.h - Experts of rows, and rows of experts ---------*- C++ -*-===//
#pragma once

#include "runtime/core/Error.h"
#include "runtime/host/RowKernels.h"

namespace mbc::host {

/// Views of the command's operands, `rows` of them the call's. Each computes
/// what `program.fbs` says of its table, with the same bits for any number of
/// threads.
void route(const program::RouteT &how, const BoundView &logits,
           const BoundView *correction, const BoundView &weights,
           const BoundView &ids, int64_t rows, ThreadPool &pool);

/// An Input error where an id is no expert.
Status group(const BoundView &ids, const BoundView &place,
             const BoundView &offsets, int64_t rows);

/// An Input error where a place is outside of the sorted rows.
Status scatter(const BoundView &x, const BoundView &place, const BoundView &out,
               int64_t rows, ThreadPool &pool);
Status combine(const BoundView &y, const BoundView &weights,
               const BoundView &place, const BoundView &out, int64_t rows,
               ThreadPool &pool);

} // namespace mbc::host
