//===- Rotation.cuh - Norms and rotations of heads ------------*- CUDA -*-===//
//
// What row kernels do to a query or a key before it is attended. Products that
// are added to are fused, and sums have the order of generated row kernels, so
// that a kernel which does this by the way has the bits of one that does not.
//
//===----------------------------------------------------------------------===//
#pragma once

#include "runtime/cuda/kernels/Elements.cuh"

#include <type_traits>

namespace mbc::cuda {

/// The two numbers of a pair, turned by its angle.
__device__ inline float2 rotated(float a, float b, float cosine, float sine) {
  return {fmaf(a, cosine, -__fmul_rn(b, sine)),
          fmaf(b, cosine, __fmul_rn(a, sine))};
}

/// Of pieces of 8 elements of a 16-bit type.
template <typename T>
__device__ inline void toFloats(uint4 piece, float (&to)[8]) {
  constexpr Elem elem = std::is_same_v<T, __half> ? Elem::F16 : Elem::BF16;
  uint32_t words[4] = {piece.x, piece.y, piece.z, piece.w};
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    float2 two = twoElements(words[i], elem);
    to[2 * i] = two.x;
    to[2 * i + 1] = two.y;
  }
}

/// The sum of squares of a head's elements, the same in its lanes. A generated
/// kernel gives a lane 8 elements, of halves 4 of each; it adds them pair by
/// pair, then lanes that are farther apart first.
template <int Steps>
__device__ inline float squaresOf(const float (&v)[Steps][8], bool pairs) {
  auto ofFour = [](const float *first, const float *second) {
    float four[4];
#pragma unroll
    for (int i = 0; i < 4; ++i)
      four[i] = fmaf(second[i], second[i], __fmul_rn(first[i], first[i]));
    return (four[0] + four[2]) + (four[1] + four[3]);
  };
  if (pairs) {
    // Piece 4s + t.
    float sums[Steps];
#pragma unroll
    for (int s = 0; s < Steps; ++s)
      sums[s] = ofFour(v[s], v[s] + 4);
#pragma unroll
    for (int half = Steps / 2; half > 0; half /= 2)
#pragma unroll
      for (int s = 0; s < half; ++s)
        sums[s] += sums[s + half];
    float sum = sums[0] + __shfl_xor_sync(0xffffffff, sums[0], 2);
    return sum + __shfl_xor_sync(0xffffffff, sum, 1);
  }
  // Pieces 8s + 2t and the one after it.
  constexpr int half = Steps / 2;
  float sums[half][2];
#pragma unroll
  for (int s = 0; s < half; ++s)
#pragma unroll
    for (int e = 0; e < 2; ++e)
      sums[s][e] = ofFour(v[s] + 4 * e, v[s + half] + 4 * e);
#pragma unroll
  for (int e = 0; e < 2; ++e) {
#pragma unroll
    for (int some = half / 2; some > 0; some /= 2)
#pragma unroll
      for (int s = 0; s < some; ++s)
        sums[s][e] += sums[s + some][e];
    sums[0][e] += __shfl_xor_sync(0xffffffff, sums[0][e], 2);
    sums[0][e] += __shfl_xor_sync(0xffffffff, sums[0][e], 1);
  }
  return sums[0][0] + sums[0][1];
}

/// An RMS norm, where `isNormed`, and the rotation of a head of a warp's four
/// neighbours, of which each has the pieces 32s + 8 * (lane % 4) ... of all
/// three. `someAre`: other lanes of the warp may be normed.
template <typename T, int Width>
__device__ inline void turnHead(uint4 (&x)[Width / 32],
                                const uint4 (&weights)[Width / 32],
                                bool isNormed, bool someAre, float epsilon,
                                const float *angles, bool pairs) {
  constexpr int steps = Width / 32, half = steps / 2;
  int t = threadIdx.x % 4;
  float v[steps][8];
#pragma unroll
  for (int s = 0; s < steps; ++s)
    toFloats<T>(x[s], v[s]);
  if (someAre) {
    float factor =
        1.0f / sqrtf(squaresOf(v, pairs) / float(Width) + epsilon);
    if (isNormed)
#pragma unroll
      for (int s = 0; s < steps; ++s) {
        float w[8];
        toFloats<T>(weights[s], w);
#pragma unroll
        for (int i = 0; i < 8; ++i)
          v[s][i] = __fmul_rn(__fmul_rn(v[s][i], factor), w[i]);
      }
  }
  auto four = [](const float *from) {
    return *reinterpret_cast<const float4 *>(from);
  };
  auto turn = [](float &a, float &b, float cosine, float sine) {
    float2 both = rotated(a, b, cosine, sine);
    a = both.x;
    b = both.y;
  };
  if (pairs) {
#pragma unroll
    for (int s = 0; s < steps; ++s) {
      const float *of = angles + 16 * s + 4 * t;
      float4 cosine = four(of), sine = four(of + Width / 2);
      turn(v[s][0], v[s][1], cosine.x, sine.x);
      turn(v[s][2], v[s][3], cosine.y, sine.y);
      turn(v[s][4], v[s][5], cosine.z, sine.z);
      turn(v[s][6], v[s][7], cosine.w, sine.w);
    }
  } else {
#pragma unroll
    for (int s = 0; s < half; ++s)
#pragma unroll
      for (int i = 0; i < 8; i += 4) {
        const float *of = angles + 32 * s + 8 * t + i;
        float4 cosine = four(of), sine = four(of + Width / 2);
        turn(v[s][i], v[s + half][i], cosine.x, sine.x);
        turn(v[s][i + 1], v[s + half][i + 1], cosine.y, sine.y);
        turn(v[s][i + 2], v[s + half][i + 2], cosine.z, sine.z);
        turn(v[s][i + 3], v[s + half][i + 3], cosine.w, sine.w);
      }
  }
#pragma unroll
  for (int s = 0; s < steps; ++s)
    x[s] = {packTwo<T>(v[s][0], v[s][1]), packTwo<T>(v[s][2], v[s][3]),
            packTwo<T>(v[s][4], v[s][5]), packTwo<T>(v[s][6], v[s][7])};
}

} // namespace mbc::cuda
