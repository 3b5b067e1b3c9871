//===- Tiles.cuh - Tiles in shared memory ---------------------*- CUDA -*-===//
#pragma once

#include "runtime/cuda/kernels/Elements.cuh"

namespace mbc::cuda {

/// Where chunk `chunk` (16 bytes) of a row of 128 bytes lies in shared memory,
/// from the start of a multiple of eight rows: eight rows' chunks of one number
/// lie in different banks.
__device__ inline int chunkAt(int row, int chunk) {
  return row * 128 + ((chunk ^ (row & 7)) << 4);
}

} // namespace mbc::cuda
