//===- faults.cpp - Makes one system call fail, or the process die --------===//
//
// Preloaded into mbc (LD_PRELOAD), it counts the calls that change files, in
// the order in which they are made, and at number FAULT_AT does what FAULT_DO
// says:
//   EIO, ENOSPC, ...  a number: the call fails with this error and does nothing
//   kill              the process is killed before the call
//   touch             a byte of the file FAULT_PATH is written anew, unchanged
// With FAULT_COUNT=FILE the number of calls is written there when mbc ends.
//
//===----------------------------------------------------------------------===//
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace {

std::atomic<long> calls = 0;

template <typename Function> Function next(const char *name) {
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

void touch(const char *path) {
  int fd = static_cast<int>(syscall(SYS_openat, AT_FDCWD, path, O_RDWR));
  char byte;
  if (fd >= 0 && ::pread(fd, &byte, 1, 0) == 1)
    (void)!syscall(SYS_pwrite64, fd, &byte, 1, 0);
  ::close(fd);
}

/// The error with which this call has to fail; 0: it is made.
int fault() {
  static const char *at = std::getenv("FAULT_AT");
  static const char *what = std::getenv("FAULT_DO");
  long number = ++calls;
  if (!at || !what || number != std::atol(at))
    return 0;
  if (std::strcmp(what, "kill") == 0)
    ::kill(::getpid(), SIGKILL);
  if (std::strcmp(what, "touch") == 0) {
    touch(std::getenv("FAULT_PATH"));
    return 0;
  }
  return std::atoi(what);
}

struct Report {
  ~Report() {
    if (const char *path = std::getenv("FAULT_COUNT"))
      if (std::FILE *file = std::fopen(path, "w")) {
        std::fprintf(file, "%ld\n", calls.load());
        std::fclose(file);
      }
  }
} report;

} // namespace

/// A call that returns -1 and sets errno.
#define FAULTY(result, name, parameters, ...)                                  \
  extern "C" result name parameters {                                          \
    static auto real = next<result(*) parameters>(#name);                      \
    if (int code = fault()) {                                                  \
      errno = code;                                                            \
      return -1;                                                               \
    }                                                                          \
    return real(__VA_ARGS__);                                                  \
  }

FAULTY(int, mkdir, (const char *path, mode_t mode), path, mode)
FAULTY(int, rmdir, (const char *path), path)
FAULTY(int, unlink, (const char *path), path)
FAULTY(int, unlinkat, (int fd, const char *path, int flags), fd, path, flags)
FAULTY(int, rename, (const char *from, const char *to), from, to)
FAULTY(int, renameat, (int a, const char *from, int b, const char *to), a, from,
       b, to)
FAULTY(int, renameat2,
       (int a, const char *from, int b, const char *to, unsigned flags), a,
       from, b, to, flags)
FAULTY(int, symlink, (const char *to, const char *from), to, from)
FAULTY(int, ftruncate, (int fd, off_t size), fd, size)
FAULTY(int, fallocate, (int fd, int mode, off_t at, off_t size), fd, mode, at,
       size)
FAULTY(int, fsync, (int fd), fd)
FAULTY(ssize_t, pwrite, (int fd, const void *bytes, size_t size, off_t at), fd,
       bytes, size, at)

/// Counted only where FAULT_READS is set.
extern "C" ssize_t pread(int fd, void *bytes, size_t size, off_t at) {
  static auto real = next<ssize_t (*)(int, void *, size_t, off_t)>("pread");
  static const bool counted = std::getenv("FAULT_READS");
  if (int code = counted ? fault() : 0) {
    errno = code;
    return -1;
  }
  return real(fd, bytes, size, at);
}

extern "C" int posix_fallocate(int fd, off_t at, off_t size) {
  static auto real = next<int (*)(int, off_t, off_t)>("posix_fallocate");
  int code = fault();
  return code ? code : real(fd, at, size);
}

extern "C" ssize_t write(int fd, const void *bytes, size_t size) {
  static auto real = next<ssize_t (*)(int, const void *, size_t)>("write");
  if (fd > 2)
    if (int code = fault()) {
      errno = code;
      return -1;
    }
  return real(fd, bytes, size);
}

extern "C" int open(const char *path, int flags, ...) {
  static auto real = next<int (*)(const char *, int, ...)>("open");
  mode_t mode = 0;
  if (flags & O_CREAT) {
    va_list arguments;
    va_start(arguments, flags);
    mode = va_arg(arguments, mode_t);
    va_end(arguments);
    if (int code = fault()) {
      errno = code;
      return -1;
    }
  }
  return real(path, flags, mode);
}

extern "C" int open64(const char *path, int flags, ...)
    __attribute__((alias("open")));
extern "C" ssize_t pread64(int fd, void *bytes, size_t size, off_t at)
    __attribute__((alias("pread")));
extern "C" ssize_t pwrite64(int fd, const void *bytes, size_t size, off_t at)
    __attribute__((alias("pwrite")));
extern "C" int ftruncate64(int fd, off_t size)
    __attribute__((alias("ftruncate")));
extern "C" int posix_fallocate64(int fd, off_t at, off_t size)
    __attribute__((alias("posix_fallocate")));
extern "C" int fallocate64(int fd, int mode, off_t at, off_t size)
    __attribute__((alias("fallocate")));
