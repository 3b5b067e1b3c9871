//===- Dispatch.cpp - The kernels of this machine -------------------------===//

#include "runtime/host/kernels/Kernels.h"

#include <cstdlib>
#include <string_view>

namespace mbc::host {

/// The table of that name, or null where the machine does not run it.
static const Kernels *find(std::string_view isa) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (isa == "v4" && __builtin_cpu_supports("x86-64-v4") &&
      __builtin_cpu_supports("avx512bf16"))
    return &v4::table;
  if (isa == "v3" && __builtin_cpu_supports("x86-64-v3"))
    return &v3::table;
#endif
  return isa == "baseline" ? &baseline::table : nullptr;
}

static const Kernels *choose() {
  // For comparing machines: the best up to baseline, v3 or v4.
  const char *asked = std::getenv("MBC_HOST_ISA");
  bool allowed = asked == nullptr;
  for (const char *isa : {"v4", "v3"}) {
    allowed |= asked && std::string_view(asked) == isa;
    if (const Kernels *table = allowed ? find(isa) : nullptr)
      return table;
  }
  return &baseline::table;
}

static const Kernels *&current() {
  static const Kernels *chosen = choose();
  return chosen;
}

const Kernels &kernels() { return *current(); }

bool selectKernels(const char *isa) {
  const Kernels *table = find(isa);
  if (table)
    current() = table;
  return table != nullptr;
}

} // namespace mbc::host
