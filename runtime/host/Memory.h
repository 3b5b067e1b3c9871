//===- Memory.h - Anonymous memory ------------------------------*- C++ -*-===//
#pragma once

#include "runtime/core/Error.h"

#include <cstddef>
#include <cstdint>

namespace mbc::host {

/// An anonymous mapping; pages come with their first use.
struct Memory {
  std::byte *data = nullptr;
  size_t bytes = 0;

  Memory() = default;
  Memory(Memory &&other) noexcept;
  Memory &operator=(Memory &&other) noexcept;
  ~Memory();

  /// A System error names `what` it was for.
  static Expected<Memory> allocate(uint64_t bytes, const char *what);
  /// Fewer misses of the address cache for [begin, begin + count); without
  /// effect where the system has no large pages.
  void useLargePages(uint64_t begin, uint64_t count) const;
};

} // namespace mbc::host
