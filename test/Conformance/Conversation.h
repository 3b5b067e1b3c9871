//===- Conversation.h - Calls that go on --------------------------*-
// C++-*-===//
#pragma once

#include "test/Conformance/Case.h"
#include "test/Conformance/Values.h"

#include <algorithm>

namespace mbc::test {

/// Calls as lists of parts; a part's tokens are those of its slots, so that the
/// same tokens may come in one call or in many.
struct Conversation {
  const char *name;
  uint32_t slots;
  std::vector<std::vector<Part>> calls;

  /// Of the longest call.
  uint32_t rows() const {
    uint32_t most = 1;
    for (const auto &parts : calls)
      most = std::max<uint32_t>(most, parts.back().begin + parts.back().count);
    return most;
  }
};

/// One token; 150 at once; the same in chunks that end within, at and behind a
/// block of keys; three sequences side by side, of other lengths, that go on.
inline std::vector<Conversation> conversations() {
  return {{"one", 1, {{{0, 1, 0, 0}}}},
          {"whole", 150, {{{0, 150, 0, 0}}}},
          {"chunks",
           150,
           {{{0, 1, 0, 0}},
            {{0, 5, 0, 1}},
            {{0, 58, 0, 6}},
            {{0, 64, 0, 64}},
            {{0, 1, 0, 128}},
            {{0, 21, 0, 129}}}},
          {"packed",
           160,
           {{{0, 70, 0, 0}, {70, 1, 80, 0}, {71, 17, 100, 0}},
            {{0, 1, 0, 70}, {1, 3, 80, 1}, {4, 1, 100, 17}},
            {{0, 2, 100, 18}}}}};
}

/// The rows of an input of `width` that the parts of a call have: those of
/// `values`, one for each slot.
inline std::vector<int32_t> rowsOfParts(const std::vector<Part> &parts,
                                        const std::vector<float> &values,
                                        size_t width) {
  std::vector<float> rows;
  for (const Part &part : parts) {
    auto first = values.begin() + (part.slot + part.cached) * width;
    rows.insert(rows.end(), first, first + part.count * width);
  }
  return bitsOf(rows);
}

} // namespace mbc::test
