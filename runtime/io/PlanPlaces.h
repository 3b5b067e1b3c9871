//===- PlanPlaces.h - Where tensors stand in the model ----------*- C++ -*-===//
#pragma once

#include "runtime/io/CopyPlan.h"

#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace mbc {

/// The place of every Hugging Face tensor that a plan names: which family of
/// copies it belongs to, and at which layer, expert and so on.
class PlanPlaces {
public:
  struct Place {
    const plan::CopyT *copy;
    std::vector<uint32_t> indices; ///< one for each loop of the copy
  };

  /// The plan must outlive this.
  explicit PlanPlaces(const plan::PlanT &plan);

  /// The place of a tensor; of a tied copy, that of its original. Null when the
  /// plan does not name it.
  const Place *find(std::string_view name) const;
  /// How many tensors stand at these indices of the first loops, the first of
  /// them over `over`: the tensors of a layer, of an expert of a layer.
  size_t count(std::string_view over, std::span<const uint32_t> first) const;
  /// Every tensor that has a place, ascending.
  std::vector<std::string> names() const;

private:
  std::unordered_map<std::string, Place> places;
};

/// The element of the Megatron tensor that is `element` of the Hugging Face
/// tensor at this place, without what the loops add; none where the copy does
/// not have it.
std::optional<int64_t> counterpart(const PlanPlaces::Place &place,
                                   int64_t element);

/// "decoder.attn.qkv (l = 2)".
std::string placeText(const PlanPlaces::Place &place);

/// Where element `element` of the Hugging Face tensor `name` belongs:
/// "decoder.attn.qkv (l = 3): kv_heads 2, head_dim 5, hidden 17"; empty when
/// the plan does not say.
std::string logicalIndex(const PlanPlaces &places, std::string_view name,
                         int64_t element);

} // namespace mbc
