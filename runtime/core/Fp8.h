//===- Fp8.h - FP8 E4M3 with a scale ----------------------------*- C++ -*-===//
//
// E4M3 of the Open Compute Project's 8-bit floating point specification, which
// torch calls float8_e4m3fn: 4 exponent and 3 mantissa bits, bias 7, largest
// value 448, no infinity, NaN 0x7f and 0xff. A stored weight stands for
// element * scale; the scale is the one of its block.
//
// Every function gives the same bits on every machine: with AVX-512, with
// AVX2, and without.
//
//===----------------------------------------------------------------------===//
#pragma once

#include "runtime/core/DType.h"

#include <cstddef>
#include <cstdint>

namespace mbc {

/// The largest finite value of E4M3.
constexpr float kFp8Max = 448.0f;

/// The instructions that the kernels below use on this machine: "avx512",
/// "avx2" or "portable".
const char *fp8Instructions();
/// Chooses others, for tests and benchmarks; false where the machine lacks
/// them. Not while other threads convert.
bool setFp8Instructions(const char *name);

/// dst[i] = src[i] * scale, a product in F32, rounded once (to nearest even) to
/// `to`: BF16, F16, F32 or F64. A NaN keeps its sign and becomes the quiet NaN
/// without payload.
void dequantizeFp8(const uint8_t *src, float scale, DType to, void *dst,
                   int64_t count);

/// dst[i] = src[i] / scale, a quotient in F32, rounded to nearest even,
/// saturated at +-448; NaN stays NaN. A zero scale counts as 1. `from`: BF16,
/// F16, F32 or F64 (which is rounded to F32 first). Returns how many elements
/// `dequantizeFp8` to `from` does not give back bit for bit.
int64_t quantizeFp8(DType from, const void *src, float scale, uint8_t *dst,
                    int64_t count);

/// The largest magnitude of `count` elements, with that of infinity or NaN
/// above all others.
float largestMagnitude(const float *src, int64_t count);

/// True if each of the 256 bytes comes back from `dequantizeFp8` to `to` (BF16,
/// F16, F32 or F64) and `quantizeFp8`. For BF16 and wider and a scale of
/// magnitude 2^-100 to 2^100 that is a theorem (see the definition); elsewhere
/// it is tried.
bool restoresEveryByte(float scale, DType to);

} // namespace mbc
