//===- Driver.cpp ---------------------------------------------------------===//

#include "runtime/cuda/Driver.h"

#include <dlfcn.h>
#include <fmt/format.h>

namespace mbc::cuda {

// cuda.h gives functions the names of their newest version by macros.
#define MBC_TEXT(name) #name
#define MBC_EXPANDED_TEXT(name) MBC_TEXT(name)

static Expected<Driver> loadDriver() {
  void *library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (!library)
    return systemError("there is no NVIDIA driver: libcuda.so.1 is not found");
  Driver driver{};
#define MBC_LOAD(name)                                                         \
  driver.name = reinterpret_cast<decltype(driver.name)>(                       \
      dlsym(library, MBC_EXPANDED_TEXT(name)));                                \
  if (!driver.name)                                                            \
    return systemError(fmt::format(                                            \
        "the NVIDIA driver has no '{}'; a driver for CUDA {} or newer is "     \
        "needed",                                                              \
        MBC_EXPANDED_TEXT(name), versionText(leastDriver)));
  MBC_CUDA_DRIVER_FUNCTIONS(MBC_LOAD)
#undef MBC_LOAD
  if (CUresult result = driver.cuInit(0); result != CUDA_SUCCESS) {
    const char *words = nullptr;
    driver.cuGetErrorString(result, &words);
    return systemError(fmt::format("the NVIDIA driver does not start: {}",
                                   words ? words : "an unknown error"));
  }
  driver.cuDriverGetVersion(&driver.version);
  if (driver.version < leastDriver)
    return systemError(fmt::format(
        "the NVIDIA driver runs CUDA {} at most, expected {} or newer",
        versionText(driver.version), versionText(leastDriver)));
  return driver;
}

Expected<const Driver *> driver() {
  static const Expected<Driver> loaded = loadDriver();
  if (!loaded)
    return Failure(loaded.error());
  return &*loaded;
}

Status checked(CUresult result, const std::string &what) {
  if (result == CUDA_SUCCESS)
    return {};
  const char *name = "unknown", *words = "unknown";
  if (auto loaded = driver()) {
    (*loaded)->cuGetErrorName(result, &name);
    (*loaded)->cuGetErrorString(result, &words);
  }
  return systemError(
      fmt::format("{} failed on the device: {} ({})", what, words, name));
}

std::string versionText(int version) {
  return fmt::format("{}.{}", version / 1000, version % 1000 / 10);
}

} // namespace mbc::cuda
