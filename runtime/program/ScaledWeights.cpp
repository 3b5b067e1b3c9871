//===- ScaledWeights.cpp --------------------------------------------------===//
#include "runtime/program/ScaledWeights.h"

#include "runtime/core/Text.h"

#include <algorithm>
#include <fmt/format.h>

namespace mbc {

/// One tensor that a copy names: FP8 with blocks, or a wider float without.
static Status checkType(const plan::CopyT &copy, const TensorSet &set,
                        const TensorInfo &info, const std::string &folder) {
  auto refuse = [&](const std::string &why) {
    return inputError(fmt::format("{}: tensor {} is {}, {}", folder,
                                  quote(info.name), safetensorsName(info.dtype),
                                  why));
  };
  if (info.dtype == DType::F8E4M3)
    return copy.hf_block.empty()
               ? Status(refuse("and the program was compiled for a config.json "
                               "without a quantization_config that says how; "
                               "compile it with that of these weights"))
               : Status();
  if (!isFloat(info.dtype) || bitsOf(info.dtype) < 16)
    return refuse("which no program reads; expected F32, BF16, F16, or "
                  "F8_E4M3 with block scales");
  std::string scale = info.name + copy.hf_scale;
  if (!copy.hf_scale.empty() && set.find(scale) >= 0)
    return refuse(fmt::format("yet '{}' is a block scale of it; expected "
                              "F8_E4M3",
                              scale));
  return {};
}

Expected<std::vector<ScaledName>> scaledWeights(const plan::PlanT &plan,
                                                const TensorSet &set,
                                                const std::string &folder) {
  for (const auto &copy : plan.copies)
    MBC_TRY(forEachIndex(
        copy->loops, [&](std::span<const uint32_t> indices) -> Status {
          int64_t tensor = set.find(spell(*copy->hf, indices));
          return tensor < 0
                     ? Status()
                     : checkType(*copy, set, set.tensors()[tensor], folder);
        }));
  std::vector<ScaledName> names = scaledNames(plan);
  std::erase_if(names, [&](const ScaledName &item) {
    int64_t tensor = set.find(item.name);
    return tensor < 0 || set.tensors()[tensor].dtype != DType::F8E4M3;
  });
  return names;
}

} // namespace mbc
