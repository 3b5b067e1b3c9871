//===- SlotMap.h - Which sequence has which slots of the state --*- C++ -*-===//
#pragma once

#include <cstdint>
#include <list>
#include <optional>
#include <span>
#include <vector>

namespace mbc::generate {

/// Slots [first, first + count) of the state.
struct SlotRange {
  int64_t first = 0, count = 0;
};

/// Gives out contiguous ranges of the state. What a sequence leaves is
/// remembered with its tokens until room is needed, the longest unused going
/// first, so that a prompt that begins with them need not be computed again.
class SlotMap {
public:
  explicit SlotMap(int64_t slots) : slots(slots) {}

  struct Lease {
    SlotRange range;
    /// Leading tokens of the prompt that the state holds there.
    int64_t reused = 0;
  };

  /// `count` slots for a text that begins with `prompt`, the last token of
  /// which is always left to compute; none where they are not free now.
  /// `reuse`: whether what is remembered may be used.
  std::optional<Lease> take(std::span<const int32_t> prompt, int64_t count,
                            bool reuse = true);
  /// Gives a range back. `tokens`: what the state holds from its start on.
  void giveBack(SlotRange range, std::span<const int32_t> tokens);
  /// Forgets what is remembered.
  void forget() { left.clear(); }

  /// Slots that no sequence has; remembered ones are among them.
  int64_t free() const;

private:
  /// What a finished sequence left; the last used are at the front.
  struct Left {
    SlotRange range;
    std::vector<int32_t> tokens;
  };

  std::optional<int64_t> findHole(int64_t count) const;
  bool isFree(SlotRange range) const;

  int64_t slots;
  std::vector<SlotRange> taken; ///< by first slot
  std::list<Left> left;
};

} // namespace mbc::generate
