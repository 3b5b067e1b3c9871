//===- TensorCore.cuh - Tensor cores of sm_80 and later -------*- CUDA -*-===//
//
// What PTX has no C++ for: copies to shared memory that are waited for later,
// fragments of matrices, and their products. Fragments are PTX's of m16n8k16:
// with g = lane / 4 and t = lane % 4 a lane has of A [16, 16] the pairs
// (g, 2t), (g + 8, 2t), (g, 2t + 8), (g + 8, 2t + 8), of B [16, 8] the pairs
// (2t, g) and (2t + 8, g), of C [16, 8] the pairs (g, 2t) and (g + 8, 2t).
//
// test/CudaEmulator/TensorCore.h has the same for a processor.
//
//===----------------------------------------------------------------------===//
#pragma once

#include "runtime/cuda/kernels/Elements.cuh"

#ifndef MBC_TENSOR_CORE

namespace mbc::cuda {

__device__ inline uint32_t sharedAddress(const void *to) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(to));
}

/// Copies 16 bytes to shared memory, or writes zeros there and reads nothing.
/// Done once `waitForCopies` says so.
__device__ inline void copyAsync(void *to, const void *from, bool inside) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(
                   sharedAddress(to)),
               "l"(from), "r"(inside ? 16 : 0)
               : "memory");
}
/// The thread's copies since the last time are one batch.
__device__ inline void commitCopies() {
  asm volatile("cp.async.commit_group;\n" ::: "memory");
}
/// Waits for all of the thread's batches but the last `Later` ones.
template <int Later> __device__ inline void waitForCopies() {
  asm volatile("cp.async.wait_group %0;\n" ::"n"(Later) : "memory");
}

/// Four 8 x 8 matrices of 16-bit elements from shared memory: lane i gives the
/// address of row i % 8 of matrix i / 8.
__device__ inline void loadMatrices(uint32_t (&to)[4], const void *row) {
  asm volatile(
      "ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];\n"
      : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
      : "r"(sharedAddress(row))
      : "memory");
}
/// The same of their transposes.
__device__ inline void loadTransposed(uint32_t (&to)[4], const void *row) {
  asm volatile(
      "ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, "
      "[%4];\n"
      : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
      : "r"(sharedAddress(row))
      : "memory");
}

/// sums += a * b
template <typename T>
__device__ inline void multiplyAdd(float (&sums)[4], const uint32_t (&a)[4],
                                   uint32_t b0, uint32_t b1) {
  if constexpr (sizeof(T) == 2 && !std::is_same_v<T, __half>)
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
                 "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
                 "{%0, %1, %2, %3};\n"
                 : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0),
                   "r"(b1));
  else
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
                 "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
                 "{%0, %1, %2, %3};\n"
                 : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0),
                   "r"(b1));
}

/// 2 to the power of x, within 2 units in the last place; subnormal results are
/// 0.
__device__ inline float powerOfTwo(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

/// 16 bytes that nobody reads again.
__device__ inline uint4 loadOnce(const void *from) {
  uint4 v;
  asm volatile("ld.global.nc.L1::no_allocate.L2::128B.v4.u32 "
               "{%0, %1, %2, %3}, [%4];\n"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "l"(from));
  return v;
}

} // namespace mbc::cuda

#endif

namespace mbc::cuda {

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

/// Where chunk `chunk` (16 bytes) of a row of 128 bytes lies in shared memory,
/// from the start of a multiple of eight rows: eight rows' chunks of one number
/// lie in different banks.
__device__ inline int chunkAt(int row, int chunk) {
  return row * 128 + ((chunk ^ (row & 7)) << 4);
}

} // namespace mbc::cuda
