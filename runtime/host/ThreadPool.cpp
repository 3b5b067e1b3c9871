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
    ++generation;
  }
  wake.notify_all();
  for (std::thread &worker : workers)
    worker.join();
}

void ThreadPool::drain(unsigned worker) {
  for (size_t task = next.fetch_add(1); task < tasks; task = next.fetch_add(1))
    (*job)(task, worker);
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
  next = 0;
  busy = static_cast<unsigned>(workers.size());
  {
    // Under the lock, so that a worker about to sleep sees it.
    std::lock_guard lock(mutex);
    ++generation;
  }
  wake.notify_all();
  drain(0);
  while (busy.load(std::memory_order_acquire) != 0)
    pause();
}

void ThreadPool::loop(unsigned worker) {
  uint64_t seen = 0;
  while (true) {
    for (int i = 0; i < spins && generation.load() == seen; ++i)
      pause();
    if (generation.load() == seen) {
      std::unique_lock lock(mutex);
      wake.wait(lock, [&] { return generation.load() != seen; });
    }
    seen = generation.load();
    if (stopping)
      return;
    drain(worker);
    busy.fetch_sub(1, std::memory_order_release);
  }
}

} // namespace mbc::host
