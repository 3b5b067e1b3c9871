//===- MappedFile.cpp -----------------------------------------------------===//
#include "runtime/core/MappedFile.h"

#include "runtime/core/File.h"

#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <mutex>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace fs = std::filesystem;

namespace mbc {

/// What a bus error is: the one thing that goes wrong with a mapping. Only
/// calls that are safe in a handler.
static void onBusError(int) {
  constexpr char text[] =
      "error: a file of weights shrank or could not be read while in use\n";
  (void)!write(STDERR_FILENO, text, sizeof(text) - 1);
  _exit(3);
}

static void handleBusErrors() {
  static std::once_flag once;
  std::call_once(once, [] {
    struct sigaction action = {};
    action.sa_handler = onBusError;
    sigaction(SIGBUS, &action, nullptr);
  });
}

MappedFile::MappedFile(std::byte *bytes, uint64_t length, std::string name)
    : bytes(bytes), length(length), name(std::move(name)) {}
MappedFile::MappedFile(MappedFile &&other) noexcept
    : bytes(std::exchange(other.bytes, nullptr)),
      length(std::exchange(other.length, 0)), name(std::move(other.name)) {}
MappedFile &MappedFile::operator=(MappedFile &&other) noexcept {
  std::swap(bytes, other.bytes);
  std::swap(length, other.length);
  std::swap(name, other.name);
  return *this;
}
MappedFile::~MappedFile() {
  if (bytes)
    munmap(bytes, length);
}

Expected<MappedFile> MappedFile::open(const fs::path &path) {
  int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return fileError(path, "cannot be opened", errno);
  struct stat status;
  if (fstat(fd, &status) != 0 || status.st_size == 0) {
    int code = errno;
    ::close(fd);
    return fileError(path, "cannot be mapped", status.st_size ? code : EINVAL);
  }
  auto length = static_cast<uint64_t>(status.st_size);
  void *data = mmap(nullptr, length, PROT_READ, MAP_SHARED, fd, 0);
  int code = errno;
  ::close(fd);
  if (data == MAP_FAILED)
    return fileError(path, "cannot be mapped", code);
  handleBusErrors();
  return MappedFile(static_cast<std::byte *>(data), length, path.string());
}

Status MappedFile::prefetch(uint64_t offset, uint64_t count) const {
  auto page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  uint64_t begin = offset / page * page;
  uint64_t bytesOf = std::min(length, offset + count) - begin;
#ifdef MADV_POPULATE_READ
  if (madvise(bytes + begin, bytesOf, MADV_POPULATE_READ) == 0)
    return {};
  // Kernels before 5.14 do not know it.
  if (errno != EINVAL)
    return fileError(name, "cannot be read", errno == EFAULT ? EIO : errno);
#endif
  madvise(bytes + begin, bytesOf, MADV_WILLNEED);
  return {};
}

} // namespace mbc
