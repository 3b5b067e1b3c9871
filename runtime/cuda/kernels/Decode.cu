//===- Decode.cu - Attention of few rows over long states -----*- CUDA -*-===//
//
// A block is a row, a key head with up to 8 of its queries, and a part of the
// keys, of which each warp takes 16 at a time. Both products are tensor cores',
// whose fragments are read straight from the state: with g = lane / 4 and t =
// lane % 4 a lane's 16 bytes of a key are elements 8t ... of key g, k in another
// order, the same for queries; of values they are elements 8g ... of the keys
// 2t, 2t + 1, 2t + 8 and 2t + 9. The last block of a row's parts puts them
// together, in their order.
//
// Keys and values of the call's own rows come from the call; the first part
// writes a row's to the state. Reference: runtime/host/Attention.cpp.
//
//===----------------------------------------------------------------------===//

#include "runtime/cuda/kernels/TensorCore.cuh"

using namespace mbc::cuda;

namespace {

constexpr int warps = 4, queries = 8, tileKeys = 16;
constexpr float lowest = -__builtin_inff();
constexpr float log2e = 1.4426950408889634f;

/// Of two pieces of 8 elements number j of each, the first's in the low half.
__device__ uint32_t pairOf(uint4 a, uint4 b, int j) {
  uint32_t first = j / 2 == 0   ? a.x
                   : j / 2 == 1 ? a.y
                   : j / 2 == 2 ? a.z
                                : a.w;
  uint32_t second = j / 2 == 0   ? b.x
                    : j / 2 == 1 ? b.y
                    : j / 2 == 2 ? b.z
                                 : b.w;
  return __byte_perm(first, second, j % 2 == 0 ? 0x5410 : 0x7632);
}

/// What a row sees of its sequence, and where it is read.
template <typename T> struct Seen {
  const DecodeArguments &given;
  int64_t row;
  int kv;
  RowPlace place;
  int begin, end;
  /// The first key of the call's own; what earlier calls left is before it.
  int firstNew;

  __device__ const T *key(int i) const {
    return i < firstNew
               ? static_cast<const T *>(given.keys) +
                     int64_t(place.slot + i) * given.keySlot +
                     kv * given.keyHead
               : static_cast<const T *>(given.k.data) +
                     (row + i - place.index) * given.k.strides[0] +
                     kv * given.k.strides[1];
  }
  __device__ const T *value(int i) const {
    return i < firstNew
               ? static_cast<const T *>(given.values) +
                     int64_t(place.slot + i) * given.valueSlot +
                     kv * given.valueHead
               : static_cast<const T *>(given.v.data) +
                     (row + i - place.index) * given.v.strides[0] +
                     kv * given.v.strides[1];
  }
};

__device__ uint4 load16(const void *from) {
  return *static_cast<const uint4 *>(from);
}

template <typename T, int Width> struct Tile {
  uint4 k[2][Width / 32], v[Width / 64][4];

  /// Keys past the last are that one again.
  __device__ void loadKeys(const Seen<T> &seen, int first) {
    int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const T *key = seen.key(min(first + 8 * half + g, seen.end - 1));
#pragma unroll
      for (int s = 0; s < Width / 32; ++s)
        k[half][s] = load16(key + 32 * s + 8 * t);
    }
  }
  __device__ void loadValues(const Seen<T> &seen, int first) {
    int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const T *value = seen.value(
          min(first + 2 * t + i % 2 + i / 2 * 8, seen.end - 1));
#pragma unroll
      for (int s = 0; s < Width / 64; ++s)
        v[s][i] = load16(value + 64 * s + 8 * g);
    }
  }
};

