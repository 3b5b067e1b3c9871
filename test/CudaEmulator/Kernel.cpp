//===- Kernel.cpp ---------------------------------------------------------===//

#include "test/CudaEmulator/Kernel.h"

namespace mbc::emulator {

/// Filled before main, by one thread.
static const Kernel *&first() {
  static const Kernel *kernel = nullptr;
  return kernel;
}

Kernel::Kernel(std::string_view name, Run run)
    : run(run), name(name), next(first()) {
  first() = this;
}

const Kernel *Kernel::find(std::string_view name) {
  for (const Kernel *kernel = first(); kernel; kernel = kernel->next)
    if (kernel->name == name)
      return kernel;
  return nullptr;
}

} // namespace mbc::emulator
