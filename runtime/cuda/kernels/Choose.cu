//===- Choose.cu - The likeliest token ------------------------*- CUDA -*-===//
//
// References: largestOf and logSum in runtime/generate/Sampler.cpp.
//
//===----------------------------------------------------------------------===//

#include "runtime/cuda/kernels/Elements.cuh"

using namespace mbc::cuda;

namespace {

constexpr int threads = 256, warps = threads / 32;

/// exp(low - high), of infinities too.
__device__ float share(float low, float high) {
  return low == high ? 1.0f : expf(low - high);
}

/// The highest of some logits, the place of the first that has it, and the sum
/// of the exponentials of their distance from it; NaN where one is no number.
__device__ LikeliestPart joined(LikeliestPart a, LikeliestPart b) {
  bool second =
      b.highest > a.highest || (b.highest == a.highest && b.index < a.index);
  LikeliestPart high = second ? b : a, low = second ? a : b;
  if (low.sum != 0)
    high.sum += low.sum * share(low.highest, high.highest);
  return high;
}

__device__ LikeliestPart joinedInWarp(LikeliestPart part) {
  for (int mask = 16; mask > 0; mask /= 2) {
    LikeliestPart other;
    other.highest = __shfl_xor_sync(0xffffffff, part.highest, mask);
    other.index = __shfl_xor_sync(0xffffffff, part.index, mask);
    other.sum = __shfl_xor_sync(0xffffffff, part.sum, mask);
    part = joined(part, other);
  }
  return part;
}

constexpr float lowest = -__builtin_inff();
constexpr int none = 0x7fffffff;

} // namespace

/// blockIdx: (part of a row, row); parts are equal stretches.
extern "C" __global__ void __launch_bounds__(threads)
    mbc_likeliest_parts(const float *logits, int64_t vocab,
                        LikeliestPart *parts) {
  takeTurn();
  int64_t size = (vocab + gridDim.x - 1) / gridDim.x;
  int64_t begin = size * blockIdx.x, end = min(begin + size, vocab);
  const float *row = logits + int64_t(blockIdx.y) * vocab;
  LikeliestPart best{lowest, none, 0};
  for (int64_t i = begin + threadIdx.x; i < end; i += threads) {
    float value = row[i];
    if (value > best.highest || best.index == none) {
      best.sum = best.sum * share(best.highest, value) + 1;
      best.highest = value;
      best.index = int(i);
    } else {
      best.sum += share(value, best.highest);
    }
  }
  __shared__ LikeliestPart shared[warps];
  best = joinedInWarp(best);
  int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  if (lane == 0)
    shared[warp] = best;
  __syncthreads();
  if (warp > 0)
    return;
  best = joinedInWarp(lane < warps ? shared[lane]
                                   : LikeliestPart{lowest, none, 0});
  if (lane == 0)
    parts[int64_t(blockIdx.y) * gridDim.x + blockIdx.x] = best;
}

/// A warp a row puts its parts together.
extern "C" __global__ void __launch_bounds__(32)
    mbc_likeliest(const LikeliestPart *parts, int count, ChosenToken *out) {
  takeTurn();
  const LikeliestPart *row = parts + int64_t(blockIdx.x) * count;
  LikeliestPart best{lowest, none, 0};
  for (int i = threadIdx.x; i < count; i += 32)
    best = joined(best, row[i]);
  best = joinedInWarp(best);
  if (threadIdx.x == 0) {
    // Of what is no number the sum is none.
    bool usable = best.sum == best.sum && best.highest == best.highest &&
                  fabsf(best.highest) != -lowest;
    out[blockIdx.x] = {usable ? best.index : -1, -logf(best.sum)};
  }
}

/// Tokens of a call: what the one before it chose.
extern "C" __global__ void mbc_take_chosen(const ChosenToken *chosen,
                                           int32_t *tokens, Count count) {
  takeTurn();
  int64_t rows = rowsOf(count);
  for (int64_t row = threadIdx.x; row < rows; row += blockDim.x)
    tokens[row] = chosen[row].id;
}