template <typename T, int Width>
__device__ void decode(const DecodeArguments &given, Count count) {
  constexpr int steps = Width / 32, sets = Width / 64;
  // What a warp saw; then of a last block the weights of parts.
  __shared__ float outs[warps][queries][Width];
  __shared__ float highs[warps][queries], totals[warps][queries];
  __shared__ bool last;
  letNextStart();
  int64_t row = blockIdx.x;
  // Numbers and places are the call's inputs, and older keys are earlier
  // calls': all of it is there before other kernels end.
  const RowPlace place = given.places[row];
  if (row >= rowsOf(count)) {
    waitForEarlier();
    return;
  }
  int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  int g = lane / 4, t = lane % 4;
  int chunks = (given.group + queries - 1) / queries;
  int query0 = int(blockIdx.y) % chunks * queries;
  Seen<T> seen{given, row, int(blockIdx.y) / chunks, place, 0, 0, 0};
  seen.end = given.causal ? place.index + 1 : place.total;
  seen.begin = given.window > 0 ? max(0, place.index + 1 - given.window) : 0;
  seen.firstNew = place.index;
  for (int64_t r = row; r > 0 && given.places[r - 1].sequence == place.sequence;
       --r)
    --seen.firstNew;
  int tiles = (seen.end - seen.begin + tileKeys - 1) / tileKeys;
  int parts = min(given.parts, tiles), part = blockIdx.z;
  if (part >= parts) {
    waitForEarlier();
    return;
  }
  int tile = int(int64_t(tiles) * part / parts) + warp;
  int endTile = int(int64_t(tiles) * (part + 1) / parts);
  auto firstOf = [&](int of) { return seen.begin + of * tileKeys; };
  constexpr bool valuesToo = Width <= 128; // as registers allow
  Tile<T, Width> keys;
  bool ahead = tile < endTile && firstOf(tile) + tileKeys <= seen.firstNew;
  if (ahead) {
    keys.loadKeys(seen, firstOf(tile));
    if (valuesToo)
      keys.loadValues(seen, firstOf(tile));
  }
  waitForEarlier();
  if (!ahead && tile < endTile) {
    keys.loadKeys(seen, firstOf(tile));
    if (valuesToo)
      keys.loadValues(seen, firstOf(tile));
  }

  uint4 q[steps];
#pragma unroll
  for (int s = 0; s < steps; ++s)
    q[s] = query0 + g < given.group
               ? load16(static_cast<const T *>(given.q.data) +
                        row * given.q.strides[0] +
                        seen.kv * given.q.strides[1] +
                        (query0 + g) * given.q.strides[2] + 32 * s + 8 * t)
               : uint4{0, 0, 0, 0};
  if (part == 0 && query0 == 0) {
    int64_t slot = place.slot + place.index;
    for (int i = threadIdx.x; i < 2 * Width / 8; i += 32 * warps) {
      int at = i % (Width / 8) * 8;
      if (i < Width / 8)
        *reinterpret_cast<uint4 *>(static_cast<T *>(given.keys) +
                                   slot * given.keySlot +
                                   seen.kv * given.keyHead + at) =
            load16(static_cast<const T *>(given.k.data) +
                   row * given.k.strides[0] + seen.kv * given.k.strides[1] +
                   at);
      else
        *reinterpret_cast<uint4 *>(static_cast<T *>(given.values) +
                                   slot * given.valueSlot +
                                   seen.kv * given.valueHead + at) =
            load16(static_cast<const T *>(given.v.data) +
                   row * given.v.strides[0] + seen.kv * given.v.strides[1] +
                   at);
    }
  }

  float scale = given.scale * log2e, high = lowest, total = 0;
  float sums[sets][8][2] = {};
  for (; tile < endTile; tile += warps) {
    int first = firstOf(tile);
    float scores[2][4] = {};
#pragma unroll
    for (int s = 0; s < steps; ++s) {
      uint32_t one[4] = {q[s].x, 0, q[s].y, 0}, two[4] = {q[s].z, 0, q[s].w, 0};
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        uint4 k = keys.k[half][s];
        multiplyAdd<T>(scores[half], one, k.x, k.y);
        multiplyAdd<T>(scores[half], two, k.z, k.w);
      }
    }
    int next = tile + warps;
    if (next < endTile)
      keys.loadKeys(seen, firstOf(next));
    if (!valuesToo)
      keys.loadValues(seen, first);
    // Of query g the keys 2t, 2t + 1, and those 8 on.
    float weights[4], higher = high;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      int key = first + 2 * t + i % 2 + i / 2 * 8;
      weights[i] =
          key < seen.end ? scores[i / 2][i % 2] * scale : lowest;
      higher = fmaxf(higher, weights[i]);
    }
    higher = fmaxf(higher, __shfl_xor_sync(0xffffffff, higher, 1));
    higher = fmaxf(higher, __shfl_xor_sync(0xffffffff, higher, 2));
    float turn = powerOfTwo(high - higher);
    high = higher;
    total *= turn;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      weights[i] = powerOfTwo(weights[i] - high);
      total += weights[i];
    }
    uint32_t a[4] = {packTwo<T>(weights[0], weights[1]), 0,
                     packTwo<T>(weights[2], weights[3]), 0};
#pragma unroll
    for (int s = 0; s < sets; ++s)
#pragma unroll
      for (int j = 0; j < 8; ++j) {
        // The lower half of 16 queries is none.
        float of[4] = {sums[s][j][0] * turn, sums[s][j][1] * turn, 0, 0};
        multiplyAdd<T>(of, a, pairOf(keys.v[s][0], keys.v[s][1], j),
                       pairOf(keys.v[s][2], keys.v[s][3], j));
        sums[s][j][0] = of[0];
        sums[s][j][1] = of[1];
      }
    if (valuesToo && next < endTile)
      keys.loadValues(seen, firstOf(next));
  }

  total += __shfl_xor_sync(0xffffffff, total, 1);
  total += __shfl_xor_sync(0xffffffff, total, 2);
  if (t == 0) {
    highs[warp][g] = high;
    totals[warp][g] = total;
  }
