//===- Device.cpp ---------------------------------------------------------===//

#include "runtime/cuda/Device.h"

#include "runtime/core/Text.h"

#include <algorithm>
#include <fmt/format.h>
#include <utility>
#include <vector>

namespace mbc::cuda {

static Expected<DeviceFacts> factsOf(const Driver &driver, int ordinal) {
  DeviceFacts facts{ordinal, {}, 0, 0, 0, 0};
  CUdevice device;
  MBC_TRY(checked(driver.cuDeviceGet(&device, ordinal), "finding a GPU"));
  char name[256] = {};
  MBC_TRY(checked(driver.cuDeviceGetName(name, sizeof(name) - 1, device),
                  "asking for a GPU's name"));
  facts.name = name;
  auto ask = [&](int &value, CUdevice_attribute attribute) {
    return checked(driver.cuDeviceGetAttribute(&value, attribute, device),
                   "asking for a GPU's properties");
  };
  MBC_TRY(ask(facts.major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR));
  MBC_TRY(ask(facts.minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR));
  MBC_TRY(ask(facts.processors, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT));
  size_t bytes = 0;
  MBC_TRY(checked(driver.cuDeviceTotalMem(&bytes, device),
                  "asking for a GPU's memory"));
  facts.bytes = bytes;
  return facts;
}

static Expected<int> deviceCount(const Driver &driver) {
  int count = 0;
  MBC_TRY(checked(driver.cuDeviceGetCount(&count), "counting GPUs"));
  if (count == 0)
    return systemError("the NVIDIA driver shows no GPU; CUDA_VISIBLE_DEVICES "
                       "may hide them");
  return count;
}

Expected<std::vector<DeviceFacts>> listDevices() {
  MBC_ASSIGN(const Driver *api, driver());
  MBC_ASSIGN(int count, deviceCount(*api));
  std::vector<DeviceFacts> all;
  for (int i = 0; i < count; ++i) {
    MBC_ASSIGN(all.emplace_back(), factsOf(*api, i));
  }
  return all;
}

Expected<DeviceFacts> findDevice(int ordinal) {
  MBC_ASSIGN(const Driver *api, driver());
  MBC_ASSIGN(int count, deviceCount(*api));
  if (ordinal < 0 || ordinal >= count)
    return inputError(
        fmt::format("there is no GPU {}: the driver shows {}", ordinal, count));
  MBC_ASSIGN(DeviceFacts facts, factsOf(*api, ordinal));
  if (facts.major < leastCapability)
    return systemError(fmt::format(
        "GPU {} ({}) has compute capability {}.{}, expected {}.0 or higher",
        ordinal, facts.name, facts.major, facts.minor, leastCapability));
  return facts;
}

Memory &Memory::operator=(Memory &&other) noexcept {
  std::swap(address, other.address);
  std::swap(bytes, other.bytes);
  std::swap(pinned, other.pinned);
  return *this;
}

Memory::~Memory() {
  // Without a driver there was nothing to allocate.
  if (auto api = driver(); address && api) {
    if (pinned)
      (*api)->cuMemFreeHost(address);
    else
      (*api)->cuMemFree(reinterpret_cast<CUdeviceptr>(address));
  }
}

Expected<std::unique_ptr<Device>> Device::open(int ordinal) {
  MBC_ASSIGN(const Driver *api, cuda::driver());
  MBC_ASSIGN(DeviceFacts facts, findDevice(ordinal));
  std::unique_ptr<Device> result(new Device(*api, std::move(facts)));
  MBC_TRY(
      checked(api->cuDeviceGet(&result->device, ordinal), "finding the GPU"));
  // The primary context is the one that libraries use.
  MBC_TRY(
      checked(api->cuDevicePrimaryCtxRetain(&result->context, result->device),
              "starting the GPU"));
  MBC_TRY(checked(api->cuCtxSetCurrent(result->context), "starting the GPU"));
  MBC_TRY(checked(api->cuStreamCreate(&result->queue, CU_STREAM_NON_BLOCKING),
                  "making a stream"));
  return result;
}

Device::~Device() {
  if (queue)
    driver.cuStreamDestroy(queue);
  if (context)
    driver.cuDevicePrimaryCtxRelease(device);
}

Status Device::enter() const {
  return checked(driver.cuCtxSetCurrent(context), "using the GPU");
}

Expected<uint64_t> Device::freeBytes() const {
  size_t free = 0, total = 0;
  MBC_TRY(checked(driver.cuMemGetInfo(&free, &total),
                  "asking for the GPU's free memory"));
  return free;
}

Expected<Memory> Device::allocate(uint64_t bytes,
                                  const std::string &what) const {
  Memory memory;
  if (bytes == 0)
    return memory;
  CUdeviceptr address = 0;
  CUresult result = driver.cuMemAlloc(&address, bytes);
  if (result == CUDA_ERROR_OUT_OF_MEMORY) {
    MBC_ASSIGN(uint64_t free, freeBytes());
    // What is known beforehand was found to fit: another process was faster.
    return systemError(fmt::format(
        "GPU {} ({}) has no {} in one piece for {}: {} are free now",
        known.ordinal, known.name, sizeText(bytes), what, sizeText(free)));
  }
  MBC_TRY(checked(result, fmt::format("taking memory for {}", what)));
  memory.address = reinterpret_cast<std::byte *>(address);
  memory.bytes = bytes;
  return memory;
}

Expected<Memory> Device::allocatePinned(uint64_t bytes) const {
  Memory memory;
  void *address = nullptr;
  MBC_TRY(checked(driver.cuMemAllocHost(&address, std::max<uint64_t>(bytes, 1)),
                  fmt::format("pinning {} of memory", sizeText(bytes))));
  memory.address = static_cast<std::byte *>(address);
  memory.bytes = bytes;
  memory.pinned = true;
  return memory;
}

Status Device::upload(void *device, const void *host, uint64_t bytes,
                      const std::string &what) const {
  if (bytes == 0)
    return {};
  return checked(driver.cuMemcpyHtoDAsync(reinterpret_cast<CUdeviceptr>(device),
                                          host, bytes, queue),
                 what);
}

Status Device::download(void *host, const void *device, uint64_t bytes,
                        const std::string &what) const {
  if (bytes == 0)
    return {};
  return checked(driver.cuMemcpyDtoHAsync(
                     host,
                     reinterpret_cast<CUdeviceptr>(const_cast<void *>(device)),
                     bytes, queue),
                 what);
}

bool Device::isCapturing() const {
  CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
  return driver.cuStreamIsCapturing(queue, &status) != CUDA_SUCCESS ||
         status != CU_STREAM_CAPTURE_STATUS_NONE;
}

Status Device::wait(const std::string &what) const {
  return checked(driver.cuStreamSynchronize(queue), what);
}

} // namespace mbc::cuda
