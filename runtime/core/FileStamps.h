//===- FileStamps.h - Files that must stay as they are ----------*- C++ -*-===//
#pragma once

#include "runtime/core/Error.h"

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

namespace mbc {

/// Size, time of change and identity of the files of a folder, taken before
/// they are read: a conversion reads a file more than once, and one that
/// somebody still writes would come out as a mixture.
class FileStamps {
public:
  /// `deep`: with the files of folders below. What cannot be listed is left
  /// out; its reader names it.
  FileStamps(const std::filesystem::path &folder, bool deep);

  /// An Input error that names the first file that is another one than it was.
  Status check() const;

private:
  struct Stamp {
    uint64_t device, inode, size;
    int64_t seconds, nanoseconds;
    bool operator==(const Stamp &) const = default;
  };
  static Stamp stampOf(const std::filesystem::path &path);
  std::map<std::filesystem::path, Stamp> stamps;
};

} // namespace mbc
