//===- BoxTiling.cpp - Which chunk holds which element --------------------===//
#include "runtime/io/BoxTiling.h"

#include "runtime/io/TensorSet.h"

#include <algorithm>
#include <array>
#include <bit>
#include <fmt/format.h>
#include <numeric>

using namespace mbc;

int64_t mbc::checkedVolume(std::span<const int64_t> shape) {
  int64_t volume = 1;
  bool overflow = false;
  for (int64_t size : shape) {
    if (size < 0)
      return -1;
    // A zero further on makes the tensor empty, but its size is still refused:
    // nothing writes such shapes.
    overflow |= __builtin_mul_overflow(volume, size, &volume);
  }
  return overflow ? -1 : volume;
}

int64_t BoxList::volume(size_t box) const {
  int64_t volume = 1;
  for (int64_t size : sizes(box))
    volume *= size;
  return volume;
}

int64_t BoxList::flatBegin(size_t box) const {
  int64_t position = 0;
  std::span<const int64_t> at = offsets(box);
  for (size_t i = 0; i < rank(); ++i)
    position = position * shape[i] + at[i];
  return position;
}

bool BoxList::isSlab(size_t box) const {
  std::span<const int64_t> size = sizes(box);
  size_t axis = 0;
  while (axis < rank() && size[axis] == 1)
    ++axis;
  // One axis may be cut; those after it must be whole.
  for (++axis; axis < rank(); ++axis)
    if (size[axis] != shape[axis])
      return false;
  return true;
}

namespace {

std::string boxText(const BoxList &boxes, size_t box) {
  return fmt::format("chunk at {} of size {}", shapeText(boxes.offsets(box)),
                     shapeText(boxes.sizes(box)));
}

bool overlap(const BoxList &boxes, size_t a, size_t b) {
  std::span<const int64_t> aBegin = boxes.offsets(a), aSize = boxes.sizes(a),
                           bBegin = boxes.offsets(b), bSize = boxes.sizes(b);
  for (size_t i = 0; i < boxes.rank(); ++i)
    if (aBegin[i] + aSize[i] <= bBegin[i] || bBegin[i] + bSize[i] <= aBegin[i])
      return false;
  return true;
}

Failure overlapError(const BoxList &boxes, size_t a, size_t b) {
  return inputError(
      fmt::format("{} overlaps {}", boxText(boxes, a), boxText(boxes, b)));
}

/// Cuts nested deeper than this are searched box by box.
constexpr unsigned maxDepth = 64;

} // namespace

Expected<BoxTiling> BoxTiling::build(const BoxList &boxes) {
  BoxTiling tiling;
  int64_t total = checkedVolume(boxes.shape);
  if (boxes.count == 0)
    return inputError("no chunks");
  if (boxes.count > UINT32_MAX)
    return inputError(fmt::format("{} chunks", boxes.count));

  std::vector<uint32_t> ids; // boxes with elements
  unsigned __int128 sum = 0;
  tiling.slabs = true;
  for (size_t box = 0; box < boxes.count; ++box) {
    std::span<const int64_t> offset = boxes.offsets(box),
                             size = boxes.sizes(box);
    bool empty = false;
    for (size_t i = 0; i < boxes.rank(); ++i) {
      if (offset[i] < 0 || size[i] < 0 || offset[i] > boxes.shape[i] ||
          size[i] > boxes.shape[i] - offset[i])
        return inputError(fmt::format("{} is out of bounds of the shape {}",
                                      boxText(boxes, box),
                                      shapeText(boxes.shape)));
      empty |= size[i] == 0;
    }
    if (empty)
      continue;
    sum += uint64_t(boxes.volume(box));
    tiling.slabs &= boxes.isSlab(box);
    ids.push_back(uint32_t(box));
  }
  // Empty boxes would confuse the search by position.
  tiling.slabs &= ids.size() == boxes.count;
  auto sumError = [&] {
    return inputError(fmt::format(
        "{} chunks have {} elements in all, the shape {} has {}", boxes.count,
        sum > INT64_MAX ? std::string("too many")
                        : std::to_string(int64_t(sum)),
        shapeText(boxes.shape), total));
  };

  if (tiling.slabs) {
    int64_t end = 0;
    for (uint32_t box : ids) {
      int64_t begin = boxes.flatBegin(box);
      if (begin < end)
        return overlapError(boxes, box - 1, box);
      if (begin > end)
        return inputError(
            fmt::format("a gap before the {}", boxText(boxes, box)));
      end = begin + boxes.volume(box);
    }
    if (end != total)
      return sumError();
    return tiling;
  }
  if (ids.empty())
    return total == 0 ? Expected<BoxTiling>(std::move(tiling)) : sumError();

  // In bounds, disjoint, and the volumes add up: then they tile. A real cut
  // needs n log n steps for each axis; the budget ends hostile ones.
  uint64_t budget = 100'000'000 + 1000 * uint64_t(ids.size());
  MBC_ASSIGN(tiling.root, tiling.cut(boxes, ids, 0, 0, budget));
  if (sum != uint64_t(total))
    return sumError();
  return tiling;
}

