//===- FuzzTarget.h - What every fuzz target has ----------------*- C++ -*-===//
//
// A target is one source file that defines `memoryLimit` and `fuzz`. Linked
// with libFuzzer it is searched for inputs that break it; linked with
// Replay.cpp it checks the inputs of its corpus, in every build.
//
//===----------------------------------------------------------------------===//
#pragma once

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

namespace mbc::fuzz {

/// The most that one input may have allocated at a time: `factor` bytes for
/// each of its own, and `constant` bytes besides. What malloc gives without
/// operator new is not counted.
struct MemoryLimit {
  size_t factor, constant;
};

/// Defined by each target.
extern const MemoryLimit memoryLimit;
/// Reads one input; ends the process by `MBC_FUZZ_REQUIRE` when it breaks what
/// the reader promises. Errors that are returned are as good as success.
void fuzz(std::string_view input);

/// Ends the process when a promise is broken.
#define MBC_FUZZ_REQUIRE(condition)                                            \
  do {                                                                         \
    if (!(condition))                                                          \
      ::mbc::fuzz::broken(__FILE__, __LINE__, #condition);                     \
  } while (false)

[[noreturn]] inline void broken(const char *file, int line,
                                const char *condition) {
  std::fprintf(stderr, "%s:%d: broken promise: %s\n", file, line, condition);
  std::abort();
}

/// A file in memory with a path, for readers that take one. Reused, as making
/// one costs more than most inputs.
class MemoryFile {
public:
  MemoryFile();
  ~MemoryFile();
  MemoryFile(const MemoryFile &) = delete;
  MemoryFile &operator=(const MemoryFile &) = delete;

  /// Replaces the contents; `size`, where larger, appends a hole.
  void set(std::string_view bytes, size_t size = 0);
  /// Opens to the contents in this process.
  const std::string &path() const { return name; }

private:
  int fd;
  std::string name;
};

} // namespace mbc::fuzz
