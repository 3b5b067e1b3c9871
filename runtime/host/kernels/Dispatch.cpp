//===- Dispatch.cpp - The kernels of this machine -------------------------===//

#include "runtime/host/kernels/Kernels.h"

#include <algorithm>
#include <cstdlib>
#include <iterator>
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

/// Instruction sets, the best first.
static constexpr std::string_view sets[] = {"v4", "v3", "baseline"};

/// Where the best set that is allowed stands among them.
static size_t &allowed() {
  static size_t best = [] {
    // For comparing machines: the best up to baseline, v3 or v4.
    const char *asked = std::getenv("MBC_HOST_ISA");
    const auto *found = asked ? std::ranges::find(sets, asked) : sets;
    return std::min<size_t>(found - sets, std::size(sets) - 1);
  }();
  return best;
}

static const Kernels *choose() {
  for (size_t i = allowed();; ++i)
    if (const Kernels *table = find(sets[i]))
      return table;
}

static const Kernels *&current() {
  static const Kernels *chosen = choose();
  return chosen;
}

const Kernels &kernels() { return *current(); }

bool selectKernels(const char *isa) {
  const Kernels *table = find(isa);
  if (table) {
    current() = table;
    allowed() = std::ranges::find(sets, isa) - sets;
  }
  return table != nullptr;
}

bool runsCode(const char *name) {
#if defined(__x86_64__)
  std::string_view target = name;
  __builtin_cpu_init();
  if (target == "x86-64-v4")
    return allowed() == 0 && __builtin_cpu_supports("x86-64-v4");
  if (target == "x86-64-v3")
    return allowed() <= 1 && __builtin_cpu_supports("x86-64-v3");
#endif
  return false;
}

} // namespace mbc::host
