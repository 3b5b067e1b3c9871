//===- Decode.cu - Attention of few rows over long states -----*- CUDA -*-===//
//
// A block is a row, a key head with up to 8 of its queries, and a part of the
// keys, of which each warp takes 16 at a time. Both products are tensor cores',
// whose fragments are read straight from the state: with g = lane / 4 and t =
// lane % 4 a lane's 16 bytes of a key are elements 8t ... of key g, k in another
// order, the same for queries; of values they are elements 8g ... of the keys
// 2t, 2t + 1, 2t + 8 and 2t + 9. Scores are queries times keys; sums are values,
// transposed, times weights, so that no half of a product is for nothing. The
// last block of a row's parts puts them together, in their order.
//
// Keys and values of the call's own rows come from the call; one block of a row
// writes its own to the state. Queries and keys may be those from before the
// norms of heads and the rotation by their positions: a block does both then, of
// its row's queries and of its sequence's new keys, with the arithmetic of row
// kernels in their order. References: runtime/host/Attention.cpp, and of those
// RowKind's of compiler/Codegen (EmitGpuRows.cpp).
//
//===----------------------------------------------------------------------===//

#include "runtime/cuda/kernels/Rotation.cuh"
#include "runtime/cuda/kernels/TensorCore.cuh"

using namespace mbc::cuda;

namespace {

constexpr int queries = 8, tileKeys = 16, ownKeys = DecodeArguments::mostOwn,
              mostParts = DecodeArguments::mostParts;
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

__device__ uint4 load16(const void *from) {
  return *static_cast<const uint4 *>(from);
}

/// Rows of a sequence's keys or values in the state, and those of the call.
/// Counted from the sequence's first; strides in bytes.
struct Source {
  const char *state, *call;
  uint32_t stateRow, callRow;
  int firstNew;

  template <typename T>
  __device__ Source(const T *state, int64_t slot, int64_t slotElements,
                    const View &call, int64_t row, int64_t index, int firstNew,
                    int kv)
      : state(reinterpret_cast<const char *>(state + slot * slotElements)),
        call(reinterpret_cast<const char *>(
            static_cast<const T *>(call.data) +
            (row - index) * call.strides[0] + kv * call.strides[1])),
        stateRow(uint32_t(slotElements) * sizeof(T)),
        callRow(uint32_t(call.strides[0]) * sizeof(T)), firstNew(firstNew) {}

  __device__ const char *inState(int i) const {
    return state + uint64_t(uint32_t(i)) * stateRow;
  }
  __device__ const char *inCall(int i) const {
    return call + uint64_t(uint32_t(i)) * callRow;
  }
  __device__ const char *at(int i) const {
    bool isNew = i >= firstNew;
    return (isNew ? call : state) +
           uint64_t(uint32_t(i)) * (isNew ? callRow : stateRow);
  }
};

/// New keys and values of the sequence, as they are attended.
template <int Width> struct Own {
  uint4 k[ownKeys][Width / 8], v[ownKeys][Width / 8];
};

/// 16 keys and their values. `last`: that is read again where there are fewer.
template <int Width> struct Tile {
  uint4 k[2][Width / 32], v[Width / 64][4];

  template <bool InState>
  __device__ void loadKeys(const Source &keys, int first, int last) {
    int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      int i = min(first + 8 * half + g, last);
      const char *key = InState ? keys.inState(i) : keys.at(i);
#pragma unroll
      for (int s = 0; s < Width / 32; ++s)
        k[half][s] = loadPassing(key + 64 * s + 16 * t);
    }
  }
  template <bool InState>
  __device__ void loadValues(const Source &values, int first, int last) {
    int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      int at = min(first + 2 * t + i % 2 + i / 2 * 8, last);
      const char *value = InState ? values.inState(at) : values.at(at);
#pragma unroll
      for (int s = 0; s < Width / 64; ++s)
        v[s][i] = loadPassing(value + 128 * s + 16 * g);
    }
  }
  /// New ones are taken from there.
  __device__ void takeKeys(const Own<Width> &own, int first, int firstNew,
                           int last) {
    int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      int number = min(first + 8 * half + g, last) - firstNew;
      if (number >= 0)
#pragma unroll
        for (int s = 0; s < Width / 32; ++s)
          k[half][s] = own.k[number][4 * s + t];
    }
  }
  __device__ void takeValues(const Own<Width> &own, int first, int firstNew,
                             int last) {
    int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      int number = min(first + 2 * t + i % 2 + i / 2 * 8, last) - firstNew;
      if (number >= 0)
#pragma unroll
        for (int s = 0; s < Width / 64; ++s)
          v[s][i] = own.v[number][8 * s + g];
    }
  }
};

