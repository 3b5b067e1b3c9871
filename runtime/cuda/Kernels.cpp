//===- Kernels.cpp --------------------------------------------------------===//

#include "runtime/cuda/Kernels.h"

#include "runtime/cuda/Images.h"

#include <fmt/format.h>

namespace mbc::cuda {

Expected<std::unique_ptr<Kernels>> Kernels::load(const Device &device) {
  std::unique_ptr<Kernels> result(new Kernels(device));
  for (const unsigned char *image : images()) {
    CUresult status =
        device.api().cuModuleLoadData(&result->modules.emplace_back(), image);
    if (status == CUDA_ERROR_NO_BINARY_FOR_GPU)
      return systemError(fmt::format(
          "this mbc has no kernels for {} (compute capability {}.{})",
          device.facts().name, device.facts().major, device.facts().minor));
    MBC_TRY(checked(status, "loading kernels"));
  }
  return result;
}

Kernels::~Kernels() {
  for (CUmodule module : modules)
    if (module)
      device.api().cuModuleUnload(module);
}

Expected<CUfunction> Kernels::find(const char *name) {
  if (auto known = functions.find(name); known != functions.end())
    return known->second;
  for (CUmodule module : modules) {
    CUfunction function = nullptr;
    CUresult status = device.api().cuModuleGetFunction(&function, module, name);
    if (status == CUDA_ERROR_NOT_FOUND)
      continue;
    MBC_TRY(checked(status, fmt::format("finding the kernel '{}'", name)));
    functions.emplace(name, function);
    return function;
  }
  return systemError(fmt::format("there is no kernel '{}'", name));
}

Status Kernels::launch(const char *name, const Shape &shape, void **arguments) {
  MBC_ASSIGN(CUfunction function, find(name));
  // Beyond what every kernel may have without asking.
  if (shape.shared > 48 * 1024)
    MBC_TRY(
        checked(device.api().cuFuncSetAttribute(
                    function, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
                    static_cast<int>(shape.shared)),
                fmt::format("'{}' with {} bytes of shared memory", name,
                            shape.shared)));
  return checked(device.api().cuLaunchKernel(
                     function, static_cast<unsigned>(shape.x),
                     static_cast<unsigned>(shape.y),
                     static_cast<unsigned>(shape.z), shape.threads, 1, 1,
                     shape.shared, device.stream(), arguments, nullptr),
                 fmt::format("launching '{}'", name));
}

} // namespace mbc::cuda
