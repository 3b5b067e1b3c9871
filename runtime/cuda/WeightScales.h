//===- WeightScales.h - Block scales of FP8 weights -------------*- C++ -*-===//
#pragma once

#include "runtime/cuda/Device.h"
#include "runtime/cuda/kernels/Arguments.h"
#include "runtime/program/WeightSource.h"

namespace mbc::cuda {

/// The scales of a program's FP8 weights in device memory. Rows of a weight
/// come from tensors whose blocks begin anywhere among them: as many
/// neighbours share a row of scales as the cuts allow, a power of two.
class WeightScales {
public:
  explicit WeightScales(const program::ProgramT &program);

  /// Device memory for scales of every row, which is the most there can be;
  /// 0: no weight is FP8.
  uint64_t bytes() const { return total; }
  Status allocate(const Device &device);

  /// Copies an instance's, as `scales` says where its rows have them.
  Status set(const Device &device, size_t weight, size_t instance,
             const ScaledRows &scales);
  BlockScales of(size_t weight, size_t instance) const;

private:
  const program::ProgramT &program;
  uint64_t total = 0;
  /// Of each weight: its first instance in `shifts`, and in bytes where that
  /// lies and where the next does.
  struct Place {
    size_t first;
    uint64_t offset, bytes;
  };
  std::vector<Place> places;
  std::vector<int32_t> shifts;
  Memory memory;
};

} // namespace mbc::cuda
