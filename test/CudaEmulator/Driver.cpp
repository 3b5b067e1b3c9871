//===- Driver.cpp - The driver's functions, on the processor --------------===//
//
// Built as libcuda.so.1: what runtime/cuda loads where there is no other. It
// has one GPU, whose memory is the host's and whose streams do everything at
// once; a kernel that is launched is the C++ function that its source became.
//
//===----------------------------------------------------------------------===//

#include "test/CudaEmulator/Faults.h"
#include "test/CudaEmulator/Fibers.h"
#include "test/CudaEmulator/Kernel.h"

#include <cstdlib>
#include <cstring>
#include <cuda.h>
#include <functional>
#include <memory>
#include <tuple>
#include <utility>
#include <vector>

namespace {

/// As much as the tests need to see memory run out.
constexpr size_t memoryBytes = size_t(8) << 30;
size_t used = 0;

/// The size stands before what is given out.
constexpr size_t header = 256;

/// What a stream was asked for, in order.
using Work = std::vector<std::function<CUresult()>>;
/// Where it goes instead of being done at once.
Work *captured = nullptr;

CUresult put(std::function<CUresult()> work) {
  if (!captured)
    return work();
  captured->push_back(std::move(work));
  return CUDA_SUCCESS;
}
/// Each thread has to say which device it uses.
thread_local bool entered = false;

CUresult putCopy(void *to, const void *from, size_t bytes) {
  if (!entered)
    return CUDA_ERROR_INVALID_CONTEXT;
  return put([=] {
    memcpy(to, from, bytes);
    return CUDA_SUCCESS;
  });
}

} // namespace

using mbc::emulator::Kernel;
using mbc::emulator::setting;

