//===- Parallel.cpp - Independent pieces of work on threads ---------------===//

#include "runtime/core/Parallel.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <new>
#include <sched.h>
#include <system_error>
#include <thread>
#include <vector>

namespace mbc {

unsigned defaultThreads() {
  unsigned count = std::thread::hardware_concurrency();
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0)
    count = static_cast<unsigned>(CPU_COUNT(&set));
  return std::clamp(count, 1u, 16u);
}

namespace {
/// What the workers share.
struct Job {
  size_t count;
  const std::function<Status(size_t, unsigned)> &work;
  std::atomic<size_t> next = 0;
  std::atomic<bool> stop = false;
  std::mutex mutex;
  size_t failedIndex = 0;
  Status result;

  Job(size_t count, const std::function<Status(size_t, unsigned)> &work)
      : count(count), work(work) {}

  Status call(size_t index, unsigned worker) noexcept {
    try {
      return work(index, worker);
    } catch (const std::bad_alloc &) {
      return systemError("out of memory");
    } catch (const std::exception &e) {
      return systemError(std::string("internal error: ") + e.what());
    } catch (...) {
      return systemError("internal error: unknown exception");
    }
  }

  void run(unsigned worker) {
    while (!stop.load(std::memory_order_relaxed)) {
      size_t index = next.fetch_add(1, std::memory_order_relaxed);
      if (index >= count)
        return;
      Status status = call(index, worker);
      if (status)
        continue;
      std::lock_guard lock(mutex);
      if (result || index < failedIndex) {
        failedIndex = index;
        result = std::move(status);
      }
      stop = true;
    }
  }
};
} // namespace

Status parallelFor(unsigned threads, size_t count,
                   const std::function<Status(size_t, unsigned)> &work) {
  Job job(count, work);
  std::vector<std::thread> helpers;
  size_t wanted = std::min<size_t>(std::max(threads, 1u), count);
  for (size_t worker = 1; worker < wanted; ++worker) {
    try {
      helpers.emplace_back([&job, worker] { job.run(unsigned(worker)); });
    } catch (const std::system_error &) {
      break; // the system gives no more threads: fewer do the same work
    }
  }
  job.run(0);
  for (std::thread &helper : helpers)
    helper.join();
  return std::move(job.result);
}

} // namespace mbc
