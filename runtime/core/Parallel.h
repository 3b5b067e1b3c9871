//===- Parallel.h - Independent pieces of work on threads -------*- C++ -*-===//
#pragma once

#include "runtime/core/Error.h"

#include <cstddef>
#include <functional>

namespace mbc {

/// Threads to use when the user gave no number: the processors this process
/// may run on, at most 16 (I/O gains nothing from more).
unsigned defaultThreads();

/// Calls `work(index, worker)` for every index in [0, count), in increasing
/// order of start, on up to `threads` workers; worker < threads, and no two
/// calls run at once with the same worker. Worker 0 is the calling thread.
///
/// After an error no further index is started; of the errors that occurred,
/// that of the smallest index is returned. An exception in `work` becomes a
/// System error.
Status
parallelFor(unsigned threads, size_t count,
            const std::function<Status(size_t index, unsigned worker)> &work);

} // namespace mbc