Expected<BoxTiling::Child> BoxTiling::cut(const BoxList &boxes,
                                          std::span<uint32_t> ids, size_t axis,
                                          unsigned depth, uint64_t &budget) {
  if (ids.size() == 1)
    return Child{0, ids[0], true};
  auto spend = [&](uint64_t steps) {
    bool enough = budget >= steps;
    budget -= enough ? steps : budget;
    return enough;
  };
  auto failure = [&] {
    return inputError(
        fmt::format("{} chunks are cut too irregularly", boxes.count));
  };

  for (size_t tried = 0; tried < boxes.rank() && depth < maxDepth;
       ++tried, axis = (axis + 1) % boxes.rank()) {
    if (!spend(ids.size() * std::bit_width(ids.size())))
      return failure();
    std::ranges::sort(ids, {}, [&](uint32_t box) {
      return std::pair(boxes.offsets(box)[axis], box);
    });
    // Where a plane across this axis cuts no box.
    std::vector<size_t> starts = {0};
    int64_t end = 0;
    for (size_t i = 0; i < ids.size(); ++i) {
      int64_t begin = boxes.offsets(ids[i])[axis];
      if (i > 0 && begin >= end)
        starts.push_back(i);
      end = std::max(end, begin + boxes.sizes(ids[i])[axis]);
    }
    if (starts.size() == 1)
      continue;
    uint32_t node = uint32_t(nodes.size()), first = uint32_t(children.size());
    nodes.push_back({int32_t(axis), first, uint32_t(starts.size())});
    children.resize(first + starts.size());
    starts.push_back(ids.size());
    for (size_t i = 0; i + 1 < starts.size(); ++i) {
      std::span<uint32_t> part =
          ids.subspan(starts[i], starts[i + 1] - starts[i]);
      int64_t begin = boxes.offsets(part[0])[axis];
      MBC_ASSIGN(Child child, cut(boxes, part, (axis + 1) % boxes.rank(),
                                  depth + 1, budget));
      child.begin = begin;
      children[first + i] = child;
    }
    return Child{0, node, false};
  }

  // No plane separates them (a pinwheel, or an overlap).
  if (!spend(uint64_t(ids.size()) * ids.size() / 2))
    return failure();
  for (size_t i = 0; i < ids.size(); ++i)
    for (size_t j = i + 1; j < ids.size(); ++j)
      if (overlap(boxes, ids[i], ids[j]))
        return overlapError(boxes, ids[i], ids[j]);
  uint32_t node = uint32_t(nodes.size());
  nodes.push_back({-1, uint32_t(children.size()), uint32_t(ids.size())});
  for (uint32_t box : ids)
    children.push_back({0, box, true});
  return Child{0, node, false};
}

size_t BoxTiling::find(const BoxList &boxes,
                       std::span<const int64_t> at) const {
  Child child = root;
  while (!child.isBox) {
    const Node &node = nodes[child.target];
    auto first = children.begin() + node.first, last = first + node.count;
    if (node.axis >= 0) {
      auto next = std::ranges::upper_bound(first, last, at[node.axis], {},
                                           &Child::begin);
      child = *(next == first ? first : next - 1);
      continue;
    }
    auto contains = [&](const Child &c) {
      std::span<const int64_t> begin = boxes.offsets(c.target),
                               size = boxes.sizes(c.target);
      for (size_t i = 0; i < at.size(); ++i)
        if (at[i] < begin[i] || at[i] >= begin[i] + size[i])
          return false;
      return true;
    };
    // Some box does, as they tile.
    child = *std::find_if(first, last - 1, contains);
  }
  return child.target;
}

BoxTiling::Run BoxTiling::runAt(const BoxList &boxes, int64_t position) const {
  if (slabs) {
    // The last box that begins at or before the position.
    size_t low = 0, high = boxes.count;
    while (high - low > 1) {
      size_t middle = low + (high - low) / 2;
      (boxes.flatBegin(middle) <= position ? low : high) = middle;
    }
    int64_t local = position - boxes.flatBegin(low);
    return {low, local, boxes.volume(low) - local};
  }

  size_t rank = boxes.rank();
  // Ranks beyond eight are not seen; they take the slow allocation.
  std::array<int64_t, 8> small;
  std::vector<int64_t> large(rank > small.size() ? rank : 0);
  std::span<int64_t> at(large.empty() ? small.data() : large.data(), rank);
  int64_t rest = position;
  for (size_t i = rank; i-- > 0;) {
    at[i] = rest % boxes.shape[i];
    rest /= boxes.shape[i];
  }
  size_t box = find(boxes, at);
  std::span<const int64_t> begin = boxes.offsets(box), size = boxes.sizes(box);
  int64_t local = 0;
  for (size_t i = 0; i < rank; ++i)
    local = local * size[i] + (at[i] - begin[i]);
  // To the end of the innermost axis, and further while axes are whole.
  size_t axis = rank - 1;
  int64_t count = begin[axis] + size[axis] - at[axis];
  int64_t inner = 1, inside = 0; // elements of the axes below `axis`
  while (axis > 0 && size[axis] == boxes.shape[axis]) {
    inside += at[axis] * inner;
    inner *= boxes.shape[axis];
    --axis;
    count = (begin[axis] + size[axis] - at[axis]) * inner - inside;
  }
  return {box, local, count};
}
