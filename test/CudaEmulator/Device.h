//===- Device.h - CUDA's words for a processor ------------------*- C++ -*-===//
//
// Lets the kernels of runtime/cuda compile as C++ and run without a GPU: a
// block's threads are fibers of one thread, which go on in turn and wait for
// each other where they synchronise or exchange values. Included before a
// kernel's source (-include).
//
//===----------------------------------------------------------------------===//
#pragma once

// Before the keywords are taken.
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <vector_types.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <type_traits>
#include <utility>

#undef __global__
#undef __device__
#undef __shared__
#undef __launch_bounds__
#undef __grid_constant__
#define __global__
#define __device__
/// One block runs at a time.
#define __shared__ static
#define __launch_bounds__(...)
#define __grid_constant__
#define MBC_DYNAMIC_SHARED(type, name)                                         \
  type *name = static_cast<type *>(mbc::emulator::dynamicShared())

namespace mbc::emulator {

struct Index {
  unsigned x, y, z;
};
/// Of the thread that runs.
extern Index threadIndex, blockIndex, blockSize, gridSize;

void *dynamicShared();
/// Waits for every thread of the block.
void waitForBlock();
/// Gives the warp `value`, waits for it, and sees those of all lanes until the
/// next exchange.
const uint32_t *exchange(uint32_t value);
unsigned lane();

} // namespace mbc::emulator

#define threadIdx mbc::emulator::threadIndex
#define blockIdx mbc::emulator::blockIndex
#define blockDim mbc::emulator::blockSize
#define gridDim mbc::emulator::gridSize

inline void __syncthreads() { mbc::emulator::waitForBlock(); }
inline void __syncwarp() { mbc::emulator::exchange(0); }
template <typename T> T __shfl_xor_sync(unsigned, T value, int mask) {
  static_assert(sizeof(T) == 4);
  unsigned from = mbc::emulator::lane() ^ mask;
  return std::bit_cast<T>(
      mbc::emulator::exchange(std::bit_cast<uint32_t>(value))[from]);
}
template <typename T> T __shfl_sync(unsigned, T value, unsigned from) {
  static_assert(sizeof(T) == 4);
  return std::bit_cast<T>(
      mbc::emulator::exchange(std::bit_cast<uint32_t>(value))[from]);
}
template <typename T> T __shfl_up_sync(unsigned, T value, unsigned by) {
  static_assert(sizeof(T) == 4);
  unsigned lane = mbc::emulator::lane(), from = lane < by ? lane : lane - by;
  return std::bit_cast<T>(
      mbc::emulator::exchange(std::bit_cast<uint32_t>(value))[from]);
}
inline unsigned __ballot_sync(unsigned, bool value) {
  const uint32_t *given = mbc::emulator::exchange(value);
  unsigned all = 0;
  for (unsigned i = 0; i < 32; ++i)
    all |= given[i] << i;
  return all;
}
inline unsigned __reduce_max_sync(unsigned, unsigned value) {
  const uint32_t *given = mbc::emulator::exchange(value);
  return *std::max_element(given, given + 32);
}
inline unsigned __reduce_min_sync(unsigned, unsigned value) {
  const uint32_t *given = mbc::emulator::exchange(value);
  return *std::min_element(given, given + 32);
}
inline unsigned __reduce_add_sync(unsigned, unsigned value) {
  const uint32_t *given = mbc::emulator::exchange(value);
  return std::accumulate(given, given + 32, 0u);
}
/// In one exchange what five shuffles do, in their order.
#define MBC_WARP_SUM
inline float warpSum(float value) {
  const uint32_t *given =
      mbc::emulator::exchange(std::bit_cast<uint32_t>(value));
  float sums[32];
  for (unsigned i = 0; i < 32; ++i)
    sums[i] = std::bit_cast<float>(given[i]);
  for (unsigned mask = 16; mask > 0; mask /= 2)
    for (unsigned i = 0; i < mask; ++i)
      sums[i] += sums[i + mask];
  return sums[0];
}
inline int __popc(unsigned value) { return std::popcount(value); }
inline unsigned __float_as_uint(float value) {
  return std::bit_cast<unsigned>(value);
}
inline float __int_as_float(int bits) { return std::bit_cast<float>(bits); }
inline float __uint_as_float(unsigned bits) {
  return std::bit_cast<float>(bits);
}
/// Bytes of two words by number, as digits of `order` from the lowest.
inline uint32_t __byte_perm(uint32_t low, uint32_t high, unsigned order) {
  uint64_t bytes = uint64_t(high) << 32 | low;
  uint32_t result = 0;
  for (unsigned i = 0; i < 4; ++i)
    result |= uint32_t(bytes >> (order >> 4 * i & 7) * 8 & 0xff) << 8 * i;
  return result;
}
template <typename T> T atomicAdd(T *to, std::type_identity_t<T> value) {
  T before = *to;
  *to += value;
  return before;
}
inline unsigned atomicMax(unsigned *to, unsigned value) {
  return std::exchange(*to, std::max(*to, value));
}
inline void __threadfence() {}
template <typename T> T __ldcg(const T *from) { return *from; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
using std::max;
using std::min;
