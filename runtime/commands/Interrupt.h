//===- Interrupt.h - Ctrl-C leaves nothing behind ---------------*- C++ -*-===//
#pragma once

#include <functional>

namespace mbc {

/// To be called before any thread is made: from then on SIGINT, SIGTERM and
/// SIGHUP remove every staged folder and then end the process as they would
/// have; a reader that goes away (SIGPIPE) does not end it.
void handleInterrupts();

/// Returns at once, unless a signal is ending the process: then never. For
/// before an error is reported, which may come of the folders that are gone.
void letInterruptEnd();

/// While it lives, signals call a function, on a thread of its own, and do not
/// end the process. One at a time.
class InterruptGuard {
public:
  /// SIGINT alone.
  explicit InterruptGuard(std::function<void()> handler);
  /// Each of them, by its number; those that the function returns false for
  /// end the process.
  explicit InterruptGuard(std::function<bool(int)> handler);
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard &) = delete;
  InterruptGuard &operator=(const InterruptGuard &) = delete;
};

} // namespace mbc
