//===- Grouped.cu - Products of groups on tensor cores --------*- CUDA -*-===//
//
// Rows that are sorted by group times a matrix for each: experts; one group is a
// plain product. Where the groups' rows begin is read on the device. 16-bit
// types whose rows can be read in pieces of 16 bytes; `mbc_product` takes all
// others.
//
//===----------------------------------------------------------------------===//

#include "runtime/cuda/kernels/TensorCore.cuh"

using namespace mbc::cuda;

namespace {

constexpr int threads = 128;
/// Columns of a tile; elements of k in a stage, which are rows of 128 bytes.
constexpr int columns = 128, depth = 64;

/// Rows of a group.
struct Range {
  int begin, end;
};
__device__ Range rangeOf(const ProductArguments &given, int group,
                         int64_t rows) {
  if (!given.offsets)
    return {0, int(rows)};
  return {given.offsets[group], given.offsets[group + 1]};
}

//===----------------------------------------------------------------------===//
// Many rows: tiles
//===----------------------------------------------------------------------===//

/// Four warps have a tile of Rows x 128 outputs, Rows / 2 x 64 each. Blocks go
/// through the tiles of all groups; neighbours in time are the tiles of one
/// group that share columns, so that its matrix comes from memory once.
template <typename T, int Rows, int Stages>
__device__ void tiles(const ProductArguments &given, Count count) {
  constexpr int mTiles = Rows / 32, nTiles = 8;
  constexpr int xBytes = Rows * 128, stageBytes = xBytes + columns * 128;
  MBC_DYNAMIC_SHARED(uint4, shared);
  char *stages = reinterpret_cast<char *>(shared);
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int warpRow = warp / 2 * (Rows / 2), warpColumn = warp % 2 * 64;
  const int chunk = threadIdx.x % 8, line = threadIdx.x / 8;
  const int columnTiles = (given.n + columns - 1) / columns;
  const int steps = (given.k + depth - 1) / depth;
  // Which rows and chunks of a 16 x 16 fragment the lane's address is of.
  const int aRow = lane % 16, aChunk = lane / 16;
  const int bRow = lane / 16 * 8 + lane % 8, bChunk = lane / 8 % 2;

  int group = 0, before = 0;
  Range range = rangeOf(given, 0, rowsOf(count));
  for (int tile = blockIdx.x;; tile += gridDim.x) {
    int rowTiles;
    while (true) {
      rowTiles = (range.end - range.begin + Rows - 1) / Rows;
      if (tile - before < rowTiles * columnTiles)
        break;
      before += rowTiles * columnTiles;
      if (++group == given.groups)
        return;
      range = rangeOf(given, group, 0);
    }
    const int row0 = range.begin + (tile - before) % rowTiles * Rows;
    const int column0 = (tile - before) / rowTiles * columns;
    const int rows = min(Rows, range.end - row0);
    const T *x = static_cast<const T *>(given.x) +
                 (row0 + line) * given.ldx + chunk * 8;
    const T *w = static_cast<const T *>(given.weight) +
                 group * given.groupStride + (column0 + line) * given.ldw +
                 chunk * 8;

    auto load = [&](int step) {
      if (step < steps) {
        char *to = stages + step % Stages * stageBytes;
        bool inK = step * depth + chunk * 8 < given.k;
#pragma unroll
        for (int i = 0; i < Rows / 16; ++i) {
          bool inside = inK && line + 16 * i < rows;
          copyAsync(to + chunkAt(line + 16 * i, chunk),
                    inside ? x + 16 * i * given.ldx + step * depth : given.x,
                    inside);
        }
#pragma unroll
        for (int i = 0; i < columns / 16; ++i) {
          bool inside = inK && column0 + line + 16 * i < given.n;
          copyAsync(to + xBytes + chunkAt(line + 16 * i, chunk),
                    inside ? w + 16 * i * given.ldw + step * depth
                           : given.weight,
                    inside);
        }
      }
      commitCopies();
    };

    float sums[mTiles][nTiles][4];
#pragma unroll
    for (int i = 0; i < mTiles; ++i)
#pragma unroll
      for (int j = 0; j < nTiles; ++j)
#pragma unroll
        for (int e = 0; e < 4; ++e)
          sums[i][j][e] = 0;
#pragma unroll
    for (int s = 0; s < Stages - 1; ++s)
      load(s);
    const bool works = warpRow < rows && column0 + warpColumn < given.n;
    for (int step = 0; step < steps; ++step) {
      waitForCopies<Stages - 2>();
      __syncthreads();
      // Into the stage that everybody has left.
      load(step + Stages - 1);
      if (!works)
        continue;
      const char *xs = stages + step % Stages * stageBytes;
      const char *ws = xs + xBytes;
#pragma unroll
      for (int part = 0; part < depth / 16; ++part) {
        uint32_t a[mTiles][4], b[nTiles / 2][4];
#pragma unroll
        for (int i = 0; i < mTiles; ++i)
          loadMatrices(a[i], xs + chunkAt(warpRow + 16 * i + aRow,
                                          2 * part + aChunk));
#pragma unroll
        for (int j = 0; j < nTiles / 2; ++j)
          loadMatrices(b[j], ws + chunkAt(warpColumn + 16 * j + bRow,
                                          2 * part + bChunk));
#pragma unroll
        for (int i = 0; i < mTiles; ++i)
#pragma unroll
          for (int j = 0; j < nTiles; ++j)
            multiplyAdd<T>(sums[i][j], a[i], b[j / 2][j % 2 * 2],
                           b[j / 2][j % 2 * 2 + 1]);
      }
    }
    // The next tile's copies go where somebody may still read.
    waitForCopies<0>();
    __syncthreads();

    const bool even = given.ldo % 2 == 0 &&
                      reinterpret_cast<uintptr_t>(given.out) % 4 == 0;
#pragma unroll
    for (int i = 0; i < mTiles; ++i)
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        int r = warpRow + 16 * i + 8 * half + lane / 4;
        if (r >= rows)
          continue;
        int64_t to = (row0 + r) * given.ldo;
#pragma unroll
        for (int j = 0; j < nTiles; ++j) {
          int column = column0 + warpColumn + 8 * j + lane % 4 * 2;
          float first = sums[i][j][2 * half], second = sums[i][j][2 * half + 1];
          if (given.bias && column < given.n) {
            first += loadElement(given.bias, given.biasElem, column);
            if (column + 1 < given.n)
              second += loadElement(given.bias, given.biasElem, column + 1);
          }
          if (column + 1 < given.n)
            storeTwo(given.out, given.outElem, to + column, first, second,
                     even);
          else if (column < given.n)
            storeElement(given.out, given.outElem, to + column, first);
        }
      }
  }
}

