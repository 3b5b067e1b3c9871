//===- CopyPlan.h - Reading and writing copy plans --------------*- C++ -*-===//
//
// See runtime/schema/plan.fbs for what a plan says.
//
//===----------------------------------------------------------------------===//
#pragma once

#include "runtime/core/Error.h"
#include "runtime/schema/plan_generated.h"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace mbc {

/// The version this build writes; older ones are read, newer ones refused.
constexpr uint32_t kPlanVersion = 2;

std::vector<uint8_t> serializePlan(const plan::PlanT &plan);
/// Verifies the buffer and every number in it (ranks of boxes, loop references,
/// boxes inside their tensors). `origin` names it in errors. The buffer must
/// lie at a multiple of 8.
Expected<plan::PlanT> parsePlan(std::span<const uint8_t> bytes,
                                const std::string &origin);

/// The name at one tuple of loop indices.
std::string spell(const plan::NameT &name, std::span<const uint32_t> indices);

/// Calls `fn` with every tuple of indices of a loop nest, outermost slowest.
Status forEachIndex(const std::vector<std::unique_ptr<plan::LoopT>> &loops,
                    const std::function<Status(std::span<const uint32_t>)> &fn);

} // namespace mbc
