//===- ScaledWeights.h - FP8 weights of a folder ----------------*- C++ -*-===//
#pragma once

#include "runtime/io/ScaledTensors.h"

#include <string>
#include <vector>

namespace mbc {

/// Those tensors of a Hugging Face folder that are FP8, with their block
/// scales, as `plan` names both. An Input error, with `folder` in it, for FP8
/// that the plan says nothing of, for a scale beside a tensor that is not FP8,
/// and for an 8-bit or smaller float of another kind.
Expected<std::vector<ScaledName>> scaledWeights(const plan::PlanT &plan,
                                                const TensorSet &set,
                                                const std::string &folder);

} // namespace mbc
