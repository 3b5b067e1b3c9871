//===- Experts.cu - Rows to their experts and back ------------*- CUDA -*-===//
//
// The reference is runtime/host/Routing.cpp.
//
//===----------------------------------------------------------------------===//

#include "runtime/cuda/kernels/Elements.cuh"

using namespace mbc::cuda;

namespace {

constexpr float lowest = -__builtin_inff();

/// The highest of a warp's values, the lower index among equal ones.
__device__ void bestOfWarp(float &value, int &index) {
  for (int mask = 16; mask > 0; mask /= 2) {
    float other = __shfl_xor_sync(0xffffffff, value, mask);
    int at = __shfl_xor_sync(0xffffffff, index, mask);
    if (other > value || (other == value && at < index)) {
      value = other;
      index = at;
    }
  }
}

/// The index of the best of `count` values that is not taken yet; the whole
/// warp calls.
__device__ int best(const float *values, const uint8_t *taken, int count) {
  float value = lowest;
  int index = count;
  for (int i = threadIdx.x; i < count; i += 32)
    if (!taken[i] && (index == count || values[i] > value)) {
      value = values[i];
      index = i;
    }
  bestOfWarp(value, index);
  return index;
}

} // namespace

/// A warp a row. Shared memory: scores, choices, group scores, two flags.
extern "C" __global__ void mbc_route(RouteArguments given, Count count) {
  MBC_DYNAMIC_SHARED(float, shared);
  int64_t row = blockIdx.x;
  int lane = threadIdx.x, experts = given.experts;
  if (row >= rowsOf(count))
    return;
  float *scores = shared, *choice = scores + experts,
        *groupScores = choice + experts;
  auto *taken = reinterpret_cast<uint8_t *>(groupScores + given.groups);
  uint8_t *groupTaken = taken + experts;
  const float *logits = given.logits + row * given.logitsRow;
  if (given.sigmoid) {
    for (int i = lane; i < experts; i += 32)
      scores[i] = 1.0f / (1.0f + expf(-logits[i]));
  } else {
    float highest = lowest;
    for (int i = lane; i < experts; i += 32)
      highest = fmaxf(highest, logits[i]);
    for (int mask = 16; mask > 0; mask /= 2)
      highest = fmaxf(highest, __shfl_xor_sync(0xffffffff, highest, mask));
    float sum = 0;
    for (int i = lane; i < experts; i += 32)
      sum += scores[i] = expf(logits[i] - highest);
    sum = warpSum(sum);
    for (int i = lane; i < experts; i += 32)
      scores[i] /= sum;
  }
  for (int i = lane; i < experts; i += 32) {
    choice[i] = scores[i] + (given.correction ? given.correction[i] : 0.0f);
    taken[i] = 0;
  }
  __syncwarp();
  if (given.method != 0 && given.groupTopk < given.groups) {
    int size = experts / given.groups;
    for (int g = lane; g < given.groups; g += 32) {
      float first = lowest, second = lowest;
      for (int i = g * size; i < (g + 1) * size; ++i) {
        if (choice[i] > first) {
          second = first;
          first = choice[i];
        } else {
          second = fmaxf(second, choice[i]);
        }
      }
      groupScores[g] = given.method == 2 && size > 1 ? first + second : first;
      groupTaken[g] = 0;
    }
    __syncwarp();
    for (int k = 0; k < given.groupTopk; ++k) {
      int g = best(groupScores, groupTaken, given.groups);
      if (lane == 0)
        groupTaken[g] = 1;
      __syncwarp();
    }
    for (int i = lane; i < experts; i += 32)
      if (!groupTaken[i / size])
        choice[i] = lowest;
    __syncwarp();
  }
  float *weights = given.weights + row * given.weightsRow;
  int32_t *ids = given.ids + row * given.idsRow;
  float total = 0;
  for (int k = 0; k < given.topk; ++k) {
    int id = best(choice, taken, experts);
    total += scores[id];
    if (lane == 0) {
      taken[id] = 1;
      ids[k] = id;
      weights[k] = scores[id];
    }
    __syncwarp();
  }
  for (int k = lane; k < given.topk; k += 32) {
    float weight = weights[k];
    if (given.renorm)
      weight /= total + 1e-20f;
    weights[k] = weight * given.scale;
  }
}

