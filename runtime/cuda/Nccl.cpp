//===- Nccl.cpp -----------------------------------------------------------===//

#include "runtime/cuda/Nccl.h"
#include "runtime/cuda/Libraries.h"

#include <dlfcn.h>
#include <fmt/format.h>

namespace mbc::cuda {

static Expected<NcclLibrary> loadLibrary() {
  const char *const names[] = {"libnccl.so.2"};
  MBC_ASSIGN(OpenLibrary open, openLibrary(names));
  auto versionOf =
      reinterpret_cast<int (*)(int *)>(dlsym(open.handle, "ncclGetVersion"));
  NcclLibrary library{open.handle, 0, open.path};
  if (!versionOf || versionOf(&library.version) != 0)
    return systemError(fmt::format("{} does not say its version", open.path));
  return library;
}

Expected<const NcclLibrary *> nccl() {
  static const Expected<NcclLibrary> loaded = loadLibrary();
  if (!loaded)
    return Failure(loaded.error());
  return &*loaded;
}

} // namespace mbc::cuda
