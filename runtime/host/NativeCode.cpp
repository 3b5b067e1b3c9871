//===- NativeCode.cpp -----------------------------------------------------===//

#include "runtime/host/NativeCode.h"
#include "runtime/program/NativeImage.h"

#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

namespace mbc::host {

std::string_view codeTarget() {
  std::string_view best;
  for (std::string_view target : codeTargets)
    if (runsCode(target.data()))
      best = target;
  return best;
}

/// The bytes as a file that has no place on a disk; negative, and errno, where
/// the system gives none.
static int memoryFile(std::span<const uint8_t> bytes) {
  int file = memfd_create("mbc-kernels", MFD_CLOEXEC);
  while (file >= 0 && !bytes.empty()) {
    ssize_t count = write(file, bytes.data(), bytes.size());
    if (count <= 0) {
      close(file);
      return -1;
    }
    bytes = bytes.subspan(static_cast<size_t>(count));
  }
  return file;
}

Expected<std::unique_ptr<NativeCode>>
NativeCode::load(const program::ProgramT &program) {
  if (const char *how = std::getenv("MBC_HOST_CODE")) {
    if (std::string_view(how) == "interpret")
      return nullptr;
    if (std::string_view(how) != "native")
      return inputError(fmt::format(
          "MBC_HOST_CODE is '{}'; expected native or interpret", how));
  }
  const program::NativeCodeT *best = nullptr;
  // The program may not have what the machine would run best.
  for (std::string_view target : codeTargets)
    for (const auto &code : program.code)
      if (code->target == target && runsCode(target.data()))
        best = code.get();
  if (!best)
    return nullptr;
  std::unique_ptr<NativeCode> native(new NativeCode);
  native->file = memoryFile(best->image);
  if (native->file >= 0)
    native->library =
        dlopen(fmt::format("/proc/self/fd/{}", native->file).c_str(),
               RTLD_NOW | RTLD_LOCAL);
  if (!native->library)
    return systemError(fmt::format(
        "cannot load the program's code for {}: {}; MBC_HOST_CODE=interpret "
        "runs without it",
        best->target, native->file < 0 ? std::strerror(errno) : dlerror()));
  for (const auto &entry : program.entries) {
    void *function = dlsym(native->library, entry->name.c_str());
    if (!function)
      return systemError(fmt::format("the program's code for {} has no '{}'",
                                     best->target, entry->name));
    native->entries.push_back(
        {reinterpret_cast<Function>(function), entry->scratch});
  }
  return native;
}

NativeCode::~NativeCode() {
  if (library)
    dlclose(library);
  if (file >= 0)
    close(file);
}

void NativeCode::runRows(size_t code,
                         std::span<const BoundView *const> operands,
                         int64_t rows, ThreadPool &pool) const {
  const Entry &entry = entries[code];
  std::vector<std::byte *> bases;
  for (const BoundView *operand : operands)
    bases.push_back(operand->data);
  std::vector<std::vector<std::byte>> scratch(entry.scratch ? pool.size() : 0);
  forRowsInTasks(rows, pool, [&](int64_t begin, int64_t end, unsigned worker) {
    std::byte *own = nullptr;
    if (entry.scratch) {
      scratch[worker].resize(entry.scratch);
      own = scratch[worker].data();
    }
    entry.function(bases.data(), begin, end, own);
  });
}

} // namespace mbc::host
