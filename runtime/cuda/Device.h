//===- Device.h - A GPU, its memory and its stream --------------*- C++ -*-===//
#pragma once

#include "runtime/cuda/Profile.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace mbc::cuda {

/// The least major compute capability that kernels are assembled for: 8.0.
constexpr int leastCapability = 8;

/// What is known of a GPU without starting it.
struct DeviceFacts {
  int ordinal;
  std::string name;
  int major, minor; ///< compute capability
  int processors;   ///< streaming multiprocessors
  uint64_t bytes;   ///< of memory
};

/// Every GPU that the driver shows. A System error where there is none.
Expected<std::vector<DeviceFacts>> listDevices();

/// Of one GPU. An Input error where the driver does not show so many, a System
/// error where there is no driver or GPU, or it is too old for mbc.
Expected<DeviceFacts> findDevice(int ordinal);

class Device;

/// Memory of the device, or pinned memory of the host. Freed with its owner.
class Memory {
public:
  Memory() = default;
  Memory(Memory &&other) noexcept { *this = std::move(other); }
  Memory &operator=(Memory &&other) noexcept;
  ~Memory();

  std::byte *data() const { return address; }
  uint64_t size() const { return bytes; }

private:
  friend class Device;
  std::byte *address = nullptr;
  uint64_t bytes = 0;
  bool pinned = false;
};

/// The context and the stream on which everything of a session is done, in
/// order.
class Device {
public:
  /// A System error names what is missing.
  static Expected<std::unique_ptr<Device>> open(int ordinal);
  ~Device();

  const DeviceFacts &facts() const { return known; }
  const Driver &api() const { return driver; }
  CUstream stream() const { return queue; }

  /// Lets the calling thread use the device: each has to, but the one that
  /// opened it.
  Status enter() const;
  /// Free bytes of the device's memory.
  Expected<uint64_t> freeBytes() const;
  /// `what` stands in the error, which says how much is free: "weights".
  Expected<Memory> allocate(uint64_t bytes, const std::string &what) const;
  Expected<Memory> allocatePinned(uint64_t bytes) const;

  /// In the order of the stream; `host` must be pinned to overlap.
  Status upload(void *device, const void *host, uint64_t bytes,
                const std::string &what) const;
  Status download(void *host, const void *device, uint64_t bytes,
                  const std::string &what) const;
  /// Whether what is put on the stream now becomes a graph.
  bool isCapturing() const;
  /// Waits for all that was asked for. What failed meanwhile is said here.
  Status wait(const std::string &what) const;

  /// `launch` puts a kernel, or a library's kernels, on the stream; where a
  /// profile is kept, it notes their time under `name`.
  template <typename Launch>
  Status timed(const std::string &name, Launch launch) const {
    return profile ? profile->time(name, queue, launch) : launch();
  }
  /// Null: none.
  void keepProfile(Profile *of) { profile = of; }

private:
  Device(const Driver &driver, DeviceFacts facts)
      : driver(driver), known(std::move(facts)) {}

  const Driver &driver;
  DeviceFacts known;
  CUdevice device = 0;
  CUcontext context = nullptr;
  CUstream queue = nullptr;
  Profile *profile = nullptr;
};

} // namespace mbc::cuda