/// A block an expert: counts the rows of the experts before it, then gives its
/// own rows their places, in order. The last block also ends the offsets.
extern "C" __global__ void mbc_group(const int32_t *ids, int64_t idsRow,
                                     int32_t *place, int64_t placeRow,
                                     int32_t *offsets, int topk, Count count) {
  int expert = blockIdx.x;
  int64_t items = rowsOf(count) * topk;
  int before = 0;
  for (int64_t i = threadIdx.x; i < items; i += blockDim.x)
    before += ids[i / topk * idsRow + i % topk] < expert;
  // Counts are exact in float32 up to 2^24 rows; integers all the same.
  __shared__ int sums[32];
  __shared__ int next;
  for (int mask = 16; mask > 0; mask /= 2)
    before += __shfl_xor_sync(0xffffffff, before, mask);
  int lane = threadIdx.x % 32, warp = threadIdx.x / 32,
      warps = blockDim.x / 32;
  if (lane == 0)
    sums[warp] = before;
  __syncthreads();
  if (threadIdx.x == 0) {
    int total = 0;
    for (int w = 0; w < warps; ++w)
      total += sums[w];
    next = total;
    offsets[expert] = total;
    if (expert == int(gridDim.x) - 1)
      offsets[expert + 1] = int(items);
  }
  __syncthreads();
  for (int64_t start = 0; start < items; start += blockDim.x) {
    int64_t i = start + threadIdx.x;
    bool mine =
        i < items && ids[i / topk * idsRow + i % topk] == expert;
    unsigned votes = __ballot_sync(0xffffffff, mine);
    if (lane == 0)
      sums[warp] = __popc(votes);
    __syncthreads();
    int at = next + __popc(votes & ((1u << lane) - 1));
    for (int w = 0; w < warp; ++w)
      at += sums[w];
    if (mine)
      place[i / topk * placeRow + i % topk] = at;
    __syncthreads();
    if (threadIdx.x == 0)
      for (int w = 0; w < warps; ++w)
        next += sums[w];
    __syncthreads();
  }
}

/// out[place[row, j]] = x[row]
extern "C" __global__ void mbc_scatter(View x, View place, View out,
                                       Count count) {
  int64_t row = blockIdx.x;
  if (row >= rowsOf(count))
    return;
  int64_t width = x.dims[1], topk = place.dims[1];
  auto *places =
      static_cast<const int32_t *>(place.data) + row * place.strides[0];
  for (int64_t i = threadIdx.x; i < width; i += blockDim.x) {
    float value = loadElement(x.data, x.elem, row * x.strides[0] + i);
    for (int64_t j = 0; j < topk; ++j)
      storeElement(out.data, out.elem, places[j] * out.strides[0] + i, value);
  }
}

/// out[row] = sum over j of weights[row, j] * y[place[row, j]], in float32
extern "C" __global__ void mbc_combine(View y, View weights, View place,
                                       View out, Count count) {
  int64_t row = blockIdx.x;
  if (row >= rowsOf(count))
    return;
  int64_t width = out.dims[1], topk = place.dims[1];
  auto *places =
      static_cast<const int32_t *>(place.data) + row * place.strides[0];
  auto *factors =
      static_cast<const float *>(weights.data) + row * weights.strides[0];
  for (int64_t i = threadIdx.x; i < width; i += blockDim.x) {
    float sum = 0;
    for (int64_t j = 0; j < topk; ++j)
      sum = __fadd_rn(sum, __fmul_rn(loadElement(y.data, y.elem,
                                                 places[j] * y.strides[0] + i),
                                     factors[j]));
    storeElement(out.data, out.elem, row * out.strides[0] + i, sum);
  }
}
