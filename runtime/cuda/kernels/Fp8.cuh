//===- Fp8.cuh - E4M3 with block scales -----------------------*- CUDA -*-===//
//
// Every E4M3 is a float16, and a bfloat16 too. Reference: runtime/core/Fp8.h.
//
//===----------------------------------------------------------------------===//
#pragma once

#include "runtime/cuda/kernels/Elements.cuh"

#include <type_traits>

namespace mbc::cuda {

/// The two E4M3 in the low half of `pair`, as they are; NaN stays NaN.
__device__ inline __half2 halvesOf(uint32_t pair) {
  __half2 halves;
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 890
  uint32_t bits;
  asm("{\n.reg .b16 two;\ncvt.u16.u32 two, %1;\n"
      "cvt.rn.f16x2.e4m3x2 %0, two;\n}\n"
      : "=r"(bits)
      : "r"(pair));
  halves = *reinterpret_cast<__half2 *>(&bits);
#else
  // The exponent counts from 7, not from 15: what is too small for one is right
  // as well. What would be 480 is no number.
  uint32_t bits = __byte_perm(pair, 0, 0x1404);
  bits = (bits & 0x80008000u) | (bits & 0x7f007f00u) >> 1;
  halves = *reinterpret_cast<__half2 *>(&bits);
  halves = __hmul2(halves, __float2half2_rn(256.0f));
  memcpy(&bits, &halves, sizeof(bits));
  bits |= __hgt2_mask(__habs2(halves), __float2half2_rn(448.0f));
  halves = *reinterpret_cast<__half2 *>(&bits);
#endif
  return halves;
}

/// Four E4M3 as two pairs of a 16-bit type, exactly.
template <typename T>
__device__ inline void widen(uint32_t four, uint32_t &first, uint32_t &second) {
  __half2 low = halvesOf(four & 0xffff), high = halvesOf(four >> 16);
  if constexpr (std::is_same_v<T, __half>) {
    memcpy(&first, &low, sizeof(first));
    memcpy(&second, &high, sizeof(second));
  } else {
    float2 a = __half22float2(low), b = __half22float2(high);
    first = packTwo<T>(a.x, a.y);
    second = packTwo<T>(b.x, b.y);
  }
}

/// 16 E4M3 as float32.
__device__ inline void widen(uint4 sixteen, float (&to)[16]) {
  uint32_t words[4] = {sixteen.x, sixteen.y, sixteen.z, sixteen.w};
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    float2 a = __half22float2(halvesOf(words[i] & 0xffff)),
           b = __half22float2(halvesOf(words[i] >> 16));
    to[4 * i] = a.x, to[4 * i + 1] = a.y;
    to[4 * i + 2] = b.x, to[4 * i + 3] = b.y;
  }
}

/// 16 E4M3 times their scale, rounded to 16 bits once.
template <typename T>
__device__ inline void valuesOf(uint4 sixteen, float scale, uint4 (&to)[2]) {
  float wide[16];
  widen(sixteen, wide);
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const float *from = wide + 8 * i;
    to[i] = {packTwo<T>(from[0] * scale, from[1] * scale),
             packTwo<T>(from[2] * scale, from[3] * scale),
             packTwo<T>(from[4] * scale, from[5] * scale),
             packTwo<T>(from[6] * scale, from[7] * scale)};
  }
}

/// The scales of a weight's row.
__device__ inline const float *scalesOf(const BlockScales &blocks,
                                        int64_t row) {
  return blocks.scales + (row >> blocks.shift) * blocks.stride;
}

/// Element `i` of row `row` of a weight, of all groups' rows; it lies at `at`.
__device__ inline float weightElement(const ProductArguments &given,
                                      int64_t row, int64_t at, int i) {
  if (given.weightElem != Elem::F8)
    return loadElement(given.weight, given.weightElem, at);
  uint32_t byte = static_cast<const uint8_t *>(given.weight)[at];
  return __half22float2(halvesOf(byte)).x *
         scalesOf(given.blocks, row)[i / given.blocks.columns];
}

} // namespace mbc::cuda
