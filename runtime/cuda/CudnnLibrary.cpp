//===- CudnnLibrary.cpp - Where libcudnn is -------------------------------===//

#include "runtime/cuda/Cudnn.h"
#include "runtime/cuda/Libraries.h"

#include <dlfcn.h>
#include <fmt/format.h>

namespace mbc::cuda {

std::string cudnnVersionText(size_t version) {
  return fmt::format("{}.{}.{}", version / 10000, version / 100 % 100,
                     version % 100);
}

static Expected<CudnnLibrary> loadLibrary() {
  const char *const names[] = {"libcudnn.so.9"};
  MBC_ASSIGN(OpenLibrary open, openLibrary(names));
  auto versionOf =
      reinterpret_cast<size_t (*)()>(dlsym(open.handle, "cudnnGetVersion"));
  if (!versionOf)
    return systemError(fmt::format("{} has no 'cudnnGetVersion'", open.path));
  CudnnLibrary library{open.handle, versionOf(), open.path};
  if (library.version < leastCudnn)
    return systemError(fmt::format("{} is version {}, expected {} or newer",
                                   open.path, cudnnVersionText(library.version),
                                   cudnnVersionText(leastCudnn)));
  return library;
}

Expected<const CudnnLibrary *> cudnn() {
  static const Expected<CudnnLibrary> loaded = loadLibrary();
  if (!loaded)
    return Failure(loaded.error());
  return &*loaded;
}

} // namespace mbc::cuda
