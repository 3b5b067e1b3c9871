//===- Driver.h - The CUDA driver, loaded at run time -----------*- C++ -*-===//
#pragma once

#include "runtime/core/Error.h"

#include <cuda.h>
#include <string>

namespace mbc::cuda {

/// The functions of the driver that mbc calls.
#define MBC_CUDA_DRIVER_FUNCTIONS(X)                                           \
  X(cuInit)                                                                    \
  X(cuDriverGetVersion)                                                        \
  X(cuGetErrorName)                                                            \
  X(cuGetErrorString)                                                          \
  X(cuDeviceGetCount)                                                          \
  X(cuDeviceGet)                                                               \
  X(cuDeviceGetName)                                                           \
  X(cuDeviceGetAttribute)                                                      \
  X(cuDeviceTotalMem)                                                          \
  X(cuDevicePrimaryCtxRetain)                                                  \
  X(cuDevicePrimaryCtxRelease)                                                 \
  X(cuCtxSetCurrent)                                                           \
  X(cuMemGetInfo)                                                              \
  X(cuMemAlloc)                                                                \
  X(cuMemFree)                                                                 \
  X(cuMemAllocHost)                                                            \
  X(cuMemFreeHost)                                                             \
  X(cuMemcpyHtoDAsync)                                                         \
  X(cuMemcpyDtoHAsync)                                                         \
  X(cuMemcpyDtoDAsync)                                                         \
  X(cuStreamCreate)                                                            \
  X(cuStreamDestroy)                                                           \
  X(cuStreamSynchronize)                                                       \
  X(cuStreamIsCapturing)                                                       \
  X(cuEventCreate)                                                             \
  X(cuEventDestroy)                                                            \
  X(cuEventRecord)                                                             \
  X(cuEventSynchronize)                                                        \
  X(cuEventElapsedTime)                                                        \
  X(cuModuleLoadData)                                                          \
  X(cuModuleUnload)                                                            \
  X(cuModuleGetFunctionCount)                                                  \
  X(cuModuleEnumerateFunctions)                                                \
  X(cuFuncGetName)                                                             \
  X(cuFuncGetAttribute)                                                        \
  X(cuFuncSetAttribute)                                                        \
  X(cuLaunchKernelEx)                                                          \
  X(cuStreamBeginCapture)                                                      \
  X(cuStreamEndCapture)                                                        \
  X(cuGraphInstantiate)                                                        \
  X(cuGraphLaunch)                                                             \
  X(cuGraphExecDestroy)                                                        \
  X(cuGraphDestroy)

struct Driver {
#define MBC_DRIVER_MEMBER(name) decltype(&::name) name;
  MBC_CUDA_DRIVER_FUNCTIONS(MBC_DRIVER_MEMBER)
#undef MBC_DRIVER_MEMBER

  /// 13000: CUDA 13.0, the newest that the driver runs.
  int version;
};

/// The oldest driver that is taken: CUDA 12.8, which knows every architecture
/// that kernels are assembled for.
constexpr int leastDriver = 12080;

/// Loads libcuda.so.1 once and starts it. A System error where there is no
/// driver, one that is too old, or no device: it says which.
Expected<const Driver *> driver();

/// What failed, with the driver's name and words for it; `what` says what was
/// being done: "copying weights".
Status checked(CUresult result, const std::string &what);

/// "13.0"
std::string versionText(int version);

} // namespace mbc::cuda
