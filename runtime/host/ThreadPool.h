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
  /// Whether `open` says that tasks are left.
  static bool any(uint64_t open) { return static_cast<uint32_t>(open) != 0; }

  std::vector<std::thread> workers;
  /// Of the tasks that are open. They change once all of them are done, so who
  /// has taken a task may read them.
  const std::function<void(size_t, unsigned)> *job = nullptr;
  size_t tasks = 0;
  /// The number of the call, and how many of its tasks nobody has taken: 32
  /// bits each, so that a task is of the call that it was seen in.
  std::atomic<uint64_t> open = 0;
  std::atomic<size_t> done = 0;
  std::atomic<bool> stopping = false;
  std::mutex mutex;
  std::condition_variable wake;
};

} // namespace mbc::host
