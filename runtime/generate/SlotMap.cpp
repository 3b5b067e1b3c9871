//===- SlotMap.cpp --------------------------------------------------------===//
#include "runtime/generate/SlotMap.h"

#include <algorithm>

namespace mbc::generate {

static bool overlap(SlotRange a, SlotRange b) {
  return a.first < b.first + b.count && b.first < a.first + a.count;
}

bool SlotMap::isFree(SlotRange range) const {
  return range.first + range.count <= slots &&
         std::ranges::none_of(
             taken, [&](SlotRange other) { return overlap(range, other); });
}

std::optional<int64_t> SlotMap::findHole(int64_t count) const {
  std::vector<SlotRange> used = taken;
  for (const Left &of : left)
    used.push_back(of.range);
  std::ranges::sort(used, {}, &SlotRange::first);
  int64_t at = 0;
  for (SlotRange range : used) {
    if (range.first - at >= count)
      return at;
    at = range.first + range.count;
  }
  if (slots - at >= count)
    return at;
  return std::nullopt;
}

int64_t SlotMap::Left::common(std::span<const int32_t> prompt,
                              std::span<const PictureMark> shown) const {
  int64_t count = std::ranges::mismatch(prompt, tokens).in1 - prompt.begin();
  auto [mine, theirs] = std::ranges::mismatch(pictures, shown);
  if (mine != pictures.end())
    count = std::min(count, mine->first);
  if (theirs != shown.end())
    count = std::min(count, theirs->first);
  return count;
}

std::optional<SlotMap::Lease>
SlotMap::take(std::span<const int32_t> prompt, int64_t count, bool reuse,
              std::span<const PictureMark> pictures) {
  Lease lease;
  if (reuse) {
    auto best = left.end();
    for (auto of = left.begin(); of != left.end(); ++of) {
      int64_t common = std::min(of->common(prompt, pictures),
                                static_cast<int64_t>(prompt.size()) - 1);
      // Little in common is not worth what would be overwritten.
      auto least =
          static_cast<int64_t>(std::min(prompt.size(), of->tokens.size())) / 2;
      if (common >= least && common > lease.reused &&
          isFree({of->range.first, count})) {
        lease.reused = common;
        best = of;
      }
    }
    if (best != left.end()) {
      lease.range = {best->range.first, count};
      std::erase_if(
          left, [&](const Left &of) { return overlap(of.range, lease.range); });
      taken.push_back(lease.range);
      return lease;
    }
  }
  while (true) {
    if (std::optional<int64_t> first = findHole(count)) {
      lease.range = {*first, count};
      taken.push_back(lease.range);
      return lease;
    }
    if (left.empty())
      return std::nullopt;
    left.pop_back();
  }
}

void SlotMap::giveBack(SlotRange range, std::span<const int32_t> tokens,
                       std::span<const PictureMark> pictures) {
  std::erase_if(taken, [&](SlotRange other) { return overlap(range, other); });
  // Of a range only what holds tokens is remembered.
  if (!tokens.empty())
    left.push_front({{range.first, static_cast<int64_t>(tokens.size())},
                     {tokens.begin(), tokens.end()},
                     {pictures.begin(), pictures.end()}});
}

int64_t SlotMap::free() const {
  int64_t count = slots;
  for (SlotRange range : taken)
    count -= range.count;
  return count;
}

} // namespace mbc::generate
