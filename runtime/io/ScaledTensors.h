//===- ScaledTensors.h - FP8 seen as values, or values as FP8 ---*- C++ -*-===//
#pragma once

#include "runtime/io/CopyPlan.h"
#include "runtime/io/TensorSet.h"

#include <string>
#include <vector>

namespace mbc {

/// An FP8 tensor of the Hugging Face side of a plan and its block scales.
struct ScaledName {
  std::string name, scale;
  int64_t blockRows, blockCols;
  DType value; ///< what Megatron holds it in
};

/// Those that are FP8 in the folder that a plan was made for, in its order.
std::vector<ScaledName> scaledNames(const plan::PlanT &plan);

/// Indices of the tensors of `set` but the block scales of `names`, which mean
/// nothing beside values.
std::vector<size_t> withoutScales(const TensorSet &set,
                                  const std::vector<ScaledName> &names);

/// The shape of a tensor's scales: blocks cut its last two dimensions.
std::vector<int64_t> scaleShape(std::span<const int64_t> shape,
                                int64_t blockRows, int64_t blockCols);

/// A set in which some tensors are presented in another type through block
/// scales that the set holds too: FP8 as values (`dequantized`), or values as
/// FP8 (`quantized`). All other tensors, the scales among them, stay.
class ScaledTensors final : public TensorSet {
public:
  /// Each of `names` as `value`. Input error if a tensor or its scale is
  /// missing or has another shape than the plan gave it. `set` must outlive
  /// this.
  static Expected<std::unique_ptr<ScaledTensors>>
  dequantized(const TensorSet &set, const std::vector<ScaledName> &names);
  /// Each of `names` as F8E4M3; who reads counts what is lost by it.
  static Expected<std::unique_ptr<ScaledTensors>>
  quantized(const TensorSet &set, const std::vector<ScaledName> &names);

  void locate(size_t index, int64_t begin, int64_t count, int64_t dest,
              std::vector<Extent> &out) const override;

  /// After reading: a quantised tensor of which elements do not come back when
  /// they are dequantised again.
  struct Lost {
    std::string name;
    uint64_t elements;
  };
  std::vector<Lost> lost() const;

private:
  explicit ScaledTensors(const TensorSet &set);
  Status link(const std::vector<ScaledName> &names, bool quantize);

  const TensorSet &set;
  /// Of each tensor: index into scales(), or -1.
  std::vector<int32_t> links;
};

/// The FP8 tensors of `set`, one of `dequantized`, whose original bytes cannot
/// be derived again from their values and scales: scales so small, so large or
/// zero that values are lost. Proved block by block (restoresEveryByte); the
/// bytes of a block are read only where the proof does not hold.
Expected<std::vector<ScaledTensors::Lost>>
findUnrestorable(const ScaledTensors &set, unsigned threads);

} // namespace mbc
