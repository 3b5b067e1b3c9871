//===- ChunkPlan.cpp ------------------------------------------------------===//
#include "compiler/Bridge/ChunkPlan.h"

#include "runtime/io/CopyPlan.h"

#include <algorithm>
#include <fmt/format.h>
#include <tuple>
#include <unordered_map>

namespace mbc {

namespace {

/// Placement of one tensor, with its layer when the name carries it.
struct Placed {
  const plan::PlacementT *placement;
  std::optional<uint32_t> layer;
};

class Chunker {
public:
  Chunker(const plan::PlanT &plan, const PipelineLayout &stages)
      : plan(plan), stages(stages) {}

  std::vector<TorchDistSpec::Chunk> chunksOf(const TensorInfo &info,
                                             const Placed &placed) const {
    const plan::PlacementT &placement = *placed.placement;
    std::vector<TorchDistSpec::Chunk> chunks;
    std::vector<int64_t> slab(placement.slab_dims, 0);
    do {
      uint32_t layer = placed.layer   ? *placed.layer
                       : slab.empty() ? 0
                                      : static_cast<uint32_t>(slab[0]);
      uint32_t stage = stages.chunkOf(placement, info.name, layer) % stages.pp;
      int64_t at = 0;
      for (size_t s = 0; s < placement.segments.size(); ++s) {
        TorchDistSpec::Chunk chunk;
        chunk.offsets.assign(info.shape.size(), 0);
        chunk.sizes = info.shape;
        for (size_t d = 0; d < slab.size(); ++d) {
          chunk.offsets[d] = slab[d];
          chunk.sizes[d] = 1;
        }
        chunk.offsets[placement.axis] = at;
        chunk.sizes[placement.axis] = placement.segments[s];
        at += placement.segments[s];
        chunk.file = stage * plan.tp + placement.ranks[s];
        chunks.push_back(std::move(chunk));
      }
    } while (next(slab, info.shape));
    return chunks;
  }

private:
  /// Counts up, last dimension fastest; false after the last.
  static bool next(std::vector<int64_t> &index,
                   const std::vector<int64_t> &shape) {
    for (size_t d = index.size(); d-- > 0;) {
      if (++index[d] < shape[d])
        return true;
      index[d] = 0;
    }
    return false;
  }

  const plan::PlanT &plan;
  const PipelineLayout &stages;
};

} // namespace

Expected<TorchDistSpec> chunkPlan(const plan::PlanT &plan, const TensorSet &set,
                                  const PipelineLayout &stages) {
  std::unordered_map<std::string, Placed> placements;
  for (const auto &placement : plan.placements)
    MBC_TRY(forEachIndex(placement->loops,
                         [&](std::span<const uint32_t> indices) -> Status {
                           std::optional<uint32_t> layer;
                           if (placement->layer_loop >= 0)
                             layer = indices[placement->layer_loop];
                           placements[spell(*placement->mcore, indices)] = {
                               placement.get(), layer};
                           return {};
                         }));

  // Reading in the order of the source keeps its files sequential.
  std::vector<std::tuple<uint32_t, uint64_t, size_t>> order;
  std::vector<Extent> extents;
  for (size_t t = 0; t < set.tensors().size(); ++t) {
    extents.clear();
    if (set.tensors()[t].elements() > 0)
      set.locate(t, 0, 1, 0, extents);
    order.emplace_back(extents.empty() ? 0 : extents[0].file,
                       extents.empty() ? 0 : extents[0].offset, t);
  }
  std::sort(order.begin(), order.end());

  TorchDistSpec spec;
  Chunker chunker(plan, stages);
  for (auto [file, offset, t] : order) {
    const TensorInfo &info = set.tensors()[t];
    auto it = placements.find(info.name);
    if (it == placements.end())
      return inputError(
          fmt::format("copy plan has no placement of '{}'", info.name));
    spec.tensors.push_back({t, chunker.chunksOf(info, it->second)});
  }
  for (const auto &object : plan.objects)
    MBC_TRY(forEachIndex(
        object->loops, [&](std::span<const uint32_t> indices) -> Status {
          spec.objects.push_back(spell(*object->name, indices));
          return {};
        }));
  return spec;
}

} // namespace mbc
