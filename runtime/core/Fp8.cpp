//===- Fp8.cpp ------------------------------------------------------------===//
//
// The kernels are plain loops, compiled once for each instruction set. They
// hold one rounding operation an expression and no multiplication with an
// addition behind it, so that no set can fuse what another one rounds twice.
//
//===----------------------------------------------------------------------===//
#include "runtime/core/Fp8.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>
#include <cstring>
#include <numeric>
#include <string_view>

namespace mbc {

#define MBC_INLINE static inline __attribute__((always_inline))

namespace {

/// What the fast kernels read and write; other types pass through F32.
struct BF16Bits {
  using Bits = uint16_t;
};
struct F32Bits {
  using Bits = uint32_t;
};

} // namespace

MBC_INLINE float bitsToFloat(uint32_t bits) {
  return std::bit_cast<float>(bits);
}
MBC_INLINE uint32_t floatToBits(float value) {
  return std::bit_cast<uint32_t>(value);
}

/// element * scale, as the bits of an F32.
MBC_INLINE uint32_t productBits(uint32_t byte, float scale) {
  uint32_t magnitude = byte & 0x7f, sign = (byte & 0x80) << 24;
  // A normal number has its exponent moved to F32's bias, a subnormal one is
  // an integer times 2^-9.
  float normal = bitsToFloat((magnitude << 20) + (uint32_t(127 - 7) << 23));
  float subnormal = static_cast<float>(static_cast<int32_t>(magnitude)) *
                    bitsToFloat(uint32_t(127 - 9) << 23);
  float value = magnitude < 8 ? subnormal : normal;
  uint32_t product =
      floatToBits(bitsToFloat(floatToBits(value) | sign) * scale);
  return magnitude == 0x7f ? sign | 0x7fc00000u : product;
}

MBC_INLINE uint16_t narrow(uint32_t bits, BF16Bits) {
  uint32_t nearest = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  // The only NaNs here are quiet and without payload.
  bool isNaN = (bits & 0x7fffffff) > 0x7f800000;
  return static_cast<uint16_t>(isNaN ? bits >> 16 : nearest);
}
MBC_INLINE uint32_t narrow(uint32_t bits, F32Bits) { return bits; }
MBC_INLINE uint32_t widen(uint16_t bits, BF16Bits) {
  return uint32_t(bits) << 16;
}
MBC_INLINE uint32_t widen(uint32_t bits, F32Bits) { return bits; }

/// The E4M3 nearest to an F32, saturated.
MBC_INLINE uint32_t nearestByte(uint32_t bits) {
  uint32_t sign = (bits >> 24) & 0x80, magnitude = bits & 0x7fffffff;
  uint32_t normal = ((magnitude + 0x7ffff + ((magnitude >> 20) & 1)) >> 20) -
                    (uint32_t(127 - 7) << 3);
  // Below 2^-6 the spacing is 2^-9, which is that of F32 at 2^14: the addition
  // rounds to it.
  constexpr uint32_t shifter = uint32_t(127 + 14) << 23;
  uint32_t subnormal =
      floatToBits(bitsToFloat(magnitude) + bitsToFloat(shifter)) - shifter;
  uint32_t code = magnitude < (uint32_t(127 - 6) << 23) ? subnormal : normal;
  code = code > 0x7e ? 0x7e : code;
  // Beyond the range of the shifts above: NaN, and what is far too large.
  code = magnitude > (uint32_t(127 + 9) << 23) ? 0x7e : code;
  code = magnitude > 0x7f800000 ? 0x7f : code;
  return sign | code;
}

template <typename To>
MBC_INLINE void dequantizeLoop(const uint8_t *src, float scale, void *dst,
                               int64_t count) {
  auto *out = static_cast<char *>(dst);
  for (int64_t i = 0; i < count; ++i) {
    typename To::Bits bits = narrow(productBits(src[i], scale), To());
    std::memcpy(out + i * sizeof(bits), &bits, sizeof(bits));
  }
}

template <typename From>
MBC_INLINE int64_t quantizeLoop(const void *src, float scale, uint8_t *dst,
                                int64_t count) {
  auto *in = static_cast<const char *>(src);
  float divisor = scale == 0 ? 1.0f : scale;
  uint32_t lost = 0;
  for (int64_t i = 0; i < count; ++i) {
    typename From::Bits bits;
    std::memcpy(&bits, in + i * sizeof(bits), sizeof(bits));
    uint32_t wide = widen(bits, From());
    // A NaN does not pass through the division, which may change its sign.
    uint32_t quotient = (wide & 0x7fffffff) > 0x7f800000
                            ? wide
                            : floatToBits(bitsToFloat(wide) / divisor);
    uint32_t byte = nearestByte(quotient);
    dst[i] = static_cast<uint8_t>(byte);
    lost += narrow(productBits(byte, scale), From()) != bits;
  }
  return lost;
}

MBC_INLINE float largestLoop(const float *src, int64_t count) {
  // Magnitudes are ordered like their bits.
  uint32_t largest = 0;
  for (int64_t i = 0; i < count; ++i) {
    uint32_t magnitude = floatToBits(src[i]) & 0x7fffffff;
    largest = magnitude > largest ? magnitude : largest;
  }
  return bitsToFloat(largest);
}

namespace {

struct Kernels {
  const char *name;
  void (*toBF16)(const uint8_t *, float, void *, int64_t);
  void (*toF32)(const uint8_t *, float, void *, int64_t);
  int64_t (*fromBF16)(const void *, float, uint8_t *, int64_t);
  int64_t (*fromF32)(const void *, float, uint8_t *, int64_t);
  float (*largest)(const float *, int64_t);
};

// One table for each instruction set, of the loops above.
#define MBC_FP8_KERNELS(table, spelled, attribute)                             \
  namespace table##Loops {                                                     \
    attribute void toBF16(const uint8_t *src, float scale, void *dst,          \
                          int64_t count) {                                     \
      dequantizeLoop<BF16Bits>(src, scale, dst, count);                        \
    }                                                                          \
    attribute void toF32(const uint8_t *src, float scale, void *dst,           \
                         int64_t count) {                                      \
      dequantizeLoop<F32Bits>(src, scale, dst, count);                         \
    }                                                                          \
    attribute int64_t fromBF16(const void *src, float scale, uint8_t *dst,     \
                               int64_t count) {                                \
      return quantizeLoop<BF16Bits>(src, scale, dst, count);                   \
    }                                                                          \
    attribute int64_t fromF32(const void *src, float scale, uint8_t *dst,      \
                              int64_t count) {                                 \
      return quantizeLoop<F32Bits>(src, scale, dst, count);                    \
    }                                                                          \
    attribute float largest(const float *src, int64_t count) {                 \
      return largestLoop(src, count);                                          \
    }                                                                          \
  }                                                                            \
  constexpr Kernels table = {spelled,                                          \
                             table##Loops::toBF16,                             \
                             table##Loops::toF32,                              \
                             table##Loops::fromBF16,                           \
                             table##Loops::fromF32,                            \
                             table##Loops::largest};

MBC_FP8_KERNELS(portable, "portable", )
#if defined(__x86_64__)
MBC_FP8_KERNELS(avx2, "avx2", __attribute__((target("avx2"))))
MBC_FP8_KERNELS(avx512, "avx512",
                __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl"))))
#endif

const Kernels *bestKernels() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
    return &avx512;
  if (__builtin_cpu_supports("avx2"))
    return &avx2;
#endif
  return &portable;
}

const Kernels *&kernels() {
  static const Kernels *chosen = bestKernels();
  return chosen;
}

/// Calls `fn(first, length)` for pieces that fit a buffer on the stack.
constexpr int64_t kPiece = 512;
template <typename Fn> void forEachPiece(int64_t count, Fn &&fn) {
  for (int64_t at = 0; at < count; at += kPiece)
    fn(at, std::min(kPiece, count - at));
}

} // namespace

const char *fp8Instructions() { return kernels()->name; }

bool setFp8Instructions(const char *name) {
  const Kernels *best = bestKernels();
  for (const Kernels *candidate : {&portable,
#if defined(__x86_64__)
                                   best == &portable ? &portable : &avx2,
#endif
                                   best})
    if (std::string_view(candidate->name) == name) {
      kernels() = candidate;
      return true;
    }
  return false;
}

void dequantizeFp8(const uint8_t *src, float scale, DType to, void *dst,
                   int64_t count) {
  if (to == DType::BF16)
    return kernels()->toBF16(src, scale, dst, count);
  if (to == DType::F32)
    return kernels()->toF32(src, scale, dst, count);
  float wide[kPiece];
  forEachPiece(count, [&](int64_t at, int64_t length) {
    kernels()->toF32(src + at, scale, wide, length);
    convertElements(DType::F32, wide, to,
                    static_cast<char *>(dst) + bytesOf(to, at), length);
  });
}

int64_t quantizeFp8(DType from, const void *src, float scale, uint8_t *dst,
                    int64_t count) {
  if (from == DType::BF16)
    return kernels()->fromBF16(src, scale, dst, count);
  if (from == DType::F32)
    return kernels()->fromF32(src, scale, dst, count);
  int64_t lost = 0;
  float wide[kPiece];
  char back[kPiece * sizeof(double)];
  uint64_t size = bytesOf(from, 1);
  forEachPiece(count, [&](int64_t at, int64_t length) {
    const char *in = static_cast<const char *>(src) + bytesOf(from, at);
    convertElements(from, in, DType::F32, wide, length);
    (void)kernels()->fromF32(wide, scale, dst + at, length);
    dequantizeFp8(dst + at, scale, from, back, length);
    for (int64_t i = 0; i < length; ++i)
      lost += std::memcmp(in + i * size, back + i * size, size) != 0;
  });
  return lost;
}

float largestMagnitude(const float *src, int64_t count) {
  return kernels()->largest(src, count);
}

/// Why: let w be a nonzero E4M3 value, s the scale, |s| in [2^-100, 2^100].
/// |w| is in [2^-9, 448], so w * s and its roundings to F32 and to BF16 are
/// normal numbers of those types, and rounding changes them by a factor 1 + d
/// with |d| <= 2^-24 and |d| <= 2^-8. The quotient by s is again normal: what
/// is rounded to E4M3 is w * (1 + d) with |d| < 2^-8 + 2^-22. The nearest
/// neighbours of w are at least |w| / 16 away (4 significant bits; more among
/// the subnormal numbers), half of which is 2^-5 * |w|: w itself is nearest.
/// Zeros keep their sign, also through a negative scale, twice; NaNs are
/// handled by their bits.
bool restoresEveryByte(float scale, DType to) {
  float magnitude = std::fabs(scale);
  if (to != DType::F16 && magnitude >= 0x1p-100f && magnitude <= 0x1p100f)
    return true;
  uint8_t all[256], back[256];
  double values[256];
  std::iota(std::begin(all), std::end(all), 0);
  dequantizeFp8(all, scale, to, values, 256);
  (void)quantizeFp8(to, values, scale, back, 256);
  return std::memcmp(all, back, sizeof(all)) == 0;
}

} // namespace mbc
