//===- Kernels.h - Device code and its launches -----------------*- C++ -*-===//
#pragma once

#include "runtime/cuda/Device.h"

#include <map>
#include <string>
#include <vector>

namespace mbc::cuda {

/// Blocks of a launch, threads of a block, and bytes of shared memory that the
/// kernel asks for beyond its own.
struct Shape {
  int64_t x = 1, y = 1, z = 1;
  unsigned threads = 128;
  unsigned shared = 0;
  /// The kernel waits for those before it by itself (kernels/Overlap.cuh).
  bool overlaps = false;
};

/// The kernels of `kernels/`, which the program carries for several
/// architectures.
class Kernels {
public:
  /// `device` must outlive the result. A System error where no image fits it.
  static Expected<std::unique_ptr<Kernels>> load(const Device &device);
  ~Kernels();

  /// Puts a launch on the stream. The arguments are the kernel's parameters,
  /// with the very types that it declares.
  template <typename... Arguments>
  Status launch(const char *name, const Shape &shape,
                const Arguments &...arguments) {
    void *list[] = {
        const_cast<void *>(static_cast<const void *>(&arguments))...};
    return launch(name, shape, list);
  }

  /// The same for arguments by their addresses.
  Status launch(const char *name, const Shape &shape, void **arguments);

  /// Adds the kernels of a program's cubin or PTX; false where it is for
  /// another architecture. `what` names it in errors.
  Expected<bool> add(const void *image, const std::string &what);
  /// Some are for a single architecture.
  bool has(const char *name) const { return functions.contains(name); }

private:
  explicit Kernels(const Device &device) : device(device) {}
  Status enter(CUmodule module);

  struct Function {
    CUfunction handle;
    /// Made for an architecture on which kernels overlap.
    bool overlaps;
  };
  const Device &device;
  std::vector<CUmodule> modules;
  std::map<std::string, Function, std::less<>> functions;
};

} // namespace mbc::cuda