//===----------------------------------------------------------------------===//
// Few rows of a group
//===----------------------------------------------------------------------===//

constexpr int warps = threads / 32;
/// A block has 16 columns; x rows that go through at once are up to 32.
constexpr int rowColumns = 16, mostRows = 32;

/// 16 columns for `rows` <= 8 * Tiles rows. The matrix is the product's first
/// side: it goes from memory into fragments, a lane's 16 bytes are two pairs of
/// each of two products. Warps take turns at 64 elements of k.
template <typename T, int Tiles>
__device__ void fewRows(const ProductArguments &given, const T *w, int64_t row0,
                        int rows, float (*sums)[rowColumns][mostRows + 1]) {
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int column = blockIdx.x * rowColumns + lane / 4;
  const int last = given.n - 1;
  const T *upper = w + min(column, last) * given.ldw;
  const T *lower = w + min(column + 8, last) * given.ldw;
  const T *x =
      static_cast<const T *>(given.x) + (row0 + lane / 4) * given.ldx;
  float all[Tiles][4] = {};
  const uint4 zero = {0, 0, 0, 0};
#pragma unroll 2
  for (int k0 = warp * 64; k0 < given.k; k0 += 64 * warps) {
    uint4 a[2][2], b[Tiles][2];
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      int k = k0 + 32 * h + lane % 4 * 8;
      bool inK = k < given.k;
      a[h][0] = inK ? loadOnce(upper + k) : zero;
      a[h][1] = inK ? loadOnce(lower + k) : zero;
#pragma unroll
      for (int i = 0; i < Tiles; ++i)
        b[i][h] = inK && 8 * i + lane / 4 < rows
                      ? *reinterpret_cast<const uint4 *>(
                            x + 8 * i * given.ldx + k)
                      : zero;
    }
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      uint32_t first[4] = {a[h][0].x, a[h][1].x, a[h][0].y, a[h][1].y};
      uint32_t second[4] = {a[h][0].z, a[h][1].z, a[h][0].w, a[h][1].w};
#pragma unroll
      for (int i = 0; i < Tiles; ++i) {
        multiplyAdd<T>(all[i], first, b[i][h].x, b[i][h].y);
        multiplyAdd<T>(all[i], second, b[i][h].z, b[i][h].w);
      }
    }
  }
  // The warps' sums, in their order.
