//===- Attention.cu - Attention over a state ------------------*- CUDA -*-===//
//
// A block is a row, a key head and some of its queries; its warps share the
// keys of a part, and every query keeps a running maximum and sum. Parts of
// long sequences are put together by `mbc_attend_parts`. Reference: runtime/host/Attention.cpp.
//
//===----------------------------------------------------------------------===//

#include "runtime/cuda/kernels/Elements.cuh"

using namespace mbc::cuda;

/// Where rows stand in their parts, which follow each other; `ends` says of each
/// row where its part ends (null: all rows are one).
extern "C" __global__ void mbc_part_places(const int32_t *ends,
                                           RowPlace *places, Count count) {
  takeTurn();
  int rows = int(rowsOf(count));
  int row = blockIdx.x * blockDim.x + threadIdx.x;
  if (row >= rows)
    return;
  int end = ends ? ends[row] : rows, begin = 0;
  if (ends)
    // The first row of the part; ends never fall.
    for (int above = row; begin < above;) {
      int middle = (begin + above) / 2;
      if (ends[middle] < end)
        begin = middle + 1;
      else
        above = middle;
    }
  places[row] = {begin, row - begin, end - begin, 0};
}

namespace {

constexpr int warps = 4;
constexpr float lowest = -__builtin_inff();

template <Elem elem> struct Of;
template <> struct Of<Elem::F32> { using Type = float; };
template <> struct Of<Elem::BF16> { using Type = __nv_bfloat16; };
template <> struct Of<Elem::F16> { using Type = __half; };

/// Keys have up to 32 * Keys elements, values 32 * Values; a block has Queries
/// queries.
template <typename T, int Keys, int Values, int Queries>
__device__ void attend(const AttentionArguments &given, Count count) {
  takeTurn();
  int64_t row = blockIdx.x;
  if (row >= rowsOf(count))
    return;
  int chunks = (given.group + Queries - 1) / Queries;
  int kv = blockIdx.y / chunks, query0 = blockIdx.y % chunks * Queries;
  int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  RowPlace place = given.places[row];
  int end = given.causal ? place.index + 1 : place.total;
  int begin = given.window > 0 ? max(0, place.index + 1 - given.window) : 0;
  int first = max(begin, int(blockIdx.z) * given.part);
  int last = min(end, int(blockIdx.z + 1) * given.part);
  if (given.parts == 1)
    first = begin, last = end;

  float q[Queries][Keys];
#pragma unroll
  for (int g = 0; g < Queries; ++g)
#pragma unroll
    for (int i = 0; i < Keys; ++i) {
      int at = lane + 32 * i, query = query0 + g;
      float value = 0;
      if (query < given.group) {
        if (at < given.first)
          value = loadElement(given.q.data, given.q.elem,
                              row * given.q.strides[0] +
                                  kv * given.q.strides[1] +
                                  query * given.q.strides[2] + at);
        else if (at < given.first + given.second)
          value = loadElement(given.moreQ.data, given.moreQ.elem,
                              row * given.moreQ.strides[0] +
                                  kv * given.moreQ.strides[1] +
                                  query * given.moreQ.strides[2] + at -
                                  given.first);
      }
      q[g][i] = value;
    }

  float highest[Queries], total[Queries], sums[Queries][Values];
#pragma unroll
  for (int g = 0; g < Queries; ++g) {
    highest[g] = lowest;
    total[g] = 0;
#pragma unroll
    for (int i = 0; i < Values; ++i)
      sums[g][i] = 0;
  }
  auto *keys = static_cast<const T *>(given.keys) + kv * given.keyHead;
  auto *more = static_cast<const T *>(given.moreKeys);
  auto *values =
      static_cast<const T *>(given.values) + kv * given.valueHead;
  for (int key = first + warp; key < last; key += warps) {
    int64_t slot = place.slot + key;
    float k[Keys];
#pragma unroll
    for (int i = 0; i < Keys; ++i) {
      int at = lane + 32 * i;
      k[i] = at < given.first ? float(keys[slot * given.keySlot + at])
             : at < given.first + given.second
                 ? float(more[slot * given.moreKeySlot + at - given.first])
                 : 0.0f;
    }
    float v[Values];
#pragma unroll
    for (int i = 0; i < Values; ++i) {
      int at = lane + 32 * i;
      v[i] = at < given.width ? float(values[slot * given.valueSlot + at])
                              : 0.0f;
    }
#pragma unroll
    for (int g = 0; g < Queries; ++g) {
      float score = 0;
#pragma unroll
      for (int i = 0; i < Keys; ++i)
        score = fmaf(q[g][i], k[i], score);
      score = warpSum(score) * given.scale;
      float higher = fmaxf(highest[g], score);
      float turn = expf(highest[g] - higher), weight = expf(score - higher);
      highest[g] = higher;
      total[g] = total[g] * turn + weight;
#pragma unroll
      for (int i = 0; i < Values; ++i)
        sums[g][i] = fmaf(weight, v[i], sums[g][i] * turn);
    }
  }

  // The warps' results, one query after another.
  __shared__ float highs[warps], totals[warps], parts[warps][32 * Values];
#pragma unroll
  for (int g = 0; g < Queries; ++g) {
    int query = query0 + g;
    if (query >= given.group)
      break;
    __syncthreads();
    if (lane == 0) {
      highs[warp] = highest[g];
      totals[warp] = total[g];
    }
#pragma unroll
    for (int i = 0; i < Values; ++i)
      parts[warp][lane + 32 * i] = sums[g][i];
    __syncthreads();
    float high = lowest;
    for (int w = 0; w < warps; ++w)
      high = fmaxf(high, highs[w]);
    float all = 0, turns[warps];
    for (int w = 0; w < warps; ++w) {
      turns[w] = highs[w] == lowest ? 0.0f : expf(highs[w] - high);
      all += totals[w] * turns[w];
    }
    for (int i = threadIdx.x; i < given.width; i += blockDim.x) {
      float sum = 0;
      for (int w = 0; w < warps; ++w)
        sum = fmaf(parts[w][i], turns[w], sum);
      if (given.parts == 1)
        storeElement(given.out.data, given.out.elem,
                     row * given.out.strides[0] + kv * given.out.strides[1] +
                         query * given.out.strides[2] + i,
                     sum / all);
      else
        given.partial[(((row * given.kv + kv) * given.group + query) *
                           given.parts +
                       blockIdx.z) *
                          (given.width + 2) +
                      i] = sum;
    }
    if (given.parts > 1 && threadIdx.x == 0) {
      float *end = given.partial +
                   (((row * given.kv + kv) * given.group + query) *
                        given.parts +
                    blockIdx.z) *
                       (given.width + 2) +
                   given.width;
      end[0] = high;
      end[1] = all;
    }
  }
}

} // namespace

