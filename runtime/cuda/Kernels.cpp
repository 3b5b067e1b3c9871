//===- Kernels.cpp --------------------------------------------------------===//

#include "runtime/cuda/Kernels.h"

#include "runtime/cuda/Images.h"

#include <cstdlib>
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
    MBC_TRY(result->enter(result->modules.back()));
  }
  return result;
}

Expected<bool> Kernels::add(const void *image, const std::string &what) {
  CUmodule module = nullptr;
  CUresult status = device.api().cuModuleLoadData(&module, image);
  if (status == CUDA_ERROR_NO_BINARY_FOR_GPU)
    return false;
  MBC_TRY(checked(status, "loading " + what));
  modules.push_back(module);
  MBC_TRY(enter(module));
  return true;
}

Kernels::~Kernels() {
  for (CUmodule module : modules)
    if (module)
      device.api().cuModuleUnload(module);
}

Status Kernels::enter(CUmodule module) {
  const Driver &api = device.api();
  auto check = [](CUresult status) {
    return checked(status, "listing kernels");
  };
  unsigned count = 0;
  MBC_TRY(check(api.cuModuleGetFunctionCount(&count, module)));
  std::vector<CUfunction> all(count);
  MBC_TRY(check(api.cuModuleEnumerateFunctions(all.data(), count, module)));
  const char *off = std::getenv("MBC_CUDA_OVERLAP");
  bool wanted = !(off && std::string_view(off) == "0");
  for (CUfunction function : all) {
    const char *name = nullptr;
    MBC_TRY(check(api.cuFuncGetName(&name, function)));
    // Code that the driver made of older PTX does not wait for itself.
    int version = 0;
    MBC_TRY(check(api.cuFuncGetAttribute(
        &version, CU_FUNC_ATTRIBUTE_PTX_VERSION, function)));
    functions.emplace(name, Function{function, wanted && version >= 90});
  }
  return {};
}

Status Kernels::launch(const char *name, const Shape &shape, void **arguments) {
  auto found = functions.find(name);
  if (found == functions.end())
    return systemError(fmt::format("there is no kernel '{}'", name));
  const Function &function = found->second;
  // Beyond what every kernel may have without asking.
  if (shape.shared > 48 * 1024)
    MBC_TRY(checked(device.api().cuFuncSetAttribute(
                        function.handle,
                        CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
                        static_cast<int>(shape.shared)),
                    fmt::format("'{}' with {} bytes of shared memory", name,
                                shape.shared)));
  CUlaunchAttribute overlap{};
  overlap.id = CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION;
  overlap.value.programmaticStreamSerializationAllowed = 1;
  CUlaunchConfig config{};
  config.gridDimX = static_cast<unsigned>(shape.x);
  config.gridDimY = static_cast<unsigned>(shape.y);
  config.gridDimZ = static_cast<unsigned>(shape.z);
  config.blockDimX = shape.threads;
  config.blockDimY = config.blockDimZ = 1;
  config.sharedMemBytes = shape.shared;
  config.hStream = device.stream();
  config.attrs = &overlap;
  config.numAttrs = shape.overlaps && function.overlaps;
  return device.timed(name, [&] {
    return checked(device.api().cuLaunchKernelEx(&config, function.handle,
                                                 arguments, nullptr),
                   fmt::format("launching '{}'", name));
  });
}

} // namespace mbc::cuda
