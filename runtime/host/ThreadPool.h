//===- ThreadPool.h - Workers that wait for the next command ----*- C++ -*-===//
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace mbc::host {

/// A fixed number of threads, the caller being one. Commands of a program last
/// microseconds, so workers spin for a while before they sleep.
class ThreadPool {
public:
  explicit ThreadPool(unsigned threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool &) = delete;
  ThreadPool &operator=(const ThreadPool &) = delete;

  unsigned size() const { return static_cast<unsigned>(workers.size()) + 1; }

  /// Calls `work(task, worker)` for every task in [0, count); which worker has
  /// which task is not fixed, so results must not depend on it. Must not throw.
  void run(size_t count, const std::function<void(size_t, unsigned)> &work);

private:
  void loop(unsigned worker);
  void drain(unsigned worker);

  std::vector<std::thread> workers;
  const std::function<void(size_t, unsigned)> *job = nullptr;
  size_t tasks = 0;
  std::atomic<size_t> next = 0;
  std::atomic<unsigned> busy = 0;
  std::atomic<uint64_t> generation = 0;
  std::atomic<bool> stopping = false;
  std::mutex mutex;
  std::condition_variable wake;
};

} // namespace mbc::host
