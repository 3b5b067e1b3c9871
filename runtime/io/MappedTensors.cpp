//===- MappedTensors.cpp --------------------------------------------------===//
#include "runtime/io/MappedTensors.h"

#include "runtime/io/ScaledTensors.h"

#include <algorithm>
#include <fmt/format.h>
#include <numeric>

namespace mbc {

namespace {

/// The half of a copy that belongs to one side.
struct Half {
  const plan::NameT *name;
  const std::vector<int64_t> *shape, *strides, *loopStrides;
  int64_t base;
  plan::DType dtype;
};

Half half(const plan::CopyT &copy, PlanSide side) {
  if (side == PlanSide::HuggingFace)
    // Of FP8 the values: scales are applied by ScaledTensors.
    return {copy.hf.get(),
            &copy.hf_shape,
            &copy.hf_strides,
            &copy.hf_loop_strides,
            copy.hf_base,
            copy.hf_block.empty() ? copy.hf_dtype : copy.mcore_dtype};
  return {copy.mcore.get(),         &copy.mcore_shape, &copy.mcore_strides,
          &copy.mcore_loop_strides, copy.mcore_base,   copy.mcore_dtype};
}

/// Equal shapes; a padded tensor may have more rows, which are never read.
bool holds(const std::vector<int64_t> &stored,
           const std::vector<int64_t> &planned, bool padded) {
  if (stored == planned)
    return true;
  return padded && stored.size() == planned.size() && !stored.empty() &&
         stored[0] >= planned[0] &&
         std::equal(stored.begin() + 1, stored.end(), planned.begin() + 1);
}

int64_t offsetOf(const Half &side, std::span<const uint32_t> indices) {
  int64_t offset = side.base;
  for (size_t l = 0; l < indices.size(); ++l)
    offset += (*side.loopStrides)[l] * indices[l];
  return offset;
}

} // namespace

Expected<std::unique_ptr<MappedTensors>>
MappedTensors::create(const plan::PlanT &plan, PlanSide present,
                      const TensorSet &source, const TensorSet *extras) {
  std::unique_ptr<MappedTensors> set(new MappedTensors(source, extras));
  PlanSide other = present == PlanSide::HuggingFace ? PlanSide::Megatron
                                                    : PlanSide::HuggingFace;
  set->sharePlaces(source);
  if (extras)
    set->paths.append(extras->files());

  std::unordered_map<std::string, uint32_t> byName;
  std::vector<std::pair<uint32_t, Instance>> found;
  for (const auto &copy : plan.copies) {
    Half target = half(*copy, present), from = half(*copy, other);

    // Order the box by target stride and merge what is contiguous on both
    // sides, so that runs are as long as they can be.
    std::vector<size_t> order(copy->extents.size());
    std::iota(order.begin(), order.end(), 0);
    std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
      return (*target.strides)[a] > (*target.strides)[b];
    });
    Box box;
    for (size_t d : order) {
      int64_t extent = copy->extents[d], t = (*target.strides)[d],
              s = (*from.strides)[d];
      if (extent == 1)
        continue;
      if (!box.extents.empty() && box.target.back() == t * extent &&
          box.source.back() == s * extent) {
        box.extents.back() *= extent;
        box.target.back() = t;
        box.source.back() = s;
      } else {
        box.extents.push_back(extent);
        box.target.push_back(t);
        box.source.push_back(s);
      }
      box.targetSpan += t * (extent - 1);
    }
    auto copyIndex = static_cast<uint32_t>(set->boxes.size());
    set->boxes.push_back(std::move(box));

    MBC_TRY(forEachIndex(
        copy->loops, [&](std::span<const uint32_t> indices) -> Status {
          std::string name = spell(*target.name, indices);
          auto [it, isNew] = byName.try_emplace(name, set->infos.size());
          auto type = static_cast<DType>(target.dtype);
          if (isNew)
            set->infos.push_back({name, type, *target.shape});
          else if (set->infos[it->second].shape != *target.shape ||
                   set->infos[it->second].dtype != type)
            return inputError(fmt::format(
                "copy plan gives tensor '{}' two shapes or dtypes", name));
          std::string sourceName = spell(*from.name, indices);
          int64_t index = source.find(sourceName);
          if (index < 0)
            return inputError(fmt::format(
                "tensor '{}' is missing; it holds '{}'", sourceName, name));
          if (!holds(source.tensors()[index].shape, *from.shape,
                     copy->mcore_padded && other == PlanSide::Megatron))
            return inputError(
                fmt::format("tensor '{}' has shape {}, expected {}", sourceName,
                            shapeText(source.tensors()[index].shape),
                            shapeText(*from.shape)));
          found.push_back(
              {it->second,
               {copyIndex, static_cast<uint32_t>(index),
                offsetOf(target, indices), offsetOf(from, indices)}});
          return {};
        }));
  }

  // Group the instances by target tensor, in order of their origin.
  std::sort(found.begin(), found.end(), [](const auto &a, const auto &b) {
    return std::tie(a.first, a.second.targetBase, a.second.copy) <
           std::tie(b.first, b.second.targetBase, b.second.copy);
  });
  set->starts.assign(set->infos.size() + 1, 0);
  set->spans.assign(set->infos.size(), 0);
  for (const auto &[tensor, instance] : found) {
    ++set->starts[tensor + 1];
    set->spans[tensor] =
        std::max(set->spans[tensor], set->boxes[instance.copy].targetSpan);
    set->instances.push_back(instance);
  }
  std::partial_sum(set->starts.begin(), set->starts.end(), set->starts.begin());
  set->aliases.assign(set->infos.size(), -1);
  set->extraIndex.assign(set->infos.size(), -1);

  if (present == PlanSide::HuggingFace) {
    for (const auto &tie : plan.ties) {
      auto it = byName.find(tie->original);
      if (it == byName.end())
        return inputError(
            fmt::format("copy plan ties '{}' to '{}', which is not there",
                        tie->copy, tie->original));
      set->infos.push_back(
          {tie->copy, static_cast<DType>(tie->dtype), tie->shape});
      set->aliases.push_back(it->second);
      set->extraIndex.push_back(-1);
    }
    for (const auto &extra : plan.extras) {
      int64_t index = extras ? extras->find(extra->name) : -1;
      if (index < 0)
        return inputError(fmt::format(
            "tensor '{}', which only the Hugging Face folder has, is missing",
            extra->name));
      set->infos.push_back(
          {extra->name, static_cast<DType>(extra->dtype), extra->shape});
      set->aliases.push_back(-1);
      set->extraIndex.push_back(index);
    }
    for (const ScaledName &scaled : scaledNames(plan))
      if (int64_t index = extras ? extras->find(scaled.scale) : -1;
          index >= 0) {
        set->infos.push_back(extras->tensors()[index]);
        set->aliases.push_back(-1);
        set->extraIndex.push_back(index);
      }
  }
  set->indexNames();
  return set;
}