#define MBC_FAULT(function)                                                    \
  if (CUresult result = mbc::emulator::fault(#function);                       \
      result != CUDA_SUCCESS)                                                  \
  return result

extern "C" {

CUresult cuInit(unsigned) {
  MBC_FAULT(cuInit);
  return CUDA_SUCCESS;
}
CUresult cuDriverGetVersion(int *version) {
  *version = setting("MBC_EMULATOR_CUDA", CUDA_VERSION);
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
  MBC_FAULT(cuDeviceGetCount);
  *count = setting("MBC_EMULATOR_GPUS", 1);
  return CUDA_SUCCESS;
}
CUresult cuDeviceGet(CUdevice *device, int) {
  MBC_FAULT(cuDeviceGet);
  *device = 0;
  return CUDA_SUCCESS;
}
CUresult cuDeviceGetName(char *name, int size, CUdevice) {
  MBC_FAULT(cuDeviceGetName);
  strncpy(name, "emulated GPU", size);
  return CUDA_SUCCESS;
}
CUresult cuDeviceGetAttribute(int *value, CUdevice_attribute attribute,
                              CUdevice) {
  MBC_FAULT(cuDeviceGetAttribute);
  int capability = setting("MBC_EMULATOR_CAPABILITY", 90);
  bool major = attribute == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR;
  bool minor = attribute == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR;
  bool processors = attribute == CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT;
  *value = major        ? capability / 10
           : minor      ? capability % 10
           : processors ? 16
                        : 1;
  return CUDA_SUCCESS;
}
CUresult cuDeviceTotalMem(size_t *bytes, CUdevice) {
  MBC_FAULT(cuDeviceTotalMem);
  *bytes = memoryBytes;
  return CUDA_SUCCESS;
}
CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice) {
  MBC_FAULT(cuDevicePrimaryCtxRetain);
  *context = reinterpret_cast<CUcontext>(&used);
  return CUDA_SUCCESS;
}
CUresult cuDevicePrimaryCtxRelease(CUdevice) {
  MBC_FAULT(cuDevicePrimaryCtxRelease);
  return CUDA_SUCCESS;
}
CUresult cuCtxSetCurrent(CUcontext context) {
  MBC_FAULT(cuCtxSetCurrent);
  entered = context != nullptr;
  return CUDA_SUCCESS;
}
CUresult cuMemGetInfo(size_t *free, size_t *total) {
  MBC_FAULT(cuMemGetInfo);
  *free = memoryBytes - used;
  *total = memoryBytes;
  return CUDA_SUCCESS;
}
CUresult cuMemAlloc(CUdeviceptr *to, size_t bytes) {
  MBC_FAULT(cuMemAlloc);
  if (!entered)
    return CUDA_ERROR_INVALID_CONTEXT;
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
  MBC_FAULT(cuMemFree);
  auto *memory = reinterpret_cast<char *>(address) - header;
  size_t bytes;
  memcpy(&bytes, memory, sizeof(bytes));
  used -= bytes;
  free(memory);
  return CUDA_SUCCESS;
}
CUresult cuMemAllocHost(void **to, size_t bytes) {
  MBC_FAULT(cuMemAllocHost);
  *to = aligned_alloc(256, (bytes + 255) / 256 * 256);
  return *to ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}
CUresult cuMemFreeHost(void *memory) {
  MBC_FAULT(cuMemFreeHost);
  free(memory);
  return CUDA_SUCCESS;
}
CUresult cuMemcpyHtoDAsync(CUdeviceptr to, const void *from, size_t bytes,
                           CUstream) {
  MBC_FAULT(cuMemcpyHtoDAsync);
  return putCopy(reinterpret_cast<void *>(to), from, bytes);
}
CUresult cuMemcpyDtoHAsync(void *to, CUdeviceptr from, size_t bytes, CUstream) {
  MBC_FAULT(cuMemcpyDtoHAsync);
  return putCopy(to, reinterpret_cast<const void *>(from), bytes);
}
CUresult cuMemcpyDtoDAsync(CUdeviceptr to, CUdeviceptr from, size_t bytes,
                           CUstream) {
  MBC_FAULT(cuMemcpyDtoDAsync);
  return putCopy(reinterpret_cast<void *>(to),
                 reinterpret_cast<const void *>(from), bytes);
}
CUresult cuStreamCreate(CUstream *stream, unsigned) {
  MBC_FAULT(cuStreamCreate);
  *stream = reinterpret_cast<CUstream>(&used);
  return CUDA_SUCCESS;
}
CUresult cuStreamDestroy(CUstream) {
  MBC_FAULT(cuStreamDestroy);
  return CUDA_SUCCESS;
}
CUresult cuStreamSynchronize(CUstream) {
  MBC_FAULT(cuStreamSynchronize);
  return captured ? CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED : CUDA_SUCCESS;
}
CUresult cuStreamIsCapturing(CUstream, CUstreamCaptureStatus *status) {
  MBC_FAULT(cuStreamIsCapturing);
  *status = captured ? CU_STREAM_CAPTURE_STATUS_ACTIVE
                     : CU_STREAM_CAPTURE_STATUS_NONE;
  return CUDA_SUCCESS;
}
CUresult cuEventCreate(CUevent *event, unsigned) {
  MBC_FAULT(cuEventCreate);
  *event = reinterpret_cast<CUevent>(&used);
  return CUDA_SUCCESS;
}
CUresult cuEventDestroy(CUevent) {
  MBC_FAULT(cuEventDestroy);
  return CUDA_SUCCESS;
}
CUresult cuEventRecord(CUevent, CUstream) {
  MBC_FAULT(cuEventRecord);
  return CUDA_SUCCESS;
}
CUresult cuEventSynchronize(CUevent) {
  MBC_FAULT(cuEventSynchronize);
  return CUDA_SUCCESS;
}
CUresult cuEventElapsedTime(float *milliseconds, CUevent, CUevent) {
  MBC_FAULT(cuEventElapsedTime);
  *milliseconds = 0;
  return CUDA_SUCCESS;
}
CUresult cuModuleLoadData(CUmodule *module, const void *image) {
  MBC_FAULT(cuModuleLoadData);
  // Those of mbc are fatbins, whose kernels are linked here; PTX and cubins of
  // programs it cannot run.
  constexpr unsigned char fatbin[] = {0x50, 0xed, 0x55, 0xba};
  if (memcmp(image, fatbin, sizeof(fatbin)) != 0)
    return CUDA_ERROR_NO_BINARY_FOR_GPU;
  *module = reinterpret_cast<CUmodule>(&used);
  return CUDA_SUCCESS;
}
CUresult cuModuleUnload(CUmodule) {
  MBC_FAULT(cuModuleUnload);
  return CUDA_SUCCESS;
}
// Every module has all kernels.
CUresult cuModuleGetFunctionCount(unsigned *count, CUmodule) {
  MBC_FAULT(cuModuleGetFunctionCount);
  *count = Kernel::all().size();
  return CUDA_SUCCESS;
}
CUresult cuModuleEnumerateFunctions(CUfunction *to, unsigned count, CUmodule) {
  MBC_FAULT(cuModuleEnumerateFunctions);
  std::vector<const Kernel *> all = Kernel::all();
  for (unsigned i = 0; i < count; ++i)
    to[i] = reinterpret_cast<CUfunction>(const_cast<Kernel *>(all[i]));
  return CUDA_SUCCESS;
}
CUresult cuFuncGetName(const char **name, CUfunction function) {
  MBC_FAULT(cuFuncGetName);
  *name = reinterpret_cast<const Kernel *>(function)->name;
  return CUDA_SUCCESS;
}
CUresult cuFuncGetAttribute(int *value, CUfunction_attribute, CUfunction) {
  MBC_FAULT(cuFuncGetAttribute);
  *value = 90;
  return CUDA_SUCCESS;
}
CUresult cuFuncSetAttribute(CUfunction, CUfunction_attribute, int) {
  MBC_FAULT(cuFuncSetAttribute);
  return CUDA_SUCCESS;
}
CUresult cuLaunchKernelEx(const CUlaunchConfig *config, CUfunction function,
                          void **arguments, void **) {
  MBC_FAULT(cuLaunchKernelEx);
  auto [x, y, z] =
      std::tuple(config->gridDimX, config->gridDimY, config->gridDimZ);
  unsigned threads = config->blockDimX, shared = config->sharedMemBytes;
  if (!entered)
    return CUDA_ERROR_INVALID_CONTEXT;
  // As the driver refuses them.
  if (x == 0 || y == 0 || z == 0 || y > 65535 || z > 65535 || threads == 0 ||
      threads > 1024 || shared > 227 * 1024)
    return CUDA_ERROR_INVALID_VALUE;
  auto kernel = reinterpret_cast<const Kernel *>(function)->bind(arguments);
  return put([=] {
    return mbc::emulator::runGrid(kernel, x, y, z, threads, shared)
               ? CUDA_SUCCESS
               : CUDA_ERROR_LAUNCH_FAILED;
  });
}

CUresult cuStreamBeginCapture(CUstream, CUstreamCaptureMode) {
  MBC_FAULT(cuStreamBeginCapture);
  if (captured)
    return CUDA_ERROR_ILLEGAL_STATE;
  captured = new Work;
  return CUDA_SUCCESS;
}
CUresult cuStreamEndCapture(CUstream, CUgraph *graph) {
  if (!captured)
    return CUDA_ERROR_ILLEGAL_STATE;
  std::unique_ptr<Work> work(std::exchange(captured, nullptr));
  MBC_FAULT(cuStreamEndCapture);
  *graph = reinterpret_cast<CUgraph>(work.release());
  return CUDA_SUCCESS;
}
CUresult cuGraphInstantiate(CUgraphExec *to, CUgraph graph,
                            unsigned long long) {
  MBC_FAULT(cuGraphInstantiate);
  *to =
      reinterpret_cast<CUgraphExec>(new Work(*reinterpret_cast<Work *>(graph)));
  return CUDA_SUCCESS;
}
CUresult cuGraphLaunch(CUgraphExec graph, CUstream) {
  MBC_FAULT(cuGraphLaunch);
  if (!entered)
    return CUDA_ERROR_INVALID_CONTEXT;
  for (const auto &work : *reinterpret_cast<Work *>(graph))
    if (CUresult result = work(); result != CUDA_SUCCESS)
      return result;
  return CUDA_SUCCESS;
}
CUresult cuGraphExecDestroy(CUgraphExec graph) {
  MBC_FAULT(cuGraphExecDestroy);
  delete reinterpret_cast<Work *>(graph);
  return CUDA_SUCCESS;
}
CUresult cuGraphDestroy(CUgraph graph) {
  MBC_FAULT(cuGraphDestroy);
  delete reinterpret_cast<Work *>(graph);
  return CUDA_SUCCESS;
}

} // extern "C"