/// Puts the parts of a query together: blockIdx (row, kv * group + query).
extern "C" __global__ void
mbc_attend_parts(const __grid_constant__ AttentionArguments given,
                 Count count) {
  takeTurn();
  int64_t row = blockIdx.x;
  if (row >= rowsOf(count))
    return;
  int kv = blockIdx.y / given.group, query = blockIdx.y % given.group;
  const float *partial =
      given.partial + (row * given.kv * given.group + blockIdx.y) *
                          given.parts * (given.width + 2);
  float high = lowest;
  for (int p = 0; p < given.parts; ++p)
    high = fmaxf(high, partial[p * (given.width + 2) + given.width]);
  float all = 0;
  for (int p = 0; p < given.parts; ++p) {
    const float *end = partial + p * (given.width + 2) + given.width;
    if (end[0] != lowest)
      all += end[1] * expf(end[0] - high);
  }
  for (int i = threadIdx.x; i < given.width; i += blockDim.x) {
    float sum = 0;
    for (int p = 0; p < given.parts; ++p) {
      const float *part = partial + p * (given.width + 2);
      if (part[given.width] != lowest)
        sum = fmaf(part[i], expf(part[given.width] - high), sum);
    }
    storeElement(given.out.data, given.out.elem,
                 row * given.out.strides[0] + kv * given.out.strides[1] +
                     query * given.out.strides[2] + i,
                 sum / all);
  }
}

#define MBC_ATTEND(name, elem, Keys, Values, Queries)                          \
  extern "C" __global__ void __launch_bounds__(32 * warps)                     \
      mbc_attend_##name##_##Keys(                                              \
          const __grid_constant__ AttentionArguments given, Count count) {     \
    attend<Of<elem>::Type, Keys, Values, Queries>(given, count);               \
  }
#define MBC_ATTEND_OF(name, elem)                                              \
  MBC_ATTEND(name, elem, 2, 2, 8)                                              \
  MBC_ATTEND(name, elem, 4, 4, 8)                                              \
  MBC_ATTEND(name, elem, 8, 8, 4)                                              \
  MBC_ATTEND(name, elem, 18, 16, 2)
MBC_ATTEND_OF(f32, Elem::F32)
MBC_ATTEND_OF(bf16, Elem::BF16)
MBC_ATTEND_OF(f16, Elem::F16)
