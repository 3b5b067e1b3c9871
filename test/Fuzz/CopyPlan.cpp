//===- CopyPlan.cpp - Copy plans as flatbuffers ---------------------------===//

#include "runtime/io/CopyPlan.h"
#include "test/Fuzz/FuzzTarget.h"

#include <cstring>
#include <vector>

using namespace mbc;

const fuzz::MemoryLimit fuzz::memoryLimit{512, 1 << 16};

void fuzz::fuzz(std::string_view input) {
  // Flatbuffers are read in place, at 8 bytes' alignment.
  std::vector<uint64_t> aligned((input.size() + 7) / 8);
  if (!input.empty())
    std::memcpy(aligned.data(), input.data(), input.size());
  auto plan = parsePlan(
      {reinterpret_cast<const uint8_t *>(aligned.data()), input.size()},
      "input");
  if (!plan)
    return;
  std::vector<uint8_t> bytes = serializePlan(*plan);
  auto again = parsePlan(bytes, "written");
  MBC_FUZZ_REQUIRE(again);
  MBC_FUZZ_REQUIRE(serializePlan(*again) == bytes);
  for (const auto &copy : plan->copies) {
    // A few of the names are enough: loops may have 2^24 values each.
    size_t left = 100;
    (void)forEachIndex(copy->loops,
                       [&](std::span<const uint32_t> indices) -> Status {
                         (void)spell(*copy->hf, indices);
                         (void)spell(*copy->mcore, indices);
                         if (--left == 0)
                           return inputError("enough");
                         return {};
                       });
  }
}
