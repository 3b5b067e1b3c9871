//===- Experts.cu - Rows to their experts and back ------------*- CUDA -*-===//
//
// The reference is runtime/host/Routing.cpp.
//
//===----------------------------------------------------------------------===//

#include "runtime/cuda/kernels/Elements.cuh"

using namespace mbc::cuda;

namespace {

constexpr float lowest = -__builtin_inff();

/// A number that is above another's exactly where the value is; never 0. Of
/// the two zeros none is above.
__device__ uint32_t orderOf(float value) {
  uint32_t bits = __float_as_uint(value + 0.0f);
  return max(1u, bits & 0x80000000u ? ~bits : bits | 0x80000000u);
}

/// Where the highest of `count` numbers is, the first of equal ones, which is
/// then 0; the whole warp calls.
__device__ int takeBest(uint32_t *orders, int count) {
  __syncwarp();
  uint32_t highest = 0;
  int index = count - 1;
  for (int i = threadIdx.x; i < count; i += 32)
    if (orders[i] > highest) {
      highest = orders[i];
      index = i;
    }
  uint32_t best = __reduce_max_sync(0xffffffff, highest);
  index = int(__reduce_min_sync(0xffffffff, unsigned(highest == best
                                                         ? index
                                                         : count - 1)));
  __syncwarp();
  if (threadIdx.x == 0)
    orders[index] = 0;
  return index;
}

} // namespace

/// A warp a row. Shared memory: scores and orders of experts, orders of groups,
/// the chosen.
extern "C" __global__ void mbc_route(RouteArguments given, Count count) {
  MBC_DYNAMIC_SHARED(float, shared);
  int64_t row = blockIdx.x;
  int lane = threadIdx.x, experts = given.experts;
  if (row >= rowsOf(count))
    return;
  float *scores = shared;
  auto *orders = reinterpret_cast<uint32_t *>(scores + experts);
  uint32_t *groupOrders = orders + experts;
  auto *chosen = reinterpret_cast<int32_t *>(groupOrders + given.groups);
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
  auto choice = [&](int i) {
    return scores[i] + (given.correction ? given.correction[i] : 0.0f);
  };
  for (int i = lane; i < experts; i += 32)
    orders[i] = orderOf(choice(i));
  __syncwarp();
  if (given.method != 0 && given.groupTopk < given.groups) {
    int size = experts / given.groups;
    for (int g = lane; g < given.groups; g += 32) {
      float first = lowest, second = lowest;
      for (int i = g * size; i < (g + 1) * size; ++i) {
        float value = choice(i);
        if (value > first) {
          second = first;
          first = value;
        } else {
          second = fmaxf(second, value);
        }
      }
      groupOrders[g] =
          orderOf(given.method == 2 && size > 1 ? first + second : first);
    }
    for (int k = 0; k < given.groupTopk; ++k)
      takeBest(groupOrders, given.groups);
    __syncwarp();
    for (int i = lane; i < experts; i += 32)
      if (groupOrders[i / size] != 0)
        orders[i] = orderOf(lowest);
  }
  float total = 0;
  for (int k = 0; k < given.topk; ++k) {
    int id = takeBest(orders, experts);
    total += scores[id];
    if (lane == 0)
      chosen[k] = id;
  }
  __syncwarp();
  float *weights = given.weights + row * given.weightsRow;
  int32_t *ids = given.ids + row * given.idsRow;
  for (int k = lane; k < given.topk; k += 32) {
    float weight = scores[chosen[k]];
    if (given.renorm)
      weight /= total + 1e-20f;
    weights[k] = weight * given.scale;
    ids[k] = chosen[k];
  }
}

