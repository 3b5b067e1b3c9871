//===- Driver.cpp - The driver's functions, on the processor --------------===//
//
// Built as libcuda.so.1: what runtime/cuda loads where there is no other. It
// has one GPU, whose memory is the host's and whose streams do everything at
// once; a kernel that is launched is the C++ function that its source became.
//
//===----------------------------------------------------------------------===//

#include "test/CudaEmulator/Fibers.h"
#include "test/CudaEmulator/Kernel.h"

#include <cstdlib>
#include <cstring>
#include <cuda.h>

namespace {

/// As much as the tests need to see memory run out.
constexpr size_t memoryBytes = size_t(8) << 30;
size_t used = 0;

/// The size stands before what is given out.
constexpr size_t header = 256;

} // namespace

using mbc::emulator::Kernel;

extern "C" {

CUresult cuInit(unsigned) { return CUDA_SUCCESS; }
CUresult cuDriverGetVersion(int *version) {
  *version = CUDA_VERSION;
  return CUDA_SUCCESS;
}
CUresult cuGetErrorName(CUresult, const char **name) {
  *name = "EMULATED";
  return CUDA_SUCCESS;
}
CUresult cuGetErrorString(CUresult, const char **words) {
  *words = "an error of the emulator";
  return CUDA_SUCCESS;
}
CUresult cuDeviceGetCount(int *count) {
  *count = 1;
  return CUDA_SUCCESS;
}
CUresult cuDeviceGet(CUdevice *device, int) {
  *device = 0;
  return CUDA_SUCCESS;
}
CUresult cuDeviceGetName(char *name, int size, CUdevice) {
  strncpy(name, "emulated GPU", size);
  return CUDA_SUCCESS;
}
CUresult cuDeviceGetAttribute(int *value, CUdevice_attribute attribute,
                              CUdevice) {
  *value = attribute == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR   ? 9
           : attribute == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR ? 0
                                                                       : 1;
  return CUDA_SUCCESS;
}
CUresult cuDeviceTotalMem(size_t *bytes, CUdevice) {
  *bytes = memoryBytes;
  return CUDA_SUCCESS;
}
CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice) {
  *context = reinterpret_cast<CUcontext>(&used);
  return CUDA_SUCCESS;
}
CUresult cuDevicePrimaryCtxRelease(CUdevice) { return CUDA_SUCCESS; }
CUresult cuCtxSetCurrent(CUcontext) { return CUDA_SUCCESS; }
CUresult cuMemGetInfo(size_t *free, size_t *total) {
  *free = memoryBytes - used;
  *total = memoryBytes;
  return CUDA_SUCCESS;
}
CUresult cuMemAlloc(CUdeviceptr *to, size_t bytes) {
  if (bytes > memoryBytes - used)
    return CUDA_ERROR_OUT_OF_MEMORY;
  auto *memory = static_cast<char *>(
      aligned_alloc(256, (bytes + header + 255) / 256 * 256));
  if (!memory)
    return CUDA_ERROR_OUT_OF_MEMORY;
  memcpy(memory, &bytes, sizeof(bytes));
  // What nobody wrote is no zero, and no number.
  memset(memory + header, 0xff, bytes);
  used += bytes;
  *to = reinterpret_cast<CUdeviceptr>(memory + header);
  return CUDA_SUCCESS;
}
CUresult cuMemFree(CUdeviceptr address) {
  auto *memory = reinterpret_cast<char *>(address) - header;
  size_t bytes;
  memcpy(&bytes, memory, sizeof(bytes));
  used -= bytes;
  free(memory);
  return CUDA_SUCCESS;
}
CUresult cuMemAllocHost(void **to, size_t bytes) {
  *to = aligned_alloc(256, (bytes + 255) / 256 * 256);
  return *to ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}
CUresult cuMemFreeHost(void *memory) {
  free(memory);
  return CUDA_SUCCESS;
}
CUresult cuMemcpyHtoDAsync(CUdeviceptr to, const void *from, size_t bytes,
                           CUstream) {
  memcpy(reinterpret_cast<void *>(to), from, bytes);
  return CUDA_SUCCESS;
}
CUresult cuMemcpyDtoHAsync(void *to, CUdeviceptr from, size_t bytes, CUstream) {
  memcpy(to, reinterpret_cast<const void *>(from), bytes);
  return CUDA_SUCCESS;
}
CUresult cuStreamCreate(CUstream *stream, unsigned) {
  *stream = reinterpret_cast<CUstream>(&used);
  return CUDA_SUCCESS;
}
CUresult cuStreamDestroy(CUstream) { return CUDA_SUCCESS; }
CUresult cuStreamSynchronize(CUstream) { return CUDA_SUCCESS; }
CUresult cuEventCreate(CUevent *event, unsigned) {
  *event = reinterpret_cast<CUevent>(&used);
  return CUDA_SUCCESS;
}
CUresult cuEventDestroy(CUevent) { return CUDA_SUCCESS; }
CUresult cuEventRecord(CUevent, CUstream) { return CUDA_SUCCESS; }
CUresult cuEventSynchronize(CUevent) { return CUDA_SUCCESS; }
CUresult cuModuleLoadData(CUmodule *module, const void *) {
  *module = reinterpret_cast<CUmodule>(&used);
  return CUDA_SUCCESS;
}
CUresult cuModuleUnload(CUmodule) { return CUDA_SUCCESS; }
CUresult cuModuleGetFunction(CUfunction *function, CUmodule, const char *name) {
  const Kernel *kernel = Kernel::find(name);
  *function = reinterpret_cast<CUfunction>(const_cast<Kernel *>(kernel));
  return kernel ? CUDA_SUCCESS : CUDA_ERROR_NOT_FOUND;
}
CUresult cuFuncSetAttribute(CUfunction, CUfunction_attribute, int) {
  return CUDA_SUCCESS;
}
CUresult cuLaunchKernel(CUfunction function, unsigned x, unsigned y, unsigned z,
                        unsigned threads, unsigned, unsigned, unsigned shared,
                        CUstream, void **arguments, void **) {
  // As the driver refuses them.
  if (x == 0 || y == 0 || z == 0 || y > 65535 || z > 65535 || threads == 0 ||
      threads > 1024 || shared > 227 * 1024)
    return CUDA_ERROR_INVALID_VALUE;
  auto *kernel = reinterpret_cast<const Kernel *>(function);
  return mbc::emulator::runGrid([&] { kernel->run(arguments); }, x, y, z,
                                threads, shared)
             ? CUDA_SUCCESS
             : CUDA_ERROR_LAUNCH_FAILED;
}

} // extern "C"