/// `Turns`: norms and rotation are done here.
template <typename T, int Width, int Warps, bool Turns>
__device__ void decode(const DecodeArguments &given, Count count) {
  constexpr int steps = Width / 32, sets = Width / 64, threads = 32 * Warps;
  constexpr int pieces = Width / 8;
  // What a warp saw, each query's elements beside others' banks; then of a last
  // block the weights of parts.
  alignas(16) __shared__ float outs[Warps][queries][Width + 8];
  __shared__ float highs[Warps][queries], totals[Warps][queries];
  // Queries; rows are set off by half of what banks hold.
  __shared__ uint4 qs[queries][pieces + 4];
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
  int query0 = int(blockIdx.y) % chunks * queries, kv = int(blockIdx.y) / chunks;
  int mine = min(queries, given.group - query0);
  int end = given.causal ? place.index + 1 : place.total;
  int begin = given.window > 0 ? max(0, place.index + 1 - given.window) : 0;
  // The first key of the call's own; what earlier calls left is before it.
  int firstNew = place.index;
  for (int64_t r = row; r > 0 && given.places[r - 1].sequence == place.sequence;
       --r)
    --firstNew;
  int tiles = (end - begin + tileKeys - 1) / tileKeys;
  int parts = min(given.parts, tiles), part = blockIdx.z;
  if (part >= parts) {
    waitForEarlier();
    return;
  }
  int tile = int(int64_t(tiles) * part / parts) + warp;
  int endTile = int(int64_t(tiles) * (part + 1) / parts);
  auto firstOf = [&](int of) { return begin + of * tileKeys; };
  Source keys(static_cast<const T *>(given.keys) + kv * given.keyHead,
              place.slot, given.keySlot, given.k, row, place.index, firstNew,
              kv),
      values(static_cast<const T *>(given.values) + kv * given.valueHead,
             place.slot, given.valueSlot, given.v, row, place.index, firstNew,
             kv);
  // Where new ones come from elsewhere, the state's alone are read.
  int lastRead = (Turns ? firstNew : end) - 1;
  auto isRead = [&](int of) {
    return of < endTile && (!Turns || firstOf(of) < firstNew);
  };
  constexpr bool valuesToo = Width <= 128; // as registers allow
  Tile<Width> seen;
  bool ahead = isRead(tile) &&
               (Turns || firstOf(tile) + tileKeys <= firstNew);
  if (ahead) {
    seen.template loadKeys<true>(keys, firstOf(tile), lastRead);
    if (valuesToo)
      seen.template loadValues<true>(values, firstOf(tile), lastRead);
  }
  // One block of a row's has its key and value to write.
  bool writes = part == parts - 1 && query0 == 0;
  T *newKey = static_cast<T *>(given.keys) +
              int64_t(place.slot + place.index) * given.keySlot +
              kv * given.keyHead;
  T *newValue = static_cast<T *>(given.values) +
                int64_t(place.slot + place.index) * given.valueSlot +
                kv * given.valueHead;
  const Own<Width> *own = nullptr;
  if constexpr (Turns) {
    __shared__ Own<Width> turned;
    own = &turned;
    // Four lanes have a query or a new key, of which a block has few.
    int news = firstOf(endTile) > firstNew ? end - firstNew : 0;
    int vector = warp + Warps * g, number = vector - mine;
    bool isQuery = vector < mine, isOne = vector < mine + news;
    const HeadTurn &turn = given.turn;
    auto *weight =
        static_cast<const T *>(isQuery ? turn.qWeight : turn.kWeight);
    uint4 x[steps] = {}, weights[steps] = {};
    if (isOne && weight)
#pragma unroll
      for (int s = 0; s < steps; ++s)
        weights[s] = load16(weight + 32 * s + 8 * t);
    waitForEarlier();
    int64_t from = isQuery ? row : row - place.index + firstNew + number;
    if (isOne) {
      auto *head = isQuery ? static_cast<const T *>(given.q.data) +
                                 row * given.q.strides[0] +
                                 kv * given.q.strides[1] +
                                 (query0 + vector) * given.q.strides[2]
                           : reinterpret_cast<const T *>(
                                 keys.inCall(firstNew + number));
#pragma unroll
      for (int s = 0; s < steps; ++s)
        x[s] = load16(head + 32 * s + 8 * t);
    }
    constexpr int copies = (ownKeys * pieces + threads - 1) / threads;
    uint4 copied[copies];
#pragma unroll
    for (int i = 0; i < copies; ++i) {
      int at = threadIdx.x + i * threads;
      if (at < news * pieces)
        copied[i] = load16(values.inCall(firstNew + at / pieces) +
                           at % pieces * 16);
    }
    // Whole warps: lanes of a head exchange sums.
    if (warp < mine + news) {
      turnHead<T, Width>(x, weights, weight, turn.qWeight || turn.kWeight,
                         isQuery ? turn.qEpsilon : turn.kEpsilon,
                         turn.angles + (isOne ? from : row) * turn.angleRow,
                         turn.pairs);
      if (isOne)
#pragma unroll
        for (int s = 0; s < steps; ++s)
          (isQuery ? qs[vector] : turned.k[number])[4 * s + t] = x[s];
      if (isOne && !isQuery && writes && number == place.index - firstNew)
#pragma unroll
        for (int s = 0; s < steps; ++s)
          *reinterpret_cast<uint4 *>(newKey + 32 * s + 8 * t) = x[s];
    }
#pragma unroll
    for (int i = 0; i < copies; ++i) {
      int at = threadIdx.x + i * threads;
      if (at < news * pieces) {
        turned.v[at / pieces][at % pieces] = copied[i];
        if (writes && at / pieces == place.index - firstNew)
          *reinterpret_cast<uint4 *>(newValue + at % pieces * 8) = copied[i];
      }
    }
  } else {
    waitForEarlier();
    if (!ahead && isRead(tile)) {
      seen.template loadKeys<false>(keys, firstOf(tile), lastRead);
      if (valuesToo)
        seen.template loadValues<false>(values, firstOf(tile), lastRead);
    }
    for (int i = threadIdx.x; i < mine * pieces; i += threads)
      qs[i / pieces][i % pieces] =
          load16(static_cast<const T *>(given.q.data) +
                 row * given.q.strides[0] + kv * given.q.strides[1] +
                 (query0 + i / pieces) * given.q.strides[2] + i % pieces * 8);
    if (writes)
      for (int i = threadIdx.x; i < 2 * pieces; i += threads) {
        int at = i % pieces;
        if (i < pieces)
          reinterpret_cast<uint4 *>(newKey)[at] =
              load16(keys.inCall(place.index) + 16 * at);
        else
          reinterpret_cast<uint4 *>(newValue)[at] =
              load16(values.inCall(place.index) + 16 * at);
      }
  }

  // Queries that are none are multiplied and forgotten.
  for (int i = mine * pieces + threadIdx.x; i < queries * pieces; i += threads)
    qs[i / pieces][i % pieces] = {0, 0, 0, 0};
  __syncthreads();

  // Of query g; sums are of queries 2t and 2t + 1.
  float scale = given.scale * log2e, high = lowest, total = 0;
  float sums[sets][4][4] = {};
  for (; tile < endTile; tile += Warps) {
    int first = firstOf(tile), next = tile + Warps;
    bool hasNew = Turns && first + tileKeys > firstNew;
    if (hasNew) {
      seen.takeKeys(*own, first, firstNew, end - 1);
      if (valuesToo)
        seen.takeValues(*own, first, firstNew, end - 1);
    }
    float scores[2][4] = {};
#pragma unroll
    for (int s = 0; s < steps; ++s) {
      uint4 q = qs[g][4 * s + t];
      uint32_t one[4] = {q.x, 0, q.y, 0}, two[4] = {q.z, 0, q.w, 0};
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        uint4 k = seen.k[half][s];
        multiplyAdd<T>(scores[half], one, k.x, k.y);
        multiplyAdd<T>(scores[half], two, k.z, k.w);
      }
    }
    if (isRead(next))
      seen.template loadKeys<Turns>(keys, firstOf(next), lastRead);
    if (!valuesToo) {
      if (isRead(tile))
        seen.template loadValues<Turns>(values, first, lastRead);
      if (hasNew)
        seen.takeValues(*own, first, firstNew, end - 1);
    }
    // Of query g the keys 2t, 2t + 1, and those 8 on.
    float weights[4], higher = high;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      int key = first + 2 * t + i % 2 + i / 2 * 8;
      weights[i] = key < end ? scores[i / 2][i % 2] * scale : lowest;
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
    uint32_t some = packTwo<T>(weights[0], weights[1]),
             others = packTwo<T>(weights[2], weights[3]);
    float turns[2] = {__shfl_sync(0xffffffff, turn, 8 * t),
                      __shfl_sync(0xffffffff, turn, 8 * t + 4)};
#pragma unroll
    for (int s = 0; s < sets; ++s)
#pragma unroll
      for (int j = 0; j < 4; ++j) {
#pragma unroll
        for (int i = 0; i < 4; ++i)
          sums[s][j][i] *= turns[i % 2];
        const uint4 *v = seen.v[s];
        uint32_t a[4] = {
            pairOf(v[0], v[1], 2 * j), pairOf(v[0], v[1], 2 * j + 1),
            pairOf(v[2], v[3], 2 * j), pairOf(v[2], v[3], 2 * j + 1)};
        multiplyAdd<T>(sums[s][j], a, some, others);
      }
    if (valuesToo && isRead(next))
      seen.template loadValues<Turns>(values, firstOf(next), lastRead);
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
    for (int i = 0; i < 2; ++i)
#pragma unroll
      for (int half = 0; half < 2; ++half)
        *reinterpret_cast<float4 *>(
            &outs[warp][2 * t + i][64 * s + 8 * g + 4 * half]) = {
            sums[s][2 * half][i], sums[s][2 * half][2 + i],
            sums[s][2 * half + 1][i], sums[s][2 * half + 1][2 + i]};
  __syncthreads();
  bool together = given.outTogether;
  auto store = [&](int query, int i, float2 value) {
    storeTwo(given.out.data, given.out.elem,
             row * given.out.strides[0] + kv * given.out.strides[1] +
                 (query0 + query) * given.out.strides[2] + i,
             value.x, value.y, together);
  };
  // Of this row, head and chunk: sums [query, part, width], then of each the
  // highest score and the sum of weights [query, part, 2].
  int64_t first = (row * given.kv + kv) * given.group + query0;
  float *partial = given.partial + first * given.parts * Width;
  auto *ends = reinterpret_cast<float2 *>(
                   given.partial + int64_t(gridDim.x) * given.kv * given.group *
                                       given.parts * Width) +
               first * given.parts;
  for (int o = 2 * threadIdx.x; o < mine * Width; o += 2 * threads) {
    int query = o / Width, i = o % Width;
    float highest = lowest, all = 0;
#pragma unroll
    for (int w = 0; w < Warps; ++w)
      highest = fmaxf(highest, highs[w][query]);
    float2 sum = {0, 0};
#pragma unroll
    for (int w = 0; w < Warps; ++w) {
      float turn = powerOfTwo(highs[w][query] - highest);
      all = fmaf(totals[w][query], turn, all);
      float2 of = *reinterpret_cast<float2 *>(&outs[w][query][i]);
      sum = {fmaf(of.x, turn, sum.x), fmaf(of.y, turn, sum.y)};
    }
    if (parts == 1) {
      store(query, i, {sum.x / all, sum.y / all});
      continue;
    }
    *reinterpret_cast<float2 *>(partial +
                                (query * given.parts + part) * Width + i) = sum;
    if (i == 0)
      ends[query * given.parts + part] = {highest, all};
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
  for (int o = 2 * threadIdx.x, round = 0; round * 2 * threads < mine * Width;
       o += 2 * threads, ++round) {
    // What a thread wants of the parts is on its way before their weights are
    // known.
    bool isOne = o < mine * Width;
    int of = o / Width, i = o % Width;
    const float *sumsOf = partial + of * given.parts * Width + i;
    float2 found[mostParts];
#pragma unroll
    for (int p = 0; p < mostParts; ++p)
      if (isOne && p < parts)
        found[p] = __ldcg(reinterpret_cast<const float2 *>(sumsOf + p * Width));
    if (round == 0) {
      constexpr int lanes = threads / queries,
                    each = (mostParts + lanes - 1) / lanes;
      int query = threadIdx.x / lanes, from = threadIdx.x % lanes;
      const float2 *endsOf = ends + min(query, mine - 1) * given.parts;
      float2 end[each];
      float highest = lowest, all = 0;
#pragma unroll
      for (int e = 0; e < each; ++e) {
        int p = from + e * lanes;
        end[e] = p < parts ? __ldcg(endsOf + p) : float2{lowest, 0};
      }
#pragma unroll
      for (int e = 0; e < each; ++e)
        highest = fmaxf(highest, end[e].x);
#pragma unroll
      for (int mask = lanes / 2; mask > 0; mask /= 2)
        highest = fmaxf(highest, __shfl_xor_sync(0xffffffff, highest, mask));
#pragma unroll
      for (int e = 0; e < each; ++e) {
        int p = from + e * lanes;
        float turn = powerOfTwo(end[e].x - highest);
        if (p < parts)
          turns[query * mostParts + p] = turn;
        all = fmaf(turn, end[e].y, all);
      }
#pragma unroll
      for (int mask = lanes / 2; mask > 0; mask /= 2)
        all += __shfl_xor_sync(0xffffffff, all, mask);
      if (from == 0)
        totals[0][query] = all;
      __syncthreads();
    }
    if (!isOne)
      continue;
    float2 sum = {0, 0};
#pragma unroll
    for (int p = 0; p < mostParts; ++p)
      if (p < parts) {
        float turn = turns[of * mostParts + p];
        sum = {fmaf(found[p].x, turn, sum.x), fmaf(found[p].y, turn, sum.y)};
      }
    store(of, i, {sum.x / totals[0][of], sum.y / totals[0][of]});
  }
}

} // namespace

#define MBC_DECODE(kind, name, T, Width, Warps, Blocks, Turns)                 \
  extern "C" __global__ void __launch_bounds__(32 * Warps, Blocks)             \
      mbc_##kind##_##name##_##Width(                                           \
          const __grid_constant__ DecodeArguments given, Count count) {        \
    decode<T, Width, Warps, Turns>(given, count);                              \
  }
#define MBC_DECODE_OF(kind, name, T, Turns)                                    \
  MBC_DECODE(kind, name, T, 64, 4, 4, Turns)                                   \
  MBC_DECODE(kind, name, T, 128, 4, 3, Turns)                                  \
  MBC_DECODE(kind, name, T, 256, 4, 1, Turns)                                  \
  MBC_DECODE(kind##_wide, name, T, 64, 8, 1, Turns)                            \
  MBC_DECODE(kind##_wide, name, T, 128, 8, 1, Turns)
MBC_DECODE_OF(decode, bf16, __nv_bfloat16, false)
MBC_DECODE_OF(decode, f16, __half, false)
MBC_DECODE_OF(turn_decode, bf16, __nv_bfloat16, true)
MBC_DECODE_OF(turn_decode, f16, __half, true)
