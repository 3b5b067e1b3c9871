//===- Progress.h - How far a long copy has come ----------------*- C++ -*-===//
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>

namespace mbc {

/// Reports bytes done of a total that is known up front, on stderr: a bar
/// that redraws itself on a terminal, a plain line every few seconds
/// elsewhere, nothing when quiet. Thread-safe; `advance` is cheap.
class Progress {
public:
  enum class Mode { Quiet, Lines, Bar };
  using Clock = std::function<std::chrono::steady_clock::duration()>;
  using Sink = std::function<void(std::string_view)>;

  /// Bar when stderr is a terminal, else Lines; Quiet when `quiet`.
  static Mode detectMode(bool quiet);

  /// `title`: what is done, "writing". `sink` and `clock` are for tests; the
  /// default sink writes to stderr.
  Progress(std::string title, uint64_t totalBytes, Mode mode, Sink sink = {},
           Clock clock = {});
  /// Erases an unfinished bar, so that an error message starts a clean line.
  ~Progress();
  Progress(const Progress &) = delete;
  Progress &operator=(const Progress &) = delete;

  /// Replaces the total, before the first `advance`.
  void setTotal(uint64_t totalBytes) { total = totalBytes; }
  void advance(uint64_t bytes);
  /// Reports the end: the final line with the mean rate, once.
  void finish();
  uint64_t doneBytes() const { return done; }

private:
  void report(double elapsed, bool last);

  std::string title;
  std::atomic<uint64_t> total;
  Mode mode;
  Sink sink;
  Clock clock;
  std::chrono::steady_clock::duration start;
  std::atomic<uint64_t> done = 0;
  /// When to report next, in seconds since the start.
  std::atomic<double> next = 0;
  std::mutex mutex;
  bool drawn = false, finished = false;
};

/// One report, without line ends: "writing  45%  1.20 GB of 2.66 GB  310 MB/s
/// ETA 0:05", with a bar of `barWidth` cells when that is not 0.
std::string progressText(std::string_view title, uint64_t done, uint64_t total,
                         double elapsedSeconds, unsigned barWidth);

} // namespace mbc
