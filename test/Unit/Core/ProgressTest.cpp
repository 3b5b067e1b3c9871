#include "runtime/core/Progress.h"

#include <gtest/gtest.h>

using namespace mbc;
using namespace std::chrono_literals;

namespace {
struct Screen {
  std::string text;
  std::chrono::steady_clock::duration now = 100s;
  Progress::Sink sink() {
    return [this](std::string_view s) { text += s; };
  }
  Progress::Clock clock() {
    return [this] { return now; };
  }
};
} // namespace

TEST(Progress, Text) {
  EXPECT_EQ(progressText("writing", 0, 1000, 0, 0),
            "writing   0%  0 bytes of 1.00 kB");
  EXPECT_EQ(progressText("writing", 500'000'000, 2'000'000'000, 2, 0),
            "writing  25%  500 MB of 2.00 GB  250 MB/s  ETA 0:06");
  EXPECT_EQ(progressText("writing", 999'999, 1'000'000, 1, 4),
            "writing [###.]  99%  1.00 MB of 1.00 MB  1.00 MB/s  ETA 0:00");
  EXPECT_EQ(progressText("writing", 1000, 1000, 3700, 4),
            "writing [####] 100%  1.00 kB  0 bytes/s  in 1:01:40");
  EXPECT_EQ(progressText("writing", 0, 0, 0, 0), "writing 100%  0 bytes");
}

TEST(Progress, LinesEveryFewSeconds) {
  Screen screen;
  Progress progress("copying", 1000, Progress::Mode::Lines, screen.sink(),
                    screen.clock());
  screen.now += 1s;
  progress.advance(100);
  EXPECT_EQ(screen.text, "");
  screen.now += 4s;
  progress.advance(100);
  EXPECT_EQ(screen.text,
            "copying  20%  200 bytes of 1.00 kB  40 bytes/s  ETA 0:20\n");
  screen.now += 1s;
  progress.advance(100);
  EXPECT_EQ(std::count(screen.text.begin(), screen.text.end(), '\n'), 1);
  progress.advance(700);
  progress.finish();
  progress.finish();
  EXPECT_EQ(std::count(screen.text.begin(), screen.text.end(), '\n'), 2);
  EXPECT_NE(screen.text.find("100%"), std::string::npos);
}

TEST(Progress, BarRedrawsAndClears) {
  Screen screen;
  {
    Progress progress("copying", 1000, Progress::Mode::Bar, screen.sink(),
                      screen.clock());
    screen.now += 1s;
    progress.advance(500);
    EXPECT_EQ(screen.text[0], '\r');
    EXPECT_NE(screen.text.find("50%"), std::string::npos);
    EXPECT_EQ(screen.text.find('\n'), std::string::npos);
  }
  // Not finished: an error follows on a clean line.
  EXPECT_TRUE(screen.text.ends_with("\r\x1b[K"));
}

TEST(Progress, QuietSaysNothing) {
  Screen screen;
  {
    Progress progress("copying", 10, Progress::Mode::Quiet, screen.sink(),
                      screen.clock());
    screen.now += 100s;
    progress.advance(10);
    progress.finish();
    EXPECT_EQ(progress.doneBytes(), 10u);
  }
  EXPECT_EQ(screen.text, "");
}
