//===- Flash.cu - Attention of many rows on tensor cores ------*- CUDA -*-===//
//
// A block has a key head and a tile of its queries, those of a row's group side
// by side, and goes through the keys that they see with a running maximum and
// sum (FlashAttention-2, arXiv 2307.08691). Rows of a tile may be of several
// sequences, which follow each other: each is gone through by itself.
//
// Keys, values and queries of one 16-bit type, whose rows can be read in pieces
// of 16 bytes; `mbc_attend` takes all others.
//
//===----------------------------------------------------------------------===//

#include "runtime/cuda/kernels/TensorCore.cuh"

using namespace mbc::cuda;

namespace {

constexpr int threads = 128;
constexpr float lowest = -__builtin_inff();
constexpr float log2e = 1.4426950408889634f;

/// How a tile of rows of `Width` elements lies in shared memory: panels of 64
/// elements, each with all rows.
template <int Width, int Rows> struct Panels {
  static constexpr int bytes = (Width + 63) / 64 * Rows * 128;
  static __device__ int at(int row, int chunk) {
    return chunk / 8 * (Rows * 128) + chunkAt(row, chunk % 8);
  }
};

/// The rows of a tile from those of an array, zeros for what is behind its end
/// and beyond its width. Every thread has one chunk of some rows.
template <typename T, int Width, int Rows>
__device__ void copyTile(char *to, const T *from, int64_t stride, int rows,
                         int width) {
  constexpr int chunks = Width / 8, atOnce = threads / chunks;
  const int chunk = threadIdx.x % chunks;
  int row = threadIdx.x / chunks;
  if (threads % chunks != 0 && row >= atOnce)
    return;
  const bool inWidth = chunk * 8 < width;
  const T *next = from + row * stride + chunk * 8;
#pragma unroll
  for (int i = 0; i < (Rows + atOnce - 1) / atOnce; ++i) {
    if (Rows % atOnce == 0 || row < Rows) {
      bool inside = inWidth && row < rows;
      copyAsync(to + Panels<Width, Rows>::at(row, chunk), inside ? next : from,
                inside);
    }
    row += atOnce;
    next += atOnce * stride;
  }
}

/// Keys have up to KeyWidth elements, values up to ValueWidth; a warp has
/// 16 * MTiles queries; keys go through by `Keys`.
template <typename T, int KeyWidth, int ValueWidth, int MTiles, int Keys>
__device__ void flash(const AttentionArguments &given, Count count) {
  constexpr int rows = 64 * MTiles, nTiles = Keys / 8,
                outTiles = ValueWidth / 8;
  using Queries = Panels<KeyWidth, rows>;
  using KeyTile = Panels<KeyWidth, Keys>;
  using ValueTile = Panels<ValueWidth, Keys>;
  MBC_DYNAMIC_SHARED(uint4, shared);
  char *queries = reinterpret_cast<char *>(shared);
  char *keyTiles = queries + Queries::bytes;
  char *valueTiles = keyTiles + 2 * KeyTile::bytes;

  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int kv = blockIdx.x, callRows = int(rowsOf(count));
  // Late rows see the most keys; theirs come first.
  const int query0 = int(gridDim.y - 1 - blockIdx.y) * rows;
  const int row0 = query0 / given.group;
  if (row0 >= callRows)
    return;
  const int rowEnd = min(callRows, (query0 + rows - 1) / given.group + 1);

  // Queries that are not there are zeros.
  for (int i = threadIdx.x; i < rows * (KeyWidth / 8); i += threads) {
    int r = i / (KeyWidth / 8), chunk = i % (KeyWidth / 8);
    int row = (query0 + r) / given.group, head = (query0 + r) % given.group;
    bool inside = row < callRows && chunk * 8 < given.first;
    const T *from = static_cast<const T *>(given.q.data);
    if (inside)
      from += row * given.q.strides[0] + kv * given.q.strides[1] +
              head * given.q.strides[2] + chunk * 8;
    copyAsync(queries + Queries::at(r, chunk), from, inside);
  }

  const int warpQuery = warp * 16 * MTiles;
  // Rows of the call of the warp's first and last query.
  const int warpFirst = (query0 + warpQuery) / given.group;
  const int warpLast = (query0 + warpQuery + 16 * MTiles - 1) / given.group;
  // Number 16 * i + 8 * h of the lane's queries.
  auto queryOf = [&](int i, int h) {
    return query0 + warpQuery + 16 * i + 8 * h + lane / 4;
  };
  float highest[MTiles][2], total[MTiles][2], sums[MTiles][outTiles][4];
#pragma unroll
  for (int i = 0; i < MTiles; ++i) {
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      highest[i][h] = lowest;
      total[i][h] = 0;
    }
#pragma unroll
    for (int j = 0; j < outTiles; ++j)
#pragma unroll
      for (int e = 0; e < 4; ++e)
        sums[i][j][e] = 0;
  }
  const float scale = given.scale * log2e;
  const auto *keys =
      static_cast<const T *>(given.keys) + kv * given.keyHead;
  const auto *values =
      static_cast<const T *>(given.values) + kv * given.valueHead;