/// Walks the part of one box that lies in [begin, end) of the target.
struct MappedTensors::Runs {
  const Box &box;
  const TensorSet &source;
  size_t tensor;
  int64_t begin, end, dest;
  std::vector<Extent> &out;

  /// Emits `count` points at stride (t, s) from the two positions.
  void innermost(int64_t count, int64_t t, int64_t s, int64_t target,
                 int64_t from) {
    if (t == 1 && s == 1) {
      int64_t lo = std::max(target, begin), hi = std::min(target + count, end);
      if (lo < hi)
        source.locate(tensor, from + (lo - target), hi - lo, dest + lo - begin,
                      out);
      return;
    }
    for (int64_t i = 0; i < count; ++i)
      if (int64_t at = target + i * t; at >= begin && at < end)
        source.locate(tensor, from + i * s, 1, dest + at - begin, out);
  }

  void walk(size_t depth, int64_t span, int64_t target, int64_t from) {
    if (depth == box.extents.size())
      return innermost(1, 1, 1, target, from);
    int64_t extent = box.extents[depth], t = box.target[depth],
            s = box.source[depth];
    if (depth + 1 == box.extents.size())
      return innermost(extent, t, s, target, from);
    // Strides descend, so the sub-box at i covers
    // [target + i * t, target + i * t + inner): only those that meet the
    // interval are visited.
    int64_t inner = span - t * (extent - 1);
    int64_t first = 0, last = extent;
    if (begin - target - inner >= 0)
      first = (begin - target - inner) / t + 1;
    if (end - target < t * extent)
      last = end <= target ? 0 : (end - target - 1) / t + 1;
    for (int64_t i = first; i < std::min(last, extent); ++i)
      walk(depth + 1, inner, target + i * t, from + i * s);
  }
};

void MappedTensors::locate(size_t index, int64_t begin, int64_t count,
                           int64_t dest, std::vector<Extent> &out) const {
  if (aliases[index] >= 0)
    return locate(aliases[index], begin, count, dest, out);
  if (extraIndex[index] >= 0) {
    size_t first = out.size();
    extras->locate(extraIndex[index], begin, count, dest, out);
    for (size_t e = first; e < out.size(); ++e)
      out[e].file += source.files().size();
    return;
  }
  int64_t end = begin + count;
  auto from = instances.begin() + starts[index],
       to = instances.begin() + starts[index + 1];
  // Boxes that start more than the longest span before the interval end
  // before it.
  auto it = std::lower_bound(from, to, begin - spans[index] + 1,
                             [](const Instance &instance, int64_t base) {
                               return instance.targetBase < base;
                             });
  for (; it != to && it->targetBase < end; ++it) {
    const Box &box = boxes[it->copy];
    Runs runs{box, source, it->source, begin, end, dest, out};
    runs.walk(0, box.targetSpan, it->targetBase, it->sourceBase);
  }
}

std::vector<DType> plannedTypes(const TensorSet &set, const plan::PlanT &plan) {
  std::vector<DType> dtypes;
  for (const TensorInfo &info : set.tensors())
    dtypes.push_back(info.dtype);
  for (const auto &copy : plan.copies)
    (void)forEachIndex(copy->loops, [&](std::span<const uint32_t> indices) {
      dtypes[set.find(spell(*copy->hf, indices))] =
          static_cast<DType>(copy->mcore_dtype);
      return Status();
    });
  for (const auto &tie : plan.ties)
    dtypes[set.find(tie->copy)] = dtypes[set.find(tie->original)];
  return dtypes;
}

} // namespace mbc