#pragma unroll
  for (int s = 0; s < sets; ++s)
#pragma unroll
    for (int j = 0; j < 8; ++j) {
      outs[warp][g][64 * s + 16 * t + j] = sums[s][j][0];
      outs[warp][g][64 * s + 16 * t + 8 + j] = sums[s][j][1];
    }
  __syncthreads();
  auto store = [&](int query, int i, float value) {
    storeElement(given.out.data, given.out.elem,
                 row * given.out.strides[0] + seen.kv * given.out.strides[1] +
                     (query0 + query) * given.out.strides[2] + i,
                 value);
  };
  constexpr int wide = Width + 2;
  int mine = min(queries, given.group - query0);
  // [query, part, width + 2] of this row, head and chunk.
  float *partial = given.partial +
                   ((row * given.kv + seen.kv) * given.group + query0) *
                       given.parts * wide;
  for (int o = threadIdx.x; o < mine * Width; o += 32 * warps) {
    int query = o / Width, i = o % Width;
    float highest = lowest, all = 0, sum = 0;
#pragma unroll
    for (int w = 0; w < warps; ++w)
      highest = fmaxf(highest, highs[w][query]);
#pragma unroll
    for (int w = 0; w < warps; ++w) {
      // A warp without keys has none, and turns to 0.
      float turn = powerOfTwo(highs[w][query] - highest);
      all += totals[w][query] * turn;
      sum = fmaf(outs[w][query][i], turn, sum);
    }
    if (parts == 1) {
      store(query, i, sum / all);
      continue;
    }
    float *to = partial + (query * given.parts + part) * wide;
    to[i] = sum;
    if (i == 0) {
      to[Width] = highest;
      to[Width + 1] = all;
    }
  }
  if (parts == 1)
    return;

  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) {
    int32_t *arrived = given.arrived + row * gridDim.y + blockIdx.y;
    last = atomicAdd(arrived, 1) == parts - 1;
    if (last)
      *arrived = 0;
  }
  __syncthreads();
  if (!last)
    return;
  __threadfence();
  // Weights of the parts of every query, in what the warps no longer need.
  float *turns = &outs[0][0][0];
  int lanes = 32 * warps / queries, query = threadIdx.x / lanes,
      from = threadIdx.x % lanes;
  float highest = lowest, all = 0;
  const float *parts0 = partial + min(query, mine - 1) * given.parts * wide;
  for (int p = from; p < parts; p += lanes)
    highest = fmaxf(highest, __ldcg(parts0 + p * wide + Width));
  for (int mask = lanes / 2; mask > 0; mask /= 2)
    highest = fmaxf(highest, __shfl_xor_sync(0xffffffff, highest, mask));
  for (int p = from; p < parts; p += lanes) {
    float turn = powerOfTwo(__ldcg(parts0 + p * wide + Width) - highest);
    turns[query * given.parts + p] = turn;
    all += turn * __ldcg(parts0 + p * wide + Width + 1);
  }
  for (int mask = lanes / 2; mask > 0; mask /= 2)
    all += __shfl_xor_sync(0xffffffff, all, mask);
  if (from == 0)
    totals[0][query] = all;
  __syncthreads();
  for (int o = threadIdx.x; o < mine * Width; o += 32 * warps) {
    int of = o / Width, i = o % Width;
    float sum = 0;
#pragma unroll 8
    for (int p = 0; p < parts; ++p)
      sum = fmaf(__ldcg(partial + (of * given.parts + p) * wide + i),
                 turns[of * given.parts + p], sum);
    store(of, i, sum / totals[0][of]);
  }
}

} // namespace

#define MBC_DECODE(name, T, Width)                                             \
  extern "C" __global__ void                                                   \
  __launch_bounds__(32 * warps, Width <= 128 ? 3 : 1)                          \
      mbc_decode_##name##_##Width(const __grid_constant__ DecodeArguments given, \
                                  Count count) {                               \
    decode<T, Width>(given, count);                                            \
  }
#define MBC_DECODE_OF(name, T)                                                 \
  MBC_DECODE(name, T, 64)                                                      \
  MBC_DECODE(name, T, 128)                                                     \
  MBC_DECODE(name, T, 256)
MBC_DECODE_OF(bf16, __nv_bfloat16)
MBC_DECODE_OF(f16, __half)
