//===- Choose.cu - The likeliest token ------------------------*- CUDA -*-===//

#include "runtime/cuda/kernels/Elements.cuh"

using namespace mbc::cuda;

/// A block a row of logits: the index of the highest, the lower one of equals;
/// -1 where one is no number.
extern "C" __global__ void mbc_likeliest(const float *logits, int64_t vocab,
                                         int32_t *out) {
  __shared__ float values[32];
  __shared__ int indices[32];
  __shared__ int broken;
  const float *row = logits + int64_t(blockIdx.x) * vocab;
  if (threadIdx.x == 0)
    broken = 0;
  __syncthreads();
  float best = -__builtin_inff();
  int index = 0x7fffffff;
  for (int64_t i = threadIdx.x; i < vocab; i += blockDim.x) {
    float value = row[i];
    if (value != value)
      broken = 1;
    if (value > best || index == 0x7fffffff) {
      best = value;
      index = int(i);
    }
  }
  auto reduce = [&] {
    for (int mask = 16; mask > 0; mask /= 2) {
      float other = __shfl_xor_sync(0xffffffff, best, mask);
      int at = __shfl_xor_sync(0xffffffff, index, mask);
      if (other > best || (other == best && at < index)) {
        best = other;
        index = at;
      }
    }
  };
  reduce();
  int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  if (lane == 0) {
    values[warp] = best;
    indices[warp] = index;
  }
  __syncthreads();
  if (warp == 0) {
    bool has = lane < int(blockDim.x) / 32;
    best = has ? values[lane] : -__builtin_inff();
    index = has ? indices[lane] : 0x7fffffff;
    reduce();
    if (lane == 0)
      out[blockIdx.x] = broken ? -1 : index;
  }
}
