//===- WeightScales.cpp ---------------------------------------------------===//

#include "runtime/cuda/WeightScales.h"

#include "runtime/program/Program.h"

#include <algorithm>
#include <bit>

namespace mbc::cuda {

/// Scales of a row.
static int64_t strideOf(const program::WeightT &weight) {
  return (weight.cols + weight.block[1] - 1) / weight.block[1];
}

WeightScales::WeightScales(const program::ProgramT &program)
    : program(program) {
  for (const auto &weight : program.weights) {
    Place &place = places.emplace_back(Place{shifts.size(), total, 0});
    if (weight->block.empty())
      continue;
    constexpr uint64_t alignment = 64;
    place.bytes = uint64_t(weight->batch) * weight->rows * strideOf(*weight) *
                  sizeof(float);
    place.bytes = (place.bytes + alignment - 1) / alignment * alignment;
    total += place.bytes * instancesOf(*weight);
    shifts.resize(shifts.size() + instancesOf(*weight));
  }
}

Status WeightScales::allocate(const Device &device) {
  if (total == 0)
    return {};
  MBC_ASSIGN(memory, device.allocate(total, "scales of weights"));
  return {};
}

Status WeightScales::set(const Device &device, size_t weight, size_t instance,
                         const ScaledRows &scales) {
  const program::WeightT &of = *program.weights[weight];
  int64_t rows = int64_t(of.batch) * of.rows, stride = strideOf(of),
          blockRows = of.block[0];
  // Where a row has other scales than the one before, and who has them.
  std::vector<int64_t> grids(rows);
  uint64_t cuts = std::bit_ceil(static_cast<uint64_t>(rows));
  for (const ScaledRows::Run &run : scales.runs)
    for (int64_t i = 0; i < run.count; ++i) {
      grids[run.first + i] =
          static_cast<int64_t>(run.grid) + (run.row + i) / blockRows * stride;
      if (i == 0 || (run.row + i) % blockRows == 0)
        cuts |= static_cast<uint64_t>(run.first + i);
    }
  int shift = std::countr_zero(cuts);
  std::vector<float> table;
  for (int64_t row = 0; row < rows; row += int64_t(1) << shift) {
    auto from = scales.grids.begin() + grids[row];
    table.insert(table.end(), from, from + stride);
  }
  const Place &place = places[weight];
  shifts[place.first + instance] = shift;
  MBC_TRY(device.upload(memory.data() + place.offset + instance * place.bytes,
                        table.data(), table.size() * sizeof(float),
                        "copying scales of weights"));
  return device.wait("copying scales of weights");
}

BlockScales WeightScales::of(size_t weight, size_t instance) const {
  const program::WeightT &of = *program.weights[weight];
  if (of.block.empty())
    return {};
  const Place &place = places[weight];
  return {reinterpret_cast<const float *>(memory.data() + place.offset +
                                          instance * place.bytes),
          shifts[place.first + instance], static_cast<int32_t>(strideOf(of)),
          static_cast<int32_t>(of.block[1])};
}

} // namespace mbc::cuda
