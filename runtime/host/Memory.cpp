//===- Memory.cpp ---------------------------------------------------------===//

#include "runtime/host/Memory.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>
#include <utility>

namespace mbc::host {

Memory::Memory(Memory &&other) noexcept
    : data(std::exchange(other.data, nullptr)),
      bytes(std::exchange(other.bytes, 0)) {}
Memory &Memory::operator=(Memory &&other) noexcept {
  std::swap(data, other.data);
  std::swap(bytes, other.bytes);
  return *this;
}
Memory::~Memory() {
  if (data)
    munmap(data, bytes);
}

Expected<Memory> Memory::allocate(uint64_t bytes, const char *what) {
  Memory memory;
  if (bytes == 0)
    return memory;
  void *data = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (data == MAP_FAILED)
    return systemError(fmt::format("cannot reserve {:.1f} GiB for {}",
                                   double(bytes) / (1 << 30), what));
  memory.data = static_cast<std::byte *>(data);
  memory.bytes = bytes;
  return memory;
}

void Memory::useLargePages(uint64_t begin, uint64_t count) const {
  auto page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  uint64_t first = (begin + page - 1) / page * page;
  if (first < begin + count)
    madvise(data + first, begin + count - first, MADV_HUGEPAGE);
}

} // namespace mbc::host
