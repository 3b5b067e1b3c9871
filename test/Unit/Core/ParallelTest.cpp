#include "runtime/core/Parallel.h"
#include "test/Unit/TempFolder.h"

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

using namespace mbc;

TEST(Parallel, CallsEveryIndexOnce) {
  for (unsigned threads : {0u, 1u, 4u, 64u}) {
    std::vector<std::atomic<int>> calls(1000);
    Status status = parallelFor(threads, 1000, [&](size_t i, unsigned worker) {
      EXPECT_LT(worker, std::max(threads, 1u));
      ++calls[i];
      return Status();
    });
    EXPECT_TRUE(status);
    for (auto &count : calls)
      EXPECT_EQ(count, 1);
  }
}

TEST(Parallel, NoTwoCallsShareAWorker) {
  std::vector<std::atomic<int>> busy(4);
  EXPECT_TRUE(parallelFor(4, 200, [&](size_t, unsigned worker) {
    EXPECT_EQ(busy[worker]++, 0);
    std::this_thread::yield();
    --busy[worker];
    return Status();
  }));
}

TEST(Parallel, StopsAtAnErrorAndReturnsTheFirstIndex) {
  std::atomic<int> calls = 0;
  Status status = parallelFor(2, 100000, [&](size_t i, unsigned) -> Status {
    ++calls;
    if (i >= 10)
      return inputError("index " + std::to_string(i));
    return {};
  });
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().message, "index 10");
  EXPECT_LT(calls, 1000);
}

TEST(Parallel, ExceptionsBecomeErrors) {
  Status status = parallelFor(2, 8, [](size_t, unsigned) -> Status {
    throw std::runtime_error("boom");
  });
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().kind, ErrorKind::System);
  EXPECT_EQ(status.error().message, "internal error: boom");
  status = parallelFor(
      1, 1, [](size_t, unsigned) -> Status { throw std::bad_alloc(); });
  EXPECT_EQ(status.error().message, "out of memory");
}

TEST(Parallel, DefaultThreads) {
  EXPECT_GE(defaultThreads(), 1u);
  EXPECT_LE(defaultThreads(), 16u);
}
