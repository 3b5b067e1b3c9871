//===- File.cpp - Positional reads and writes of whole ranges -------------===//

#include "runtime/core/File.h"
#include "runtime/core/Text.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <limits>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <utility>

namespace mbc {

namespace fs = std::filesystem;

Failure fileError(const fs::path &path, std::string_view doing, int code) {
  if (code == ENOENT || code == ENOTDIR)
    return inputError(
        fmt::format("{}: {}: no such file or folder", path.string(), doing));
  if (code == ENAMETOOLONG)
    return inputError(
        fmt::format("{}: {}: the name is too long", path.string(), doing));
  std::string reason = std::generic_category().message(code);
  if (!reason.empty() && reason[0] >= 'A' && reason[0] <= 'Z')
    reason[0] += 'a' - 'A';
  return systemError(fmt::format("{}: {}: {}", path.string(), doing, reason));
}

File::File(int fd, std::string name, uint64_t length)
    : fd(fd), name(std::move(name)), length(length) {}

File::File(File &&other) noexcept
    : fd(std::exchange(other.fd, -1)), name(std::move(other.name)),
      length(other.length) {}

File &File::operator=(File &&other) noexcept {
  std::swap(fd, other.fd);
  std::swap(name, other.name);
  std::swap(length, other.length);
  return *this;
}

File::~File() {
  if (fd >= 0)
    ::close(fd);
}

static int openRetrying(const fs::path &path, int flags, mode_t mode = 0) {
  int fd;
  do
    fd = ::open(path.c_str(), flags | O_CLOEXEC, mode);
  while (fd < 0 && errno == EINTR);
  return fd;
}

/// Closes `fd` and gives its length; only regular files pass.
static Expected<uint64_t> regularLength(int fd, const fs::path &path) {
  struct stat info;
  if (::fstat(fd, &info) != 0)
    return fileError(path, "cannot read the file's status", errno);
  if (S_ISDIR(info.st_mode))
    return inputError(path.string() + ": is a folder; expected a file");
  if (!S_ISREG(info.st_mode))
    return inputError(path.string() + ": is not a regular file");
  return static_cast<uint64_t>(info.st_size);
}

Expected<File> File::openRead(const fs::path &path) {
  // O_NONBLOCK: opening a fifo must not wait for a writer.
  int fd = openRetrying(path, O_RDONLY | O_NONBLOCK);
  if (fd < 0)
    return fileError(path, "cannot open", errno);
  File file(fd, path.string(), 0);
  MBC_ASSIGN(file.length, regularLength(fd, path));
  return file;
}

Expected<File> File::openWrite(const fs::path &path) {
  int fd = openRetrying(path, O_WRONLY | O_NONBLOCK);
  if (fd < 0)
    return fileError(path, "cannot open for writing", errno);
  File file(fd, path.string(), 0);
  MBC_ASSIGN(file.length, regularLength(fd, path));
  return file;
}

static uint64_t freeBytes(int fd) {
  struct statvfs space;
  if (::fstatvfs(fd, &space) != 0)
    return std::numeric_limits<uint64_t>::max();
  return uint64_t(space.f_bavail) * space.f_frsize;
}

/// Allocates the blocks of a new file. posix_fallocate would write to each
/// block where the file system cannot reserve (NFS), which takes as long as
/// the copy itself; there, comparing with the free space has to do.
static int reserve(int fd, uint64_t size) {
  // First of all: fallocate takes what there is before it fails, and for that
  // time every other process would find the disk full.
  if (freeBytes(fd) < size)
    return ENOSPC;
  int result;
  do
    result = ::fallocate(fd, 0, 0, static_cast<off_t>(size));
  while (result != 0 && errno == EINTR);
  if (result != 0 && (errno == EOPNOTSUPP || errno == ENOSYS))
    result = ::ftruncate(fd, static_cast<off_t>(size));
  return result == 0 ? 0 : errno;
}

Expected<File> File::create(const fs::path &path, uint64_t size) {
  int fd = openRetrying(path, O_RDWR | O_CREAT | O_EXCL, 0666);
  if (fd < 0)
    return fileError(path, "cannot create", errno);
  File file(fd, path.string(), size);
  if (int code = size > 0 ? reserve(fd, size) : 0) {
    uint64_t free = freeBytes(fd);
    ::unlink(path.c_str());
    if (code != ENOSPC)
      return fileError(path, fmt::format("cannot reserve {} bytes", size),
                       code);
    return systemError(
        fmt::format("{}: no space left: {} bytes are needed, {} are free",
                    path.string(), size, free));
  }
  return file;
}

Expected<File> File::createSparse(const fs::path &path, uint64_t size) {
  MBC_ASSIGN(File file, create(path));
  if (::ftruncate(file.fd, static_cast<off_t>(size)) != 0) {
    int code = errno;
    ::unlink(path.c_str());
    return fileError(
        path, fmt::format("cannot set the length to {} bytes", size), code);
  }
  file.length = size;
  return file;
}

Status File::readAt(uint64_t offset, std::span<std::byte> buffer) const {
  size_t done = 0;
  while (done < buffer.size()) {
    ssize_t n = ::pread(fd, buffer.data() + done, buffer.size() - done,
                        static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return fileError(
          name, fmt::format("cannot read at byte {}", offset + done), errno);
    if (n == 0)
      return inputError(fmt::format(
          "{}: ends at byte {}, but {} bytes at byte {} are to be read; the "
          "file is truncated or was changed meanwhile",
          name, offset + done, buffer.size(), offset));
    done += static_cast<size_t>(n);
  }
  return {};
}

Status File::writeAt(uint64_t offset, std::span<const std::byte> buffer) {
  size_t done = 0;
  while (done < buffer.size()) {
    ssize_t n = ::pwrite(fd, buffer.data() + done, buffer.size() - done,
                         static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return fileError(name,
                       fmt::format("cannot write at byte {}", offset + done),
                       n < 0 ? errno : EIO);
    done += static_cast<size_t>(n);
  }
  // Written to only where it changes, so that workers which write into a file
  // of the final size share it without a race.
  if (offset + buffer.size() > length)
    length = offset + buffer.size();
  // Only a hint: file systems without it write back on their own.
  if (!buffer.empty())
    ::sync_file_range(fd, static_cast<off_t>(offset),
                      static_cast<off_t>(buffer.size()), SYNC_FILE_RANGE_WRITE);
  return {};
}

Status File::sync() {
  if (::fsync(fd) != 0)
    return fileError(name, "cannot sync", errno);
  return {};
}

Expected<std::string> readWholeFile(const fs::path &path, uint64_t limit) {
  MBC_ASSIGN(File file, File::openRead(path));
  if (file.size() > limit)
    return inputError(fmt::format("{}: has {} bytes; at most {} are expected",
                                  path.string(), file.size(), limit));
  std::string text(file.size(), '\0');
  MBC_TRY(file.readAt(0, std::as_writable_bytes(std::span(text))));
  return text;
}

Status checkFileTarget(const fs::path &target) {
  std::error_code code;
  if (fs::is_directory(target, code))
    return inputError(
        fmt::format("{}: is a folder; expected the name of a file to write",
                    target.string()));
  // A rename would put the file in the place of /dev/null.
  if (fs::exists(target, code) && !fs::is_regular_file(target, code))
    return inputError(target.string() + ": is not a regular file");
  fs::path parent = target.parent_path();
  if (!parent.empty() && !fs::is_directory(parent, code))
    return inputError(
        fmt::format("{}: the parent folder {} does not exist; create it first",
                    target.string(), quote(parent.string())));
  return {};
}

Status writeWholeFile(const fs::path &path, std::string_view bytes) {
  fs::path temporary =
      path.parent_path() / fmt::format(".{}.mbc-{}",
                                       path.filename().string().substr(0, 200),
                                       ::getpid());
  auto write = [&]() -> Status {
    MBC_ASSIGN(File file, File::create(temporary, bytes.size()));
    MBC_TRY(file.writeAt(0, std::as_bytes(std::span(bytes))));
    MBC_TRY(file.sync());
    if (::rename(temporary.c_str(), path.c_str()) != 0)
      return fileError(path, "cannot replace", errno);
    return {};
  };
  Status status = write();
  if (!status)
    ::unlink(temporary.c_str());
  return status;
}

} // namespace mbc
