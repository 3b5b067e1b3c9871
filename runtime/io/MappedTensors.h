//===- MappedTensors.h - One side of a copy plan seen as the other -*- C++
//-*-===//
#pragma once

#include "runtime/io/CopyPlan.h"
#include "runtime/io/TensorSet.h"

#include <memory>

namespace mbc {

/// Which side of a plan a set presents.
enum class PlanSide { HuggingFace, Megatron };

/// The tensors of one side of a plan, read from a set that holds the other.
/// Nothing is copied or cached: an interval of a tensor is located through the
/// plan's boxes in the source's files.
class MappedTensors final : public TensorSet {
public:
  /// `present`: the side that this set shows; `source` holds the other side and
  /// must outlive it. `extras` (may be null) holds the tensors that only the
  /// Hugging Face side has; block scales among them are presented too. FP8
  /// tensors are presented, and read from the source, as values in the type
  /// that Megatron holds them in: see ScaledTensors. Every source tensor that
  /// the plan names must exist with the plan's shape, else an Input error.
  static Expected<std::unique_ptr<MappedTensors>>
  create(const plan::PlanT &plan, PlanSide present, const TensorSet &source,
         const TensorSet *extras = nullptr);

  void locate(size_t index, int64_t begin, int64_t count, int64_t dest,
              std::vector<Extent> &out) const override;

private:
  /// A copy at one tuple of loop indices, seen from the presented side.
  struct Instance {
    uint32_t copy;
    uint32_t source;    ///< tensor of the source set
    int64_t targetBase; ///< element offsets of the box's origin
    int64_t sourceBase;
  };
  /// Box of one copy, dimensions by descending target stride, merged.
  struct Box {
    std::vector<int64_t> extents, target, source;
    int64_t targetSpan = 1; ///< last target element + 1, from the origin
  };
  struct Runs;

  MappedTensors(const TensorSet &source, const TensorSet *extras)
      : source(source), extras(extras) {}

  const TensorSet &source;
  const TensorSet *extras;
  std::vector<Box> boxes;
  /// Instances of tensor t: [starts[t], starts[t + 1]), by target base.
  std::vector<uint32_t> starts;
  std::vector<Instance> instances;
  /// Longest span of the boxes of tensor t.
  std::vector<int64_t> spans;
  /// Tensor t is the tensor alias[t] of this set (ties), or of `extras`.
  std::vector<int64_t> aliases;
  std::vector<int64_t> extraIndex;
};

/// The types that the plan's Megatron side gives to the Hugging Face tensors of
/// `set`, which holds all that the plan names; other tensors keep their own.
std::vector<DType> plannedTypes(const TensorSet &set, const plan::PlanT &plan);

} // namespace mbc
