//===- SlotMap.h - Which sequence has which slots of the state --*- C++ -*-===//
#pragma once

#include "runtime/generate/EncodedPrompt.h"

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
  /// `reuse`: whether what is remembered may be used. Tokens of a picture are
  /// equal for any picture: `pictures` says which they are.
  std::optional<Lease> take(std::span<const int32_t> prompt, int64_t count,
                            bool reuse = true,
                            std::span<const PictureMark> pictures = {});
  /// Gives a range back. `tokens`: what the state holds from its start on;
  /// `pictures` may lie behind them.
  void giveBack(SlotRange range, std::span<const int32_t> tokens,
                std::span<const PictureMark> pictures = {});
  /// Forgets what is remembered.
  void forget() { left.clear(); }

  /// Slots that no sequence has; remembered ones are among them.
  int64_t free() const;

private:
  /// What a finished sequence left; the last used are at the front.
  struct Left {
    SlotRange range;
    std::vector<int32_t> tokens;
    std::vector<PictureMark> pictures;

    /// Leading tokens that a prompt has in common.
    int64_t common(std::span<const int32_t> prompt,
                   std::span<const PictureMark> shown) const;
  };

  std::optional<int64_t> findHole(int64_t count) const;
  bool isFree(SlotRange range) const;

  int64_t slots;
  std::vector<SlotRange> taken; ///< by first slot
  std::list<Left> left;
};

} // namespace mbc::generate
