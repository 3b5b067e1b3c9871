//===- FileStamps.cpp -----------------------------------------------------===//
#include "runtime/core/FileStamps.h"

#include <fmt/format.h>
#include <sys/stat.h>

namespace fs = std::filesystem;

namespace mbc {

/// Links are followed; all zero when there is no file.
FileStamps::Stamp FileStamps::stampOf(const fs::path &path) {
  struct stat info;
  if (::stat(path.c_str(), &info) != 0)
    return {};
  return {info.st_dev, info.st_ino, static_cast<uint64_t>(info.st_size),
          info.st_mtim.tv_sec, info.st_mtim.tv_nsec};
}

FileStamps::FileStamps(const fs::path &folder, bool deep) {
  std::error_code error, unreadable;
  for (fs::recursive_directory_iterator it(folder, error), end;
       !error && it != end; it.increment(error)) {
    if (!deep)
      it.disable_recursion_pending();
    if (it->is_regular_file(unreadable))
      stamps.emplace(it->path(), stampOf(it->path()));
  }
}

Status FileStamps::check() const {
  for (const auto &[path, stamp] : stamps)
    if (stampOf(path) != stamp)
      return inputError(fmt::format(
          "{}: has changed while it was read; nothing was written: run again "
          "once nobody writes to it",
          path.string()));
  return {};
}

} // namespace mbc