#pragma unroll
  for (int i = 0; i < Tiles; ++i)
#pragma unroll
    for (int e = 0; e < 4; ++e)
      sums[warp][lane / 4 + e / 2 * 8][8 * i + lane % 4 * 2 + e % 2] =
          all[i][e];
  __syncthreads();
  int to = blockIdx.x * rowColumns + threadIdx.x % rowColumns;
  for (int r = threadIdx.x / rowColumns; r < rows; r += threads / rowColumns) {
    float sum = 0;
#pragma unroll
    for (int i = 0; i < warps; ++i)
      sum += sums[i][threadIdx.x % rowColumns][r];
    if (to < given.n)
      storeElement(given.out, given.outElem, (row0 + r) * given.ldo + to,
                   given.bias
                       ? sum + loadElement(given.bias, given.biasElem, to)
                       : sum);
  }
  __syncthreads();
}

/// The number of the group that is number `wanted` of those that have rows; the
/// number of groups if there are fewer. The whole warp calls.
__device__ int groupWithRows(const ProductArguments &given, int wanted) {
  for (int first = 0; first < given.groups; first += 32) {
    int group = first + int(threadIdx.x % 32);
    unsigned votes = __ballot_sync(
        0xffffffff, group < given.groups &&
                        given.offsets[group] < given.offsets[group + 1]);
    int here = __popc(votes);
    if (wanted < here) {
      for (; wanted > 0; --wanted)
        votes &= votes - 1;
      return first + __popc((votes & -votes) - 1);
    }
    wanted -= here;
  }
  return given.groups;
}

/// blockIdx.x: columns, blockIdx.y: groups that have rows. Each of their
/// matrices is read once for every 32 of them.
template <typename T>
__device__ void rows(const ProductArguments &given, Count count) {
  __shared__ float sums[warps][rowColumns][mostRows + 1];
  int group = given.offsets ? groupWithRows(given, blockIdx.y) : 0;
  if (group == given.groups)
    return;
  Range range = rangeOf(given, group, rowsOf(count));
  const T *w =
      static_cast<const T *>(given.weight) + group * given.groupStride;
  if (range.end - range.begin <= 8)
    return fewRows<T, 1>(given, w, range.begin, range.end - range.begin, sums);
  for (int row = range.begin; row < range.end; row += mostRows)
    fewRows<T, mostRows / 8>(given, w, row, min(mostRows, range.end - row),
                             sums);
}

} // namespace

#define MBC_GROUPED(name, T)                                                   \
  extern "C" __global__ void __launch_bounds__(threads, 2)                     \
      mbc_grouped_##name##_128(const __grid_constant__ ProductArguments given, \
                               Count count) {                                  \
    tiles<T, 128, 3>(given, count);                                            \
  }                                                                            \
  extern "C" __global__ void __launch_bounds__(threads, 2)                     \
      mbc_grouped_##name##_64(const __grid_constant__ ProductArguments given,  \
                              Count count) {                                   \
    tiles<T, 64, 4>(given, count);                                             \
  }                                                                            \
  extern "C" __global__ void __launch_bounds__(threads)                        \
      mbc_grouped_##name##_rows(                                               \
          const __grid_constant__ ProductArguments given, Count count) {       \
    rows<T>(given, count);                                                     \
  }
MBC_GROUPED(bf16, __nv_bfloat16)
MBC_GROUPED(f16, __half)
