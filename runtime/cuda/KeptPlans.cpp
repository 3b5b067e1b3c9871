//===- KeptPlans.cpp ------------------------------------------------------===//

#include "runtime/cuda/KeptPlans.h"

#include <fmt/format.h>

namespace mbc::cuda {

KeptPlans::KeptPlans(const Device &device, std::string_view library)
    : prefix(fmt::format("{} | {} {}.{} {} | ", library, device.facts().name,
                         device.facts().major, device.facts().minor,
                         device.facts().processors)) {
  // An environment that is wrong is for the commands to refuse.
  if (auto found = ProgramCache::fromEnvironment())
    cache = std::move(*found);
}

std::optional<std::string> KeptPlans::find(std::string_view what) const {
  return cache ? cache->findPlan(prefix + std::string(what)) : std::nullopt;
}

void KeptPlans::store(std::string_view what, std::string_view plan) const {
  if (cache)
    cache->storePlan(prefix + std::string(what), plan);
}

} // namespace mbc::cuda