  int turn = 0;
  for (int segment = row0; segment < rowEnd;) {
    // The rows of one sequence, whose last one is number total - 1.
    const RowPlace place = given.places[segment];
    const int segmentEnd = min(rowEnd, segment + place.total - place.index);
    // A row that is `index` - `segment` on is number `toIndex` + row.
    const int toIndex = place.index - segment;
    auto firstKey = [&](int row) {
      return given.window > 0 ? max(0, row + toIndex + 1 - given.window) : 0;
    };
    auto endKey = [&](int row) {
      return given.causal ? row + toIndex + 1 : place.total;
    };
    const int begin = firstKey(segment), end = endKey(segmentEnd - 1);
    auto load = [&](int key0, int buffer) {
      copyTile<T, KeyWidth, Keys>(
          keyTiles + buffer * KeyTile::bytes,
          keys + int64_t(place.slot + key0) * given.keySlot, given.keySlot,
          end - key0, given.first);
      copyTile<T, ValueWidth, Keys>(
          valueTiles + buffer * ValueTile::bytes,
          values + int64_t(place.slot + key0) * given.valueSlot,
          given.valueSlot, end - key0, given.width);
      commitCopies();
    };
    // What some and what all of the warp's rows see.
    const int mine = max(segment, warpFirst),
              myLast = min(segmentEnd - 1, warpLast);
    const int someBegin = firstKey(mine), someEnd = endKey(myLast);
    const bool whole = warpFirst >= segment && warpLast < segmentEnd;
    const int allBegin = firstKey(warpLast),
              allEnd = whole ? endKey(warpFirst) : 0;

    load(begin, turn % 2);
    for (int key0 = begin; key0 < end; key0 += Keys, ++turn) {
      waitForCopies<0>();
      __syncthreads();
      // Where everybody has left.
      if (key0 + Keys < end)
        load(key0 + Keys, (turn + 1) % 2);
      if (mine > myLast || key0 >= someEnd || key0 + Keys <= someBegin)
        continue;

      const char *tile = keyTiles + turn % 2 * KeyTile::bytes;
      float scores[MTiles][nTiles][4];
#pragma unroll
      for (int i = 0; i < MTiles; ++i)
#pragma unroll
        for (int j = 0; j < nTiles; ++j)
#pragma unroll
          for (int e = 0; e < 4; ++e)
            scores[i][j][e] = 0;
#pragma unroll
      for (int part = 0; part < KeyWidth / 16; ++part) {
        uint32_t a[MTiles][4];
#pragma unroll
        for (int i = 0; i < MTiles; ++i)
          loadMatrices(a[i],
                       queries + Queries::at(warpQuery + 16 * i + lane % 16,
                                             2 * part + lane / 16));
#pragma unroll
        for (int j = 0; j < nTiles / 2; ++j) {
          uint32_t b[4];
          loadMatrices(b, tile + KeyTile::at(16 * j + lane / 16 * 8 + lane % 8,
                                             2 * part + lane / 8 % 2));
#pragma unroll
          for (int i = 0; i < MTiles; ++i) {
            multiplyAdd<T>(scores[i][2 * j], a[i], b[0], b[1]);
            multiplyAdd<T>(scores[i][2 * j + 1], a[i], b[2], b[3]);
          }
        }
      }
      if (key0 < allBegin || key0 + Keys > allEnd) {
#pragma unroll
        for (int i = 0; i < MTiles; ++i)
#pragma unroll
          for (int h = 0; h < 2; ++h) {
            int row = queryOf(i, h) / given.group;
            bool here = row >= segment && row < segmentEnd;
            int from = firstKey(row), to = here ? endKey(row) : 0;
#pragma unroll
            for (int j = 0; j < nTiles; ++j)
#pragma unroll
              for (int e = 0; e < 2; ++e) {
                int key = key0 + 8 * j + lane % 4 * 2 + e;
                if (key < from || key >= to)
                  scores[i][j][2 * h + e] = lowest;
              }
          }
      }

      // Weights, in place of the scores.
#pragma unroll
      for (int i = 0; i < MTiles; ++i)
#pragma unroll
        for (int h = 0; h < 2; ++h) {
          float higher = highest[i][h];
#pragma unroll
          for (int j = 0; j < nTiles; ++j)
            higher = fmaxf(higher, fmaxf(scores[i][j][2 * h],
                                         scores[i][j][2 * h + 1]));
          higher = fmaxf(higher, __shfl_xor_sync(0xffffffff, higher, 1));
          higher = fmaxf(higher, __shfl_xor_sync(0xffffffff, higher, 2));
          // A row that has seen nothing yet has weights of 0.
          float base = higher == lowest ? 0.0f : higher * scale;
          float change = powerOfTwo(fmaf(highest[i][h], scale, -base));
          highest[i][h] = higher;
          float sum = 0;
#pragma unroll
          for (int j = 0; j < nTiles; ++j)
#pragma unroll
            for (int e = 0; e < 2; ++e) {
              float weight =
                  powerOfTwo(fmaf(scores[i][j][2 * h + e], scale, -base));
              scores[i][j][2 * h + e] = weight;
              sum += weight;
            }
          total[i][h] = fmaf(total[i][h], change, sum);
#pragma unroll
          for (int j = 0; j < outTiles; ++j) {
            sums[i][j][2 * h] *= change;
            sums[i][j][2 * h + 1] *= change;
          }
        }

      tile = valueTiles + turn % 2 * ValueTile::bytes;
#pragma unroll
      for (int part = 0; part < Keys / 16; ++part) {
        uint32_t a[MTiles][4];
#pragma unroll
        for (int i = 0; i < MTiles; ++i)
#pragma unroll
          for (int e = 0; e < 4; ++e)
            a[i][e] = packTwo<T>(scores[i][2 * part + e / 2][e % 2 * 2],
                                 scores[i][2 * part + e / 2][e % 2 * 2 + 1]);
#pragma unroll
        for (int j = 0; j < outTiles / 2; ++j) {
          uint32_t b[4];
          loadTransposed(b, tile + ValueTile::at(16 * part + lane % 16,
                                                 2 * j + lane / 16));
#pragma unroll
          for (int i = 0; i < MTiles; ++i) {
            multiplyAdd<T>(sums[i][2 * j], a[i], b[0], b[1]);
            multiplyAdd<T>(sums[i][2 * j + 1], a[i], b[2], b[3]);
          }
        }
      }
    }
    segment = segmentEnd;
  }

#pragma unroll
  for (int i = 0; i < MTiles; ++i)
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      float all = total[i][h];
      all += __shfl_xor_sync(0xffffffff, all, 1);
      all += __shfl_xor_sync(0xffffffff, all, 2);
      int row = queryOf(i, h) / given.group;
      if (row >= callRows)
        continue;
      int head = queryOf(i, h) % given.group;
      int64_t to = row * given.out.strides[0] + kv * given.out.strides[1] +
                   head * given.out.strides[2];
      bool even = to % 2 == 0 &&
                  reinterpret_cast<uintptr_t>(given.out.data) % 4 == 0;
      float factor = 1.0f / all;
#pragma unroll
      for (int j = 0; j < outTiles; ++j) {
        int column = 8 * j + lane % 4 * 2;
        if (column < given.width)
          storeTwo(given.out.data, given.out.elem, to + column,
                   sums[i][j][2 * h] * factor, sums[i][j][2 * h + 1] * factor,
                   even);
      }
    }
}

} // namespace

#define MBC_FLASH(name, T, KeyWidth, ValueWidth, MTiles, Keys)                 \
  extern "C" __global__ void __launch_bounds__(threads, 2)                     \
      mbc_flash_##name##_##KeyWidth(                                           \
          const __grid_constant__ AttentionArguments given, Count count) {     \
    flash<T, KeyWidth, ValueWidth, MTiles, Keys>(given, count);                \
  }
// As `flashSizes` of LaunchFlash.cpp lists them.
#define MBC_FLASH_OF(name, T)                                                  \
  MBC_FLASH(name, T, 64, 64, 2, 64)                                            \
  MBC_FLASH(name, T, 96, 96, 2, 64)                                            \
  MBC_FLASH(name, T, 128, 128, 2, 64)                                          \
  MBC_FLASH(name, T, 192, 128, 2, 32)                                          \
  MBC_FLASH(name, T, 256, 256, 1, 32)
MBC_FLASH_OF(bf16, __nv_bfloat16)
MBC_FLASH_OF(f16, __half)
