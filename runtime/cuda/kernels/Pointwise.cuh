//===- Pointwise.cuh - Steps of row kernels, element by element -*- CUDA -*-===//
//
// As compiler/Codegen/VectorMath computes them for GPUs, operation by operation,
// so that interpreted, generated and fused steps give the same bits. What must
// not become a multiply-add is written with __fmul_rn.
//
//===----------------------------------------------------------------------===//
#pragma once

#include "runtime/cuda/kernels/TensorCore.cuh"

namespace mbc::cuda {

/// program::RowKind
enum Kind {
  Load, Store, Add, Sub, Mul, AddScalar, MulScalar, Silu, Gelu, Sigmoid,
  RMSNorm, LayerNorm, Rope, RopePairs,
};

__device__ inline float exponential(float x) {
  x = x > 88.37f ? 88.37f : x;
  x = x < -87.33f ? -87.33f : x;
  // Adding 1.5 * 2^23 rounds to an integer, in the low bits of the sum.
  constexpr float magic = 12582912.0f;
  float shifted = fmaf(x, 1.44269504088896341f, magic);
  float n = shifted - magic;
  // 1 / ln 2 in two parts.
  float rest = fmaf(x, 1.4426950216293335f, -n);
  rest = fmaf(x, 1.925963033500e-8f, rest);
  uint32_t exponent = (__float_as_uint(shifted) << 23) + (127u << 23);
  return __fmul_rn(powerOfTwo(rest), __uint_as_float(exponent));
}

__device__ inline float sigmoid(float x) {
  return 1.0f / (1.0f + exponential(-x));
}

/// The complement of the error function is t * e^(-x^2 + p(t)) with
/// t = 1 / (1 + |x| / 2).
__device__ inline float errorFunction(float x) {
  float a = fabsf(x), t = 1.0f / fmaf(0.5f, a, 1.0f), p = 0.17087277f;
  p = fmaf(p, t, -0.82215223f);
  p = fmaf(p, t, 1.48851587f);
  p = fmaf(p, t, -1.13520398f);
  p = fmaf(p, t, 0.27886807f);
  p = fmaf(p, t, -0.18628806f);
  p = fmaf(p, t, 0.09678418f);
  p = fmaf(p, t, 0.37409196f);
  p = fmaf(p, t, 1.00002368f);
  p = fmaf(p, t, -1.26551223f);
  return copysignf(1.0f - __fmul_rn(t, exponential(fmaf(-a, a, p))), x);
}

/// One pointwise step; of one input, `b` is not used.
__device__ inline float pointwise(int kind, float scalar, float a, float b) {
  switch (kind) {
  case Add:
    return __fadd_rn(a, b);
  case Sub:
    return __fadd_rn(a, -b);
  case Mul:
    return __fmul_rn(a, b);
  case AddScalar:
    return __fadd_rn(a, scalar);
  case MulScalar:
    return __fmul_rn(a, scalar);
  case Silu:
    return a * sigmoid(a);
  case Gelu:
    return 0.5f * a * (1.0f + errorFunction(a * 0.70710678118654752f));
  default:
    return sigmoid(a);
  }
}

/// What a norm makes of an element; RMSNorm: `mean` and `bias` are 0.
__device__ inline float normalized(bool centred, float x, float mean,
                                   float factor, float weight, float bias) {
  if (!centred)
    return __fmul_rn(__fmul_rn(x, factor), weight);
  return fmaf(__fmul_rn(x - mean, factor), weight, bias);
}

} // namespace mbc::cuda
