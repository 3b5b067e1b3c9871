//===- Progress.cpp - How far a long copy has come ------------------------===//

#include "runtime/core/Progress.h"
#include "runtime/core/Text.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

namespace mbc {

static constexpr double barInterval = 0.1;
static constexpr double lineInterval = 5;

static std::string durationText(double seconds) {
  auto whole = static_cast<uint64_t>(std::llround(seconds));
  if (whole >= 3600)
    return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60,
                       whole % 60);
  return fmt::format("{}:{:02}", whole / 60, whole % 60);
}

std::string progressText(std::string_view title, uint64_t done, uint64_t total,
                         double elapsedSeconds, unsigned barWidth) {
  bool complete = done >= total;
  // Rounded down: 100% is said only of what is complete.
  double fraction = complete ? 1 : double(done) / double(total);
  std::string out(title);
  if (barWidth > 0) {
    auto cells = static_cast<unsigned>(fraction * barWidth);
    out += fmt::format(" [{:#<{}}{:.<{}}]", "", cells, "", barWidth - cells);
  }
  out += fmt::format(" {:3}%", static_cast<unsigned>(fraction * 100));
  out += complete ? fmt::format("  {}", sizeText(done))
                  : fmt::format("  {} of {}", sizeText(done), sizeText(total));
  if (elapsedSeconds <= 0 || done == 0)
    return out;
  double rate = double(done) / elapsedSeconds;
  out += fmt::format("  {}/s", sizeText(static_cast<uint64_t>(rate)));
  if (complete)
    out += fmt::format("  in {}", durationText(elapsedSeconds));
  else
    out += fmt::format("  ETA {}", durationText(double(total - done) / rate));
  return out;
}

Progress::Mode Progress::detectMode(bool quiet) {
  if (quiet)
    return Mode::Quiet;
  return isatty(STDERR_FILENO) ? Mode::Bar : Mode::Lines;
}

static void writeToStderr(std::string_view text) {
  // A report that cannot be written is no reason to stop the work.
  [[maybe_unused]] auto written =
      ::write(STDERR_FILENO, text.data(), text.size());
}

static unsigned terminalWidth() {
  winsize size{};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
    return 80;
  return size.ws_col;
}

Progress::Progress(std::string title, uint64_t totalBytes, Mode mode, Sink sink,
                   Clock clock)
    : title(std::move(title)), total(totalBytes), mode(mode),
      sink(sink ? std::move(sink) : writeToStderr),
      clock(clock ? std::move(clock) : [] {
        return std::chrono::steady_clock::now().time_since_epoch();
      }) {
  start = this->clock();
  next = mode == Mode::Bar ? barInterval : lineInterval;
}

Progress::~Progress() {
  if (drawn && !finished)
    sink("\r\x1b[K");
}

void Progress::advance(uint64_t bytes) {
  done += bytes;
  if (mode == Mode::Quiet)
    return;
  double elapsed = std::chrono::duration<double>(clock() - start).count();
  if (elapsed < next.load(std::memory_order_relaxed))
    return;
  // Another thread that is reporting reports for this one as well.
  std::unique_lock lock(mutex, std::try_to_lock);
  if (!lock || finished || elapsed < next)
    return;
  next = elapsed + (mode == Mode::Bar ? barInterval : lineInterval);
  report(elapsed, /*last=*/false);
}

void Progress::finish() {
  std::lock_guard lock(mutex);
  if (finished)
    return;
  finished = true;
  if (mode != Mode::Quiet)
    report(std::chrono::duration<double>(clock() - start).count(),
           /*last=*/true);
}

void Progress::report(double elapsed, bool last) {
  if (mode == Mode::Lines) {
    sink(progressText(title, done, total, elapsed, 0) + "\n");
    return;
  }
  unsigned width = terminalWidth();
  // The bar takes what the text leaves, and gives way on a narrow terminal.
  std::string text = progressText(title, done, total, elapsed, 0);
  unsigned used = static_cast<unsigned>(text.size()) + 4;
  if (used + 8 < width)
    text =
        progressText(title, done, total, elapsed, std::min(width - used, 30u));
  if (text.size() >= width)
    text.resize(width - 1);
  sink("\r" + text + "\x1b[K" + (last ? "\n" : ""));
  drawn = true;
}

} // namespace mbc
