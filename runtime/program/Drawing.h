//===- Drawing.h - How a token is drawn -------------------------*- C++ -*-===//
//
// Shared by the host and devices, so that both draw the same token: every step
// of float arithmetic is rounded by itself, and probabilities are whole
// numbers, whose sums have no order. Plain structs and functions, for compilers
// of devices too. A host's compiler must not contract products and sums
// (-ffp-contract=off).
//
//===----------------------------------------------------------------------===//
#pragma once

#include <cstdint>
#include <cstring>

#ifdef __CUDACC__
#define MBC_EVERYWHERE __host__ __device__
#else
#define MBC_EVERYWHERE
#endif

namespace mbc {

/// How the token of a row is chosen from its logits. The settings hold in this
/// order, each for what the one before left: a logit is divided by
/// `temperature`; the `topK` largest stay and what equals the last of them; of
/// these, the best first and of equals the lower id, the ones stay that have
/// less than `weightThatStays` before them; and of these the ones that are at
/// least `leastShare` as probable as the best.
struct Drawing {
  /// Decides which of them it is.
  uint64_t random = 0;
  /// The greatest share of the probability that may go, of 2^64; 0: none.
  uint64_t mostRemoved = 0;
  float temperature = 1;
  float leastShare = 0;
  uint32_t topK = 0; ///< 0: all
  /// 0: the token is the likeliest, and nothing above matters.
  int32_t draws = 0;

  bool operator==(const Drawing &other) const {
    return random == other.random && mostRemoved == other.mostRemoved &&
           temperature == other.temperature && leastShare == other.leastShare &&
           topK == other.topK && draws == other.draws;
  }
};

/// A logit that is this much below the best one has no weight.
constexpr float negligibleBelow = 28;

/// exp(-`below`) for `below` >= 0, to a unit or two in the last place; 1 of 0,
/// 0 from `negligibleBelow` on and of what is no number.
MBC_EVERYWHERE inline float shareOfBest(float below) {
#ifdef __CUDA_ARCH__
  auto times = [](float a, float b) { return __fmul_rn(a, b); };
  auto plus = [](float a, float b) { return __fadd_rn(a, b); };
#else
  auto times = [](float a, float b) { return a * b; };
  auto plus = [](float a, float b) { return a + b; };
#endif
  if (!(below < negligibleBelow))
    return 0;
  // exp(-below) = exp(r) / 2^n, |r| <= ln 2 / 2. The first part of ln 2 has so
  // few digits that its products are exact.
  auto n = static_cast<int32_t>(plus(times(below, 1.44269504f), 0.5f));
  auto whole = static_cast<float>(n);
  float r = plus(plus(times(whole, 0.693359375f), -below),
                 times(whole, -2.12194440e-4f));
  float sum = 1.0f / 5040;
  sum = plus(times(sum, r), 1.0f / 720);
  sum = plus(times(sum, r), 1.0f / 120);
  sum = plus(times(sum, r), 1.0f / 24);
  sum = plus(times(sum, r), 1.0f / 6);
  sum = plus(times(sum, r), 0.5f);
  sum = plus(times(sum, r), 1);
  sum = plus(times(sum, r), 1);
  uint32_t bits = static_cast<uint32_t>(127 - n) << 23;
  float power;
  memcpy(&power, &bits, sizeof(power));
  return times(sum, power);
}

/// What a token counts, of a share from 0 to 1: the sum of 2^23 of them fits.
MBC_EVERYWHERE inline uint64_t weightOf(float share) {
  return static_cast<uint64_t>(share * 0x1p40f);
}

/// The part of `sum` that `fraction` is of 2^64; it is less than `sum`.
MBC_EVERYWHERE inline uint64_t partOf(uint64_t sum, uint64_t fraction) {
#ifdef __CUDA_ARCH__
  return __umul64hi(sum, fraction);
#else
  __extension__ using Product = unsigned __int128;
  return static_cast<uint64_t>(static_cast<Product>(sum) * fraction >> 64);
#endif
}

/// Top-p: of tokens that weigh `sum` together the ones stay that have less than
/// this before them.
MBC_EVERYWHERE inline uint64_t weightThatStays(uint64_t sum,
                                               uint64_t mostRemoved) {
  return sum - partOf(sum, mostRemoved);
}

/// By inversion: the token that is drawn is the first, by ids, with which the
/// sum of the weights is more than this.
MBC_EVERYWHERE inline uint64_t targetOf(uint64_t sum, uint64_t random) {
  return partOf(sum, random);
}

} // namespace mbc
