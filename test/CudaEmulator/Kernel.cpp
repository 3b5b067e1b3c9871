//===- Kernel.cpp ---------------------------------------------------------===//

#include "test/CudaEmulator/Kernel.h"

namespace mbc::emulator {

/// Filled before main, by one thread.
static const Kernel *&first() {
  static const Kernel *kernel = nullptr;
  return kernel;
}

Kernel::Kernel(const char *name, Bind bind)
    : name(name), bind(bind), next(first()) {
  first() = this;
}

std::vector<const Kernel *> Kernel::all() {
  std::vector<const Kernel *> kernels;
  for (const Kernel *kernel = first(); kernel; kernel = kernel->next)
    kernels.push_back(kernel);
  return kernels;
}

} // namespace mbc::emulator
