//===- TensorCore.h - Tensor cores for a processor --------------*- C++ -*-===//
//
// What runtime/cuda/kernels/TensorCore.cuh has as PTX; included before it. A
// copy to shared memory is made when it is waited for and not before, so that a
// kernel which waits for too few computes with what is no number.
//
//===----------------------------------------------------------------------===//
#pragma once

#include "runtime/cuda/kernels/Tiles.cuh"
#include "test/CudaEmulator/Copies.h"

#define MBC_TENSOR_CORE

namespace mbc::emulator {

/// Gives the warp several words, waits for it, and sees those of all lanes
/// until the next exchange: lane i's from 8 * i on.
const uint32_t *exchange(const uint32_t *words, unsigned count);

/// Of every lane an address within the same block of memory.
inline const char *addressOf(const uint32_t *given, unsigned lane,
                             const void *mine) {
  auto low = static_cast<uint32_t>(reinterpret_cast<uintptr_t>(mine));
  return static_cast<const char *>(mine) +
         static_cast<int32_t>(given[lane] - low);
}

template <typename T> float elementOf(const uint32_t *words, unsigned i) {
  T value;
  std::memcpy(&value, reinterpret_cast<const char *>(words) + 2 * i, 2);
  return float(value);
}

} // namespace mbc::emulator

namespace mbc::cuda {

inline void copyAsync(void *to, const void *from, bool inside) {
  emulator::copies().push_back({to, inside ? from : nullptr});
}
inline void commitCopies() { emulator::commitCopies(); }
template <int Later> void waitForCopies() { emulator::finishCopies(Later); }

inline void loadMatrices(uint32_t (&to)[4], const void *row) {
  const uint32_t *given = emulator::exchange(
      static_cast<uint32_t>(reinterpret_cast<uintptr_t>(row)));
  unsigned lane = emulator::lane();
  for (unsigned i = 0; i < 4; ++i)
    std::memcpy(
        &to[i],
        emulator::addressOf(given, 8 * i + lane / 4, row) + lane % 4 * 4, 4);
}
inline void loadTransposed(uint32_t (&to)[4], const void *row) {
  const uint32_t *given = emulator::exchange(
      static_cast<uint32_t>(reinterpret_cast<uintptr_t>(row)));
  unsigned lane = emulator::lane();
  for (unsigned i = 0; i < 4; ++i)
    for (unsigned e = 0; e < 2; ++e)
      std::memcpy(reinterpret_cast<char *>(&to[i]) + 2 * e,
                  emulator::addressOf(given, 8 * i + lane % 4 * 2 + e, row) +
                      lane / 4 * 2,
                  2);
}

template <typename T>
void multiplyAdd(float (&sums)[4], const uint32_t (&a)[4], uint32_t b0,
                 uint32_t b1) {
  uint32_t words[6] = {a[0], a[1], a[2], a[3], b0, b1};
  const uint32_t *given = emulator::exchange(words, 6);
  unsigned lane = emulator::lane();
  for (unsigned e = 0; e < 4; ++e) {
    unsigned row = lane / 4 + e / 2 * 8, column = lane % 4 * 2 + e % 2;
    float sum = sums[e];
    for (unsigned k = 0; k < 16; ++k) {
      const uint32_t *ofA = given + (row % 8 * 4 + k % 8 / 2) * 8;
      const uint32_t *ofB = given + (column * 4 + k % 8 / 2) * 8;
      sum += emulator::elementOf<T>(ofA + row / 8 + k / 8 * 2, k % 2) *
             emulator::elementOf<T>(ofB + 4 + k / 8, k % 2);
    }
    sums[e] = sum;
  }
}

#define MBC_WARPGROUPS
inline void showCopies() {}
inline void beginProducts() {}
inline void commitProducts() {}
inline void finishProducts() {}
template <typename T>
void warpgroupMultiplyAdd(float (&sums)[16][4], const char *a, const char *b,
                          int part) {
  auto at = [part](const char *tile, int row, int k) {
    T value;
    std::memcpy(&value,
                tile + chunkAt(row, 2 * part + k / 8) + k % 8 * sizeof(T),
                sizeof(T));
    return float(value);
  };
  int row = threadIdx.x % 128 / 32 * 16 + threadIdx.x % 32 / 4;
  for (int j = 0; j < 16; ++j)
    for (int e = 0; e < 4; ++e)
      for (int k = 0; k < 16; ++k)
        sums[j][e] += at(a, row + e / 2 * 8, k) *
                      at(b, 8 * j + threadIdx.x % 4 * 2 + e % 2, k);
}

inline float powerOfTwo(float x) { return std::exp2(x); }
inline uint4 loadOnce(const void *from) {
  return *static_cast<const uint4 *>(from);
}
inline uint4 loadPassing(const void *from) { return loadOnce(from); }

} // namespace mbc::cuda
