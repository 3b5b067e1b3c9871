//===- Vec.h - Vectors of one instruction set -------------------*- C++ -*-===//
//
// For the files that are compiled once for each set: MBC_ISA names it,
// MBC_LANES is the number of floats of a vector. Everything is local to a file:
// the linker must not keep the code of a newer machine for all.
//
//===----------------------------------------------------------------------===//
#pragma once

#include "runtime/host/kernels/Kernels.h"

#include <string.h>

#if defined(__AVX512BF16__)
#include <immintrin.h>
#endif

namespace mbc::host::MBC_ISA {

namespace {

constexpr int lanes = MBC_LANES;
typedef float Vec __attribute__((vector_size(lanes * 4), aligned(4)));
typedef int32_t IntVec __attribute__((vector_size(lanes * 4), aligned(4)));
typedef uint16_t HalfVec __attribute__((vector_size(lanes * 2), aligned(2)));
typedef uint8_t ByteVec __attribute__((vector_size(lanes), aligned(1)));
typedef _Float16 F16Vec __attribute__((vector_size(lanes * 2), aligned(2)));

inline Vec load(const float *p) { return *reinterpret_cast<const Vec *>(p); }
inline void store(float *p, Vec v) { *reinterpret_cast<Vec *>(p) = v; }
inline Vec splat(float x) { return Vec{} + x; }

inline float bitsToFloat(uint32_t bits) {
  float f;
  memcpy(&f, &bits, 4);
  return f;
}
inline uint32_t floatToBits(float f) {
  uint32_t bits;
  memcpy(&bits, &f, 4);
  return bits;
}

//===----------------------------------------------------------------------===//
// Conversions
//===----------------------------------------------------------------------===//

inline Vec loadBF16(const uint16_t *p) {
  HalfVec h = *reinterpret_cast<const HalfVec *>(p);
  return reinterpret_cast<Vec>(__builtin_convertvector(h, IntVec) << 16);
}
inline Vec loadF16(const void *p) {
  return __builtin_convertvector(*static_cast<const F16Vec *>(p), Vec);
}

/// E4M3, every one of which float32 holds.
inline Vec loadF8(const uint8_t *p) {
  IntVec bits =
      __builtin_convertvector(*reinterpret_cast<const ByteVec *>(p), IntVec);
  IntVec size = bits & 0x7f;
  IntVec normal = (size << 20) + (120 << 23);
  normal |= (size == 0x7f) & 0x7fc00000;
  IntVec subnormal =
      reinterpret_cast<IntVec>(__builtin_convertvector(size, Vec) * 0x1p-9f);
  IntVec small = size < 8;
  return reinterpret_cast<Vec>((small & subnormal) | (~small & normal) |
                               ((bits & 0x80) << 24));
}

/// The sum of a vector: halves, again and again.
inline float sumOf(Vec v) {
  float parts[lanes];
  store(parts, v);
  for (int half = lanes / 2; half > 0; half /= 2)
    for (int i = 0; i < half; ++i)
      parts[i] += parts[i + half];
  return parts[0];
}

template <Elem E> inline Vec loadAs(const void *p, int64_t i) {
  if constexpr (E == Elem::F32)
    return load(static_cast<const float *>(p) + i);
  else if constexpr (E == Elem::BF16)
    return loadBF16(static_cast<const uint16_t *>(p) + i);
  else if constexpr (E == Elem::F8)
    return loadF8(static_cast<const uint8_t *>(p) + i);
  else
    return loadF16(static_cast<const _Float16 *>(p) + i);
}

/// The first `count` of a vector's elements, zeros behind them.
template <Elem E> inline Vec loadPart(const void *p, int64_t i, int64_t count) {
  alignas(lanes * 4) char part[lanes * 4] = {};
  memcpy(part, static_cast<const char *>(p) + i * sizeOf(E), count * sizeOf(E));
  return loadAs<E>(part, 0);
}

} // namespace

} // namespace mbc::host::MBC_ISA
