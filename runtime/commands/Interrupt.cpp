//===- Interrupt.cpp ------------------------------------------------------===//
#include "runtime/commands/Interrupt.h"

#include "runtime/core/File.h"

#include <atomic>
#include <csignal>
#include <mutex>
#include <pthread.h>
#include <thread>
#include <unistd.h>

namespace mbc {

/// Set before staged folders are removed.
static std::atomic<bool> ending{false};

/// Of the guard that lives.
static std::mutex guardMutex;
static std::function<bool(int)> guardHandler;

InterruptGuard::InterruptGuard(std::function<bool(int)> handler) {
  std::scoped_lock lock(guardMutex);
  guardHandler = std::move(handler);
}

InterruptGuard::InterruptGuard(std::function<void()> handler)
    : InterruptGuard([handler = std::move(handler)](int number) {
        if (number != SIGINT)
          return false;
        handler();
        return true;
      }) {}

InterruptGuard::~InterruptGuard() {
  std::scoped_lock lock(guardMutex);
  guardHandler = nullptr;
}

/// Whether a guard has taken the signal.
static bool guarded(int number) {
  std::scoped_lock lock(guardMutex);
  return guardHandler && guardHandler(number);
}

void letInterruptEnd() {
  while (ending)
    ::pause();
}

void handleInterrupts() {
  std::signal(SIGPIPE, SIG_IGN);
  // A file beyond the limit of its size is then an error as any other.
  std::signal(SIGXFSZ, SIG_IGN);
  sigset_t signals;
  sigemptyset(&signals);
  for (int number : {SIGINT, SIGTERM, SIGHUP}) {
    // nohup and shells in the background ignore some, and mean it.
    struct sigaction current;
    if (::sigaction(number, nullptr, &current) == 0 &&
        current.sa_handler != SIG_IGN)
      sigaddset(&signals, number);
  }
  // Blocked here and so in every later thread, they reach only the one that
  // waits for them, which may do what a signal handler may not.
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::thread([signals] {
    int number = 0;
    do
      if (::sigwait(&signals, &number) != 0)
        return;
    while (guarded(number));
    ending = true;
    StagedDirectory::removeAll();
    std::signal(number, SIG_DFL);
    ::pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
    ::raise(number);
  }).detach();
}

} // namespace mbc
