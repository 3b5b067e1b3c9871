//===- RopeFrequencies.cpp ------------------------------------------------===//

#include "runtime/program/RopeFrequencies.h"

#include <algorithm>
#include <cmath>

namespace mbc {

std::vector<float> dynamicFrequencies(const program::RopeT &rope,
                                      int64_t length) {
  size_t pairs = rope.inv_freq.size();
  double dim = 2.0 * static_cast<double>(pairs);
  double grown = rope.factor * static_cast<double>(length) / rope.original -
                 (rope.factor - 1);
  double base = rope.theta * std::pow(grown, dim / (dim - 2));
  std::vector<float> table(pairs);
  for (size_t i = 0; i < pairs; ++i)
    table[i] =
        1.0f / std::pow(static_cast<float>(base),
                        static_cast<float>(2 * i) / static_cast<float>(dim));
  return table;
}

int64_t longestLength(const program::RopeT &rope, int64_t longest,
                      int64_t length, std::span<const Sequence> sequences) {
  if (std::ranges::all_of(sequences,
                          [](const Sequence &of) { return of.cached == 0; }))
    longest = 0;
  if (length < rope.original)
    return 0;
  return length > std::max<int64_t>(longest, rope.original) ? length : longest;
}

} // namespace mbc
