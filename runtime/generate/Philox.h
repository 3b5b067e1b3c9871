//===- Philox.h - Counter-based random numbers ------------------*- C++ -*-===//
#pragma once

#include <array>
#include <cstdint>

namespace mbc::generate {

/// Philox4x32-10 of Salmon et al., "Parallel random numbers: as easy as 1, 2,
/// 3" (SC 2011): four words that a counter and a key decide alone.
constexpr std::array<uint32_t, 4> philox(std::array<uint32_t, 4> counter,
                                         std::array<uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    uint64_t a = uint64_t(0xD2511F53) * counter[0];
    uint64_t b = uint64_t(0xCD9E8D57) * counter[2];
    counter = {static_cast<uint32_t>(b >> 32) ^ counter[1] ^ key[0],
               static_cast<uint32_t>(b),
               static_cast<uint32_t>(a >> 32) ^ counter[3] ^ key[1],
               static_cast<uint32_t>(a)};
    key[0] += 0x9E3779B9;
    key[1] += 0xBB67AE85;
  }
  return counter;
}

/// 64 random bits for a step of a seed.
constexpr uint64_t randomBits(uint64_t seed, uint64_t step) {
  auto words = philox(
      {static_cast<uint32_t>(step), static_cast<uint32_t>(step >> 32), 0, 0},
      {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)});
  return uint64_t(words[0]) << 32 | words[1];
}

} // namespace mbc::generate
