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

#include "runtime/cuda/kernels/Tiles.cuh"

#include <type_traits>

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

#define MBC_MULTIPLY(type)                                                     \
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32." type "." type ".f32 "  \
               "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "                \
               "{%0, %1, %2, %3};\n"                                           \
               : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])    \
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1))

/// sums += a * b
template <typename T>
__device__ inline void multiplyAdd(float (&sums)[4], const uint32_t (&a)[4],
                                   uint32_t b0, uint32_t b1) {
  if constexpr (std::is_same_v<T, __half>)
    MBC_MULTIPLY("f16");
  else
    MBC_MULTIPLY("bf16");
}
#undef MBC_MULTIPLY

#ifdef __CUDA_ARCH_FEAT_SM90_ALL
#define MBC_WARPGROUPS

/// What this thread's copies wrote is seen by products of warpgroups, once
/// other threads have passed a barrier.
__device__ inline void showCopies() {
  asm volatile("fence.proxy.async.shared::cta;\n" ::: "memory");
}

/// A tile of rows of 128 bytes, as `chunkAt` has them, from element `16 * part`
/// of its rows on.
__device__ inline uint64_t tileOf(const char *tile, int part) {
  uint64_t address = (sharedAddress(tile) + part * 32) & 0x3ffff;
  // Eight rows after eight rows; chunks are swizzled over 128 bytes.
  return address >> 4 | uint64_t(1) << 16 | uint64_t(1024 >> 4) << 32 |
         uint64_t(1) << 62;
}

__device__ inline void beginProducts() {
  asm volatile("wgmma.fence.sync.aligned;\n" ::: "memory");
}
/// The warpgroup's products since `beginProducts` are a batch; waits for it.
__device__ inline void commitProducts() {
  asm volatile("wgmma.commit_group.sync.aligned;\n" ::: "memory");
}
__device__ inline void finishProducts() {
  asm volatile("wgmma.wait_group.sync.aligned 0;\n" ::: "memory");
}

#define MBC_FOUR(i)                                                            \
  "+f"(sums[i][0]), "+f"(sums[i][1]), "+f"(sums[i][2]), "+f"(sums[i][3])
#define MBC_WARPGROUP_MULTIPLY(type)                                           \
  asm volatile(                                                                \
      "wgmma.mma_async.sync.aligned.m64n128k16.f32." type "." type " "         \
      "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, "     \
      "%15, %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, "      \
      "%28, %29, %30, %31, %32, %33, %34, %35, %36, %37, %38, %39, %40, "      \
      "%41, %42, %43, %44, %45, %46, %47, %48, %49, %50, %51, %52, %53, "      \
      "%54, %55, %56, %57, %58, %59, %60, %61, %62, %63}, %64, %65, 1, 1, "    \
      "1, 0, 0;\n"                                                             \
      : MBC_FOUR(0), MBC_FOUR(1), MBC_FOUR(2), MBC_FOUR(3), MBC_FOUR(4),       \
        MBC_FOUR(5), MBC_FOUR(6), MBC_FOUR(7), MBC_FOUR(8), MBC_FOUR(9),       \
        MBC_FOUR(10), MBC_FOUR(11), MBC_FOUR(12), MBC_FOUR(13), MBC_FOUR(14),  \
        MBC_FOUR(15)                                                           \
      : "l"(tileOf(a, part)), "l"(tileOf(b, part)))

/// sums += a * b, of 64 rows of `a` and 128 of `b`, 16 elements of each; of the
/// result warp i has rows 16 * i and on, as fragments of C. The tiles lie at
/// multiples of 1024 bytes.
template <typename T>
__device__ inline void warpgroupMultiplyAdd(float (&sums)[16][4], const char *a,
                                            const char *b, int part) {
  if constexpr (std::is_same_v<T, __half>)
    MBC_WARPGROUP_MULTIPLY("f16");
  else
    MBC_WARPGROUP_MULTIPLY("bf16");
}
#undef MBC_WARPGROUP_MULTIPLY
#undef MBC_FOUR

#endif // __CUDA_ARCH_FEAT_SM90_ALL

/// 2 to the power of x, within 2 units in the last place; subnormal results are
/// 0.
__device__ inline float powerOfTwo(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

/// 16 bytes that another kernel may have written, and this one reads once; what
/// lies beside them in 128 bytes is brought nearer.
__device__ inline uint4 loadPassing(const void *from) {
  uint4 v;
  asm volatile("ld.global.L1::no_allocate.L2::128B.v4.u32 "
               "{%0, %1, %2, %3}, [%4];\n"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "l"(from)
               : "memory");
  return v;
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
