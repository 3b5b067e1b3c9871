//===- PlanPlaces.cpp - Where tensors stand in the model ------------------===//
#include "runtime/io/PlanPlaces.h"

#include <algorithm>
#include <fmt/format.h>
#include <optional>

namespace mbc {

PlanPlaces::PlanPlaces(const plan::PlanT &plan) {
  for (const auto &copy : plan.copies)
    (void)forEachIndex(copy->loops, [&](std::span<const uint32_t> indices) {
      places.try_emplace(spell(*copy->hf, indices),
                         Place{copy.get(), {indices.begin(), indices.end()}});
      return Status();
    });
  for (const auto &tie : plan.ties)
    if (auto it = places.find(tie->original); it != places.end())
      places.try_emplace(tie->copy, it->second);
}

const PlanPlaces::Place *PlanPlaces::find(std::string_view name) const {
  auto it = places.find(std::string(name));
  return it == places.end() ? nullptr : &it->second;
}

size_t PlanPlaces::count(std::string_view over,
                         std::span<const uint32_t> first) const {
  return std::ranges::count_if(places, [&](const auto &item) {
    const Place &place = item.second;
    return place.indices.size() >= first.size() &&
           place.copy->loops[0]->over == over &&
           std::ranges::equal(first,
                              std::span(place.indices).first(first.size()));
  });
}

std::vector<std::string> PlanPlaces::names() const {
  std::vector<std::string> result;
  for (const auto &[name, place] : places)
    result.push_back(name);
  std::ranges::sort(result);
  return result;
}

std::string placeText(const PlanPlaces::Place &place) {
  std::string text = place.copy->path;
  for (size_t i = 0; i < place.indices.size(); ++i)
    text += fmt::format("{}{} = {}", i ? ", " : " (",
                        place.copy->loops[i]->index, place.indices[i]);
  return place.indices.empty() ? text : text + ")";
}

/// The point of a copy's box that is `element` of its Hugging Face tensor, or
/// none. Larger strides first: what they leave is below the next one.
static std::optional<std::vector<int64_t>> pointOf(const plan::CopyT &copy,
                                                   int64_t rest) {
  std::vector<size_t> order;
  for (size_t dim = 0; dim < copy.extents.size(); ++dim)
    order.push_back(dim);
  std::ranges::sort(order, [&](size_t x, size_t y) {
    return copy.hf_strides[x] > copy.hf_strides[y];
  });
  std::vector<int64_t> point(copy.extents.size(), 0);
  for (size_t dim : order) {
    int64_t stride = copy.hf_strides[dim];
    if (copy.extents[dim] == 1 || stride <= 0)
      continue;
    point[dim] = std::min(rest / stride, copy.extents[dim] - 1);
    rest -= point[dim] * stride;
  }
  if (rest != 0)
    return std::nullopt;
  return point;
}

/// The point of the box at this place that is `element` of its tensor.
static std::optional<std::vector<int64_t>>
pointAt(const PlanPlaces::Place &place, int64_t element) {
  const plan::CopyT &copy = *place.copy;
  int64_t rest = element - copy.hf_base;
  for (size_t i = 0; i < place.indices.size(); ++i)
    rest -= copy.hf_loop_strides[i] * place.indices[i];
  return rest < 0 ? std::nullopt : pointOf(copy, rest);
}

std::optional<int64_t> counterpart(const PlanPlaces::Place &place,
                                   int64_t element) {
  auto point = pointAt(place, element);
  if (!point)
    return std::nullopt;
  int64_t result = place.copy->mcore_base;
  for (size_t dim = 0; dim < point->size(); ++dim)
    result += place.copy->mcore_strides[dim] * (*point)[dim];
  return result;
}

std::string logicalIndex(const PlanPlaces &places, std::string_view name,
                         int64_t element) {
  const PlanPlaces::Place *place = places.find(name);
  auto point = place ? pointAt(*place, element) : std::nullopt;
  if (!point)
    return {};
  const plan::CopyT &copy = *place->copy;
  std::string text = placeText(*place);
  for (size_t dim = 0; dim < point->size() && dim < copy.axes.size(); ++dim)
    text += fmt::format("{}{} {}", dim ? ", " : ": ", copy.axes[dim],
                        (*point)[dim]);
  return text;
}

} // namespace mbc
