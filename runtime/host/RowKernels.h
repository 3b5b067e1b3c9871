//===- RowKernels.h - Clusters, row by row ----------------------*- C++ -*-===//
#pragma once

#include "runtime/host/ThreadPool.h"
#include "runtime/host/kernels/Kernels.h"
#include "runtime/schema/program_generated.h"

#include <cstddef>
#include <functional>
#include <span>
#include <vector>

namespace mbc::host {

/// A view at its address: dimension 0 is the row.
struct BoundView {
  std::byte *data;
  Elem elem;
  std::vector<int64_t> dims, strides; ///< elements
  bool shared;                        ///< a weight: the same for every row

  int64_t size(size_t i) const { return dims[i]; }
};

/// Calls `work(begin, end, worker)` for parts of [0, rows).
void forRowsInTasks(
    int64_t rows, ThreadPool &pool,
    const std::function<void(int64_t, int64_t, unsigned)> &work);

/// Runs a kernel's steps for `rows` rows. Values live in a row's worth of
/// float32 scratch, so memory is read and written once.
void runRows(const program::RowKernelT &kernel,
             std::span<const BoundView *const> operands, int64_t rows,
             ThreadPool &pool);

/// Copies `rows` rows of a view into another of the same sizes. `integers`:
/// `from` holds int32, which become the nearest numbers.
void copyRows(const BoundView &from, const BoundView &to, int64_t rows,
              ThreadPool &pool, bool integers = false);

} // namespace mbc::host
