//===- FuzzTarget.cpp - One input, and what it allocates ------------------===//

#include "test/Fuzz/FuzzTarget.h"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <malloc.h>
#include <new>
#include <sys/mman.h>
#include <unistd.h>

namespace {

/// Of this thread: a fuzzer's own threads allocate too.
thread_local int64_t live = 0, peak = 0;

} // namespace

// All forms, so that none is left to a sanitizer, which would see what one gave
// returned to another. The thread sanitizer lets nobody take its own away;
// there no memory is counted.
#if !__has_feature(thread_sanitizer)
namespace {

void *counted(void *memory) {
  if (!memory) {
    std::fprintf(stderr, "out of memory\n");
    std::abort();
  }
  live += static_cast<int64_t>(malloc_usable_size(memory));
  peak = std::max(peak, live);
  return memory;
}

void release(void *memory) {
  if (memory)
    live -= static_cast<int64_t>(malloc_usable_size(memory));
  std::free(memory);
}

} // namespace

void *operator new(size_t size) { return counted(std::malloc(size)); }
void *operator new[](size_t size) { return counted(std::malloc(size)); }
void *operator new(size_t size, const std::nothrow_t &) noexcept {
  return counted(std::malloc(size));
}
void *operator new[](size_t size, const std::nothrow_t &) noexcept {
  return counted(std::malloc(size));
}
void *operator new(size_t size, std::align_val_t alignment) {
  size_t unit = static_cast<size_t>(alignment);
  return counted(std::aligned_alloc(unit, (size + unit - 1) / unit * unit));
}
void *operator new(size_t size, std::align_val_t alignment,
                   const std::nothrow_t &) noexcept {
  return operator new(size, alignment);
}
void operator delete(void *memory) noexcept { release(memory); }
void operator delete[](void *memory) noexcept { release(memory); }
void operator delete(void *memory, size_t) noexcept { release(memory); }
void operator delete[](void *memory, size_t) noexcept { release(memory); }
void operator delete(void *memory, std::align_val_t) noexcept {
  release(memory);
}
void operator delete(void *memory, size_t, std::align_val_t) noexcept {
  release(memory);
}
#endif

namespace mbc::fuzz {

MemoryFile::MemoryFile() : fd(memfd_create("input", MFD_CLOEXEC)) {
  if (fd < 0)
    std::perror("memfd_create"), std::exit(3);
  name = "/proc/self/fd/" + std::to_string(fd);
}

MemoryFile::~MemoryFile() { close(fd); }

void MemoryFile::set(std::string_view bytes, size_t size) {
  size = std::max(size, bytes.size());
  bool ok = ftruncate(fd, 0) == 0 &&
            pwrite(fd, bytes.data(), bytes.size(), 0) ==
                static_cast<ssize_t>(bytes.size()) &&
            ftruncate(fd, static_cast<off_t>(size)) == 0;
  if (!ok)
    std::perror("memory file"), std::exit(3);
}

} // namespace mbc::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  using namespace mbc::fuzz;
  // What a target keeps between inputs is made by the first.
  static bool prepared = (fuzz(""), true);
  (void)prepared;
  std::string_view input(reinterpret_cast<const char *>(data), size);
  int64_t before = peak = live;
  fuzz(input);
  size_t used = static_cast<size_t>(peak - before);
  if (used > memoryLimit.factor * size + memoryLimit.constant) {
    std::fprintf(stderr,
                 "%zu bytes of input allocated %zu; at most %zu for each and "
                 "%zu besides are expected\n",
                 size, used, memoryLimit.factor, memoryLimit.constant);
    std::abort();
  }
  return 0;
}
