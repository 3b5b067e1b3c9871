//===- Overlap.cuh - Kernels that start before others end -----*- CUDA -*-===//
//
// Programmatic dependent launch, of sm_90 and later. A kernel whose launch says
// `overlaps` may start as soon as every block of the one before it has called
// `letNextStart`. Until `waitForEarlier` it may read what no kernel of the call
// writes (weights, inputs, what earlier calls left) and write nothing; every
// block calls that before it ends, so that whatever waits for this kernel has
// waited for all before it too.
//
//===----------------------------------------------------------------------===//
#pragma once

namespace mbc::cuda {

__device__ inline void letNextStart() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

__device__ inline void waitForEarlier() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

/// Of a kernel that has nothing to do ahead of time.
__device__ inline void takeTurn() {
  letNextStart();
  waitForEarlier();
}

} // namespace mbc::cuda
