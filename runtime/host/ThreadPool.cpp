//===- ThreadPool.cpp -----------------------------------------------------===//

#include "runtime/host/ThreadPool.h"

namespace mbc::host {

/// About 20 microseconds on a machine of 3 GHz.
constexpr int spins = 4000;

static void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

ThreadPool::ThreadPool(unsigned threads) {
  for (unsigned i = 1; i < threads; ++i)
    workers.emplace_back([this, i] { loop(i); });
}

ThreadPool::~ThreadPool() {
  {
    std::lock_guard lock(mutex);
    stopping = true;
  }
  wake.notify_all();
  for (std::thread &worker : workers)
    worker.join();
}

void ThreadPool::drain(unsigned worker) {
  uint64_t seen = open.load(std::memory_order_acquire);
  while (any(seen)) {
    if (!open.compare_exchange_weak(seen, seen - 1, std::memory_order_acquire))
      continue;
    (*job)(tasks - static_cast<uint32_t>(seen), worker);
    done.fetch_add(1, std::memory_order_release);
    seen = open.load(std::memory_order_acquire);
  }
}

void ThreadPool::run(size_t count,
                     const std::function<void(size_t, unsigned)> &work) {
  if (count <= 1 || workers.empty()) {
    for (size_t i = 0; i < count; ++i)
      work(i, 0);
    return;
  }
  job = &work;
  tasks = count;
  done = 0;
  {
    // Under the lock, so that a worker about to sleep sees it.
    std::lock_guard lock(mutex);
    uint64_t call = (open.load() >> 32) + 1;
    open.store(call << 32 | count, std::memory_order_release);
  }
  wake.notify_all();
  drain(0);
  // Tasks are waited for, not workers: one that the system does not let run
  // delays nobody.
  while (done.load(std::memory_order_acquire) != count)
    pause();
}

void ThreadPool::loop(unsigned worker) {
  while (true) {
    for (int i = 0; i < spins && !any(open.load()) && !stopping; ++i)
      pause();
    if (!any(open.load())) {
      std::unique_lock lock(mutex);
      wake.wait(lock, [&] { return any(open.load()) || stopping; });
    }
    if (stopping)
      return;
    drain(worker);
  }
}

} // namespace mbc::host