/// A block an expert: counts the rows of the experts before it, then gives its
/// own rows their places, in order. A thread has neighbouring rows. The last
/// block also ends the offsets.
extern "C" __global__ void mbc_group(const int32_t *ids, int64_t idsRow,
                                     int32_t *place, int64_t placeRow,
                                     int32_t *offsets, int topk, Count count) {
  const int expert = blockIdx.x, rows = int(rowsOf(count));
  const int each = (rows + int(blockDim.x) - 1) / int(blockDim.x);
  const int first = min(rows, int(threadIdx.x) * each),
            last = min(rows, first + each);
  int before = 0, mine = 0;
  for (int row = first; row < last; ++row)
    for (int j = 0; j < topk; ++j) {
      int id = ids[row * idsRow + j];
      before += id < expert;
      mine += id == expert;
    }
  // Of the warp: all that come before, and of the expert's own those up to the
  // lane.
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  int upTo = mine;
  for (int by = 1; by < 32; by *= 2) {
    int other = __shfl_up_sync(0xffffffff, upTo, by);
    upTo += lane >= by ? other : 0;
  }
  for (int mask = 16; mask > 0; mask /= 2)
    before += __shfl_xor_sync(0xffffffff, before, mask);
  __shared__ int befores[32], own[32];
  if (lane == 31) {
    befores[warp] = before;
    own[warp] = upTo;
  }
  __syncthreads();
  int start = 0, next = upTo - mine;
  for (int w = 0; w < int(blockDim.x) / 32; ++w) {
    start += befores[w];
    next += w < warp ? own[w] : 0;
  }
  next += start;
  if (threadIdx.x == 0) {
    offsets[expert] = start;
    if (expert == int(gridDim.x) - 1)
      offsets[expert + 1] = rows * topk;
  }
  if (mine > 0)
    for (int row = first; row < last; ++row)
      for (int j = 0; j < topk; ++j)
        if (ids[row * idsRow + j] == expert)
          place[row * placeRow + j] = next++;
}

namespace {

__device__ int bytesOf(Elem elem) {
  return elem == Elem::BF16 || elem == Elem::F16 ? 2 : 4;
}
/// Whether the rows of a view can be read and written in pieces of 16 bytes.
__device__ bool inWholePieces(const View &view) {
  int piece = 16 / bytesOf(view.elem);
  return reinterpret_cast<uintptr_t>(view.data) % 16 == 0 &&
         view.dims[1] % piece == 0 && view.strides[0] % piece == 0;
}
__device__ uint4 *pieceOf(const View &view, int64_t row, int64_t piece) {
  return reinterpret_cast<uint4 *>(static_cast<char *>(view.data) +
                                   row * view.strides[0] *
                                       bytesOf(view.elem)) +
         piece;
}

} // namespace

/// out[place[row, j]] = x[row]
extern "C" __global__ void mbc_scatter(View x, View place, View out,
                                       Count count) {
  int64_t row = blockIdx.x;
  if (row >= rowsOf(count))
    return;
  int64_t width = x.dims[1], topk = place.dims[1];
  auto *places =
      static_cast<const int32_t *>(place.data) + row * place.strides[0];
  if (x.elem == out.elem && inWholePieces(x) && inWholePieces(out)) {
    int64_t pieces = width * bytesOf(x.elem) / 16;
    for (int64_t i = threadIdx.x; i < pieces; i += blockDim.x) {
      uint4 piece = *pieceOf(x, row, i);
      for (int64_t j = 0; j < topk; ++j)
        *pieceOf(out, places[j], i) = piece;
    }
    return;
  }
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
  if (y.elem != Elem::F32 && inWholePieces(y)) {
    for (int64_t i = threadIdx.x; i < width / 8; i += blockDim.x) {
      float sums[8] = {};
#pragma unroll 8
      for (int64_t j = 0; j < topk; ++j) {
        uint4 piece = *pieceOf(y, places[j], i);
        const uint32_t pairs[4] = {piece.x, piece.y, piece.z, piece.w};
#pragma unroll
        for (int e = 0; e < 4; ++e) {
          float2 two = twoElements(pairs[e], y.elem);
          sums[2 * e] = __fadd_rn(sums[2 * e], __fmul_rn(two.x, factors[j]));
          sums[2 * e + 1] =
              __fadd_rn(sums[2 * e + 1], __fmul_rn(two.y, factors[j]));
        }
      }
      int64_t to = row * out.strides[0] + 8 * i;
      const bool even =
          to % 2 == 0 && reinterpret_cast<uintptr_t>(out.data) % 4 == 0;
#pragma unroll
      for (int e = 0; e < 8; e += 2)
        storeTwo(out.data, out.elem, to + e, sums[e], sums[e + 1], even);
    }
    return;
  }
  for (int64_t i = threadIdx.x; i < width; i += blockDim.x) {
    float sum = 0;
    for (int64_t j = 0; j < topk; ++j)
      sum = __fadd_rn(sum, __fmul_rn(loadElement(y.data, y.elem,
                                                 places[j] * y.strides[0] + i),
                                     factors[j]));
    storeElement(out.data, out.elem, row * out.strides[0] + i, sum);
  }
}
