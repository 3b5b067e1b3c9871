//===- MappedFile.h - A file as memory --------------------------*- C++ -*-===//
#pragma once

#include "runtime/core/Error.h"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>

namespace mbc {

/// The bytes of a file, read when they are first used and dropped by the system
/// when memory is short. A file that shrinks or fails while it is used ends the
/// process with a message and status 3: there is nothing to go on with.
class MappedFile {
public:
  static Expected<MappedFile> open(const std::filesystem::path &path);
  MappedFile(MappedFile &&other) noexcept;
  MappedFile &operator=(MappedFile &&other) noexcept;
  ~MappedFile();

  const std::byte *data() const { return bytes; }
  uint64_t size() const { return length; }
  /// Reads [offset, offset + count), so that later uses need not wait. Errors
  /// name the file and the system's reason.
  Status prefetch(uint64_t offset, uint64_t count) const;

private:
  MappedFile(std::byte *bytes, uint64_t length, std::string name);
  std::byte *bytes = nullptr;
  uint64_t length = 0;
  std::string name;
};

} // namespace mbc
