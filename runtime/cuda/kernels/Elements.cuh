//===- Elements.cuh - Elements as float32 ---------------------*- CUDA -*-===//
#pragma once

#include "runtime/cuda/kernels/Arguments.h"
#include "runtime/cuda/kernels/Overlap.cuh"

#include <cuda_bf16.h>
#include <cuda_fp16.h>

// The shared memory that a launch asks for.
#ifndef MBC_DYNAMIC_SHARED
#define MBC_DYNAMIC_SHARED(type, name) extern __shared__ type name[]
#endif

namespace mbc::cuda {

__device__ inline float loadElement(const void *data, Elem elem, int64_t i) {
  switch (elem) {
  case Elem::BF16:
    return __bfloat162float(static_cast<const __nv_bfloat16 *>(data)[i]);
  case Elem::F16:
    return __half2float(static_cast<const __half *>(data)[i]);
  default:
    return static_cast<const float *>(data)[i];
  }
}

__device__ inline void storeElement(void *data, Elem elem, int64_t i,
                                    float value) {
  switch (elem) {
  case Elem::BF16:
    static_cast<__nv_bfloat16 *>(data)[i] = __float2bfloat16_rn(value);
    break;
  case Elem::F16:
    static_cast<__half *>(data)[i] = __float2half_rn(value);
    break;
  default:
    static_cast<float *>(data)[i] = value;
  }
}

/// Two neighbours of a 16-bit type.
__device__ inline float2 twoElements(uint32_t bits, Elem elem) {
  if (elem == Elem::BF16)
    return {__uint_as_float(bits << 16), __uint_as_float(bits & 0xffff0000u)};
  return __half22float2(*reinterpret_cast<__half2 *>(&bits));
}

/// Two floats as neighbours of a 16-bit type.
template <typename T> __device__ inline uint32_t packTwo(float a, float b);
template <>
__device__ inline uint32_t packTwo<__nv_bfloat16>(float a, float b) {
  __nv_bfloat162 two = __floats2bfloat162_rn(a, b);
  uint32_t bits;
  memcpy(&bits, &two, sizeof(bits));
  return bits;
}
template <> __device__ inline uint32_t packTwo<__half>(float a, float b) {
  __half2 two = __floats2half2_rn(a, b);
  uint32_t bits;
  memcpy(&bits, &two, sizeof(bits));
  return bits;
}

/// Two neighbours, as one store where `i` is even and the array starts at a
/// multiple of 4 bytes.
__device__ inline void storeTwo(void *data, Elem elem, int64_t i, float a,
                                float b, bool together) {
  if (together && elem == Elem::BF16) {
    *reinterpret_cast<uint32_t *>(static_cast<__nv_bfloat16 *>(data) + i) =
        packTwo<__nv_bfloat16>(a, b);
  } else if (together && elem == Elem::F16) {
    *reinterpret_cast<uint32_t *>(static_cast<__half *>(data) + i) =
        packTwo<__half>(a, b);
  } else {
    storeElement(data, elem, i, a);
    storeElement(data, elem, i + 1, b);
  }
}

__device__ inline int64_t rowsOf(Count count) {
  return int64_t(count.counts[count.which]) * count.factor / count.divisor;
}

/// Elements of a row, and where element `i` of them lies from its first.
__device__ inline int64_t widthOf(const View &view) {
  int64_t width = 1;
  for (int d = view.shared ? 0 : 1; d < view.rank; ++d)
    width *= view.dims[d];
  return width;
}
__device__ inline int64_t offsetIn(const View &view, int64_t i) {
  int64_t offset = 0;
  for (int d = view.rank - 1; d >= (view.shared ? 0 : 1); --d) {
    offset += i % view.dims[d] * view.strides[d];
    i /= view.dims[d];
  }
  return offset;
}
__device__ inline int64_t rowStart(const View &view, int64_t row) {
  return view.shared ? 0 : row * view.strides[0];
}

/// The sum over a warp, the same in every lane.
#ifndef MBC_WARP_SUM
__device__ inline float warpSum(float value) {
  for (int mask = 16; mask > 0; mask /= 2)
    value += __shfl_xor_sync(0xffffffff, value, mask);
  return value;
}
#endif

/// The sum over a block of at most 1024 threads, in every thread.
__device__ inline float blockSum(float value) {
  __shared__ float sums[32];
  int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  value = warpSum(value);
  __syncthreads();
  if (lane == 0)
    sums[warp] = value;
  __syncthreads();
  value = lane < int(blockDim.x + 31) / 32 ? sums[lane] : 0.0f;
  return warpSum(value);
}

} // namespace mbc::cuda
