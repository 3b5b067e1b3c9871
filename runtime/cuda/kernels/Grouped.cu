//===- Grouped.cu - Products of groups on tensor cores --------*- CUDA -*-===//
//
// Rows that are sorted by group times a matrix for each: experts; one group is a
// plain product. Where the groups' rows begin is read on the device. 16-bit
// types whose rows can be read in pieces of 16 bytes; `mbc_product` takes all
// others. Tiles of FP8 weights become values of x's type on their way to shared
// memory.
//
//===----------------------------------------------------------------------===//

#include "runtime/cuda/kernels/Fp8.cuh"
#include "runtime/cuda/kernels/Groups.cuh"
#include "runtime/cuda/kernels/TensorCore.cuh"

using namespace mbc::cuda;

namespace {

/// Columns of a tile; elements of k in a stage, which are rows of 128 bytes.
constexpr int columns = 128, depth = 64;

//===----------------------------------------------------------------------===//
// Many rows: tiles
//===----------------------------------------------------------------------===//

/// How four warps multiply 64 rows of the one side of a stage with 128 of the
/// other, on any device: each has 32 x 64 of the outputs, as fragments. What
/// needs the warps begins after the copies of another stage.
template <typename T> struct Warps {
  static constexpr int mTiles = 2, nTiles = 8;
  float sums[mTiles][nTiles][4] = {};

  static __device__ int rowOf(int i) {
    return threadIdx.x / 64 % 2 * 32 + 16 * i;
  }
  static __device__ int columnOf(int j) {
    return threadIdx.x / 32 % 2 * 64 + 8 * j;
  }
  static __device__ void show() {}
  __device__ void begin(const char *, const char *) {}
  __device__ void finish(const char *xs, const char *ws, int rows) {
    if (rowOf(0) >= rows)
      return;
    // Which rows and chunks of a 16 x 16 fragment the lane's address is of.
    const int lane = threadIdx.x % 32;
    const int aRow = lane % 16, aChunk = lane / 16;
    const int bRow = lane / 16 * 8 + lane % 8, bChunk = lane / 8 % 2;
#pragma unroll
    for (int part = 0; part < depth / 16; ++part) {
      uint32_t a[mTiles][4], b[nTiles / 2][4];
#pragma unroll
      for (int i = 0; i < mTiles; ++i)
        loadMatrices(a[i], xs + chunkAt(rowOf(i) + aRow, 2 * part + aChunk));
#pragma unroll
      for (int j = 0; j < nTiles / 2; ++j)
        loadMatrices(b[j],
                     ws + chunkAt(columnOf(2 * j) + bRow, 2 * part + bChunk));
#pragma unroll
      for (int i = 0; i < mTiles; ++i)
#pragma unroll
        for (int j = 0; j < nTiles; ++j)
          multiplyAdd<T>(sums[i][j], a[i], b[j / 2][j % 2 * 2],
                         b[j / 2][j % 2 * 2 + 1]);
    }
  }
};

#ifdef MBC_WARPGROUPS
/// The same with products of the four together, which read shared memory
/// themselves, while copies are asked for: each warp has 16 rows and all
/// columns.
template <typename T> struct Warpgroup {
  static constexpr int mTiles = 1, nTiles = 16;
  float sums[mTiles][nTiles][4] = {};

  static __device__ int rowOf(int) { return threadIdx.x / 32 % 4 * 16; }
  static __device__ int columnOf(int j) { return 8 * j; }
  static __device__ void show() { showCopies(); }
  __device__ void begin(const char *xs, const char *ws) {
    beginProducts();
#pragma unroll
    for (int part = 0; part < depth / 16; ++part)
      warpgroupMultiplyAdd<T>(sums[0], xs, ws, part);
    commitProducts();
  }
  __device__ void finish(const char *, const char *, int) { finishProducts(); }
};
#endif

/// How a thread brings its part of the matrix's 128 columns of a stage there:
/// copied at once, by `fetch`, where it is of x's type.
template <typename T, typename W, int Threads> struct Columns {
  static constexpr int lines = Threads / 8;
  const ProductArguments &given;
  const int chunk = threadIdx.x % 8, line = threadIdx.x / 8;
  const T *w;
  int column;

  __device__ Columns(const ProductArguments &given, int group, int column0)
      : given(given), column(column0 + line) {
    w = static_cast<const T *>(given.weight) + group * given.groupStride +
        column * given.ldw + chunk * 8;
  }
  __device__ void fetch(char *to, int step) {
    bool inK = step * depth + chunk * 8 < given.k;
#pragma unroll
    for (int i = 0; i < columns / lines; ++i) {
      bool inside = inK && column + lines * i < given.n;
      copyAsync(to + chunkAt(line + lines * i, chunk),
                inside ? w + lines * i * given.ldw + step * depth
                       : given.weight,
                inside);
    }
  }
  __device__ void put(char *) {}
};

/// FP8 is fetched into registers; `put`, once there is time, makes its values.
struct E4M3 {};
template <typename T, int Threads> struct Columns<T, E4M3, Threads> {
  static constexpr int lines = Threads / 4, pieces = columns / lines;
  const ProductArguments &given;
  const int chunk = threadIdx.x % 4, line = threadIdx.x / 4;
  const uint8_t *w;
  const int row, column;
  uint4 held[pieces];
  float scales[pieces];

  __device__ Columns(const ProductArguments &given, int group, int column0)
      : given(given), row(group * given.n + column0 + line),
        column(column0 + line) {
    w = static_cast<const uint8_t *>(given.weight) +
        group * given.groupStride + column * given.ldw + chunk * 16;
  }
  __device__ void fetch(char *, int step) {
    int k = step * depth + chunk * 16;
#pragma unroll
    for (int i = 0; i < pieces; ++i) {
      bool inside = k < given.k && column + lines * i < given.n;
      held[i] = inside ? *reinterpret_cast<const uint4 *>(
                             w + lines * i * given.ldw + step * depth)
                       : uint4{0, 0, 0, 0};
      scales[i] = inside ? scalesOf(given.blocks, row + lines * i)
                               [k / given.blocks.columns]
                         : 0.0f;
    }
  }
  __device__ void put(char *to) {
#pragma unroll
    for (int i = 0; i < pieces; ++i) {
      uint4 two[2];
      valuesOf<T>(held[i], scales[i], two);
#pragma unroll
      for (int h = 0; h < 2; ++h)
        *reinterpret_cast<uint4 *>(
            to + chunkAt(line + lines * i, 2 * chunk + h)) = two[h];
    }
  }
};

/// Shared memory, where a swizzled tile may begin.
struct alignas(1024) Lines {
  char bytes[1024];
};

/// A block of 2 * Rows threads has a tile of Rows x 128 outputs, and goes through the tiles of all
/// groups; neighbours in time are the tiles of one group that share columns, so
/// that its matrix comes from memory once.
template <typename T, typename W, int Rows, int Stages,
          template <typename> class Of>
__device__ void tiles(const ProductArguments &given, Count count) {
  constexpr int xBytes = Rows * 128, stageBytes = xBytes + columns * 128;
  MBC_DYNAMIC_SHARED(Lines, shared);
  char *stages = shared->bytes;
  // What of a stage the thread copies; the tile's rows that its warps have.
  constexpr int lines = Rows / 4;
  const int chunk = threadIdx.x % 8, line = threadIdx.x / 8;
  const int warpsRow =
      Rows == 64 ? 0 : __shfl_sync(0xffffffff, threadIdx.x / 128 * 64, 0);
  const int columnTiles = (given.n + columns - 1) / columns;
  const int steps = (given.k + depth - 1) / depth;

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
    Columns<T, W, 2 * Rows> matrix(given, group, column0);

    auto stage = [&](int step) { return stages + step % Stages * stageBytes; };
    auto load = [&](int step) {
      if (step < steps) {
        char *to = stage(step);
        bool inK = step * depth + chunk * 8 < given.k;
#pragma unroll
        for (int i = 0; i < Rows / lines; ++i) {
          bool inside = inK && line + lines * i < rows;
          copyAsync(to + chunkAt(line + lines * i, chunk),
                    inside ? x + lines * i * given.ldx + step * depth : given.x,
                    inside);
        }
        matrix.fetch(to + xBytes, step);
      }
      commitCopies();
    };
    auto put = [&](int step) {
      if (step < steps)
        matrix.put(stage(step) + xBytes);
    };

    Of<T> product;
#pragma unroll
    for (int s = 0; s < Stages - 1; ++s) {
      load(s);
      put(s);
    }
    for (int step = 0; step < steps; ++step) {
      waitForCopies<Stages - 2>();
      product.show();
      __syncthreads();
      const char *xs = stage(step) + warpsRow * 128, *ws = stage(step) + xBytes;
      product.begin(xs, ws);
      // Into the stage that everybody has left.
      load(step + Stages - 1);
      product.finish(xs, ws, rows - warpsRow);
      put(step + Stages - 1);
    }
    // The next tile's copies go where somebody may still read.
    waitForCopies<0>();
    __syncthreads();

    const int lane = threadIdx.x % 32;
    const bool even = given.ldo % 2 == 0 &&
                      reinterpret_cast<uintptr_t>(given.out) % 4 == 0;
#pragma unroll
    for (int i = 0; i < product.mTiles; ++i)
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        int r = warpsRow + product.rowOf(i) + 8 * half + lane / 4;
        if (r >= rows)
          continue;
        int64_t to = (row0 + r) * given.ldo;
#pragma unroll
        for (int j = 0; j < product.nTiles; ++j) {
          int column = column0 + product.columnOf(j) + lane % 4 * 2;
          float first = product.sums[i][j][2 * half],
                second = product.sums[i][j][2 * half + 1];
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

constexpr int threads = 128, warps = threads / 32;
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
  if (range.end - range.begin <= 16)
    return fewRows<T, 2>(given, w, range.begin, range.end - range.begin, sums);
  for (int row = range.begin; row < range.end; row += mostRows)
    fewRows<T, mostRows / 8>(given, w, row, min(mostRows, range.end - row),
                             sums);
}

} // namespace

#define MBC_GROUPED(name, T, W, how, Rows, Stages, Blocks)                     \
  extern "C" __global__ void __launch_bounds__(2 * Rows, Blocks)               \
      mbc_grouped_##name##_##how##_##Rows(                                     \
          const __grid_constant__ ProductArguments given, Count count) {       \
    tiles<T, W, Rows, Stages, how>(given, count);                              \
  }
#define MBC_GROUPED_ROWS(name, T)                                              \
  extern "C" __global__ void __launch_bounds__(threads)                        \
      mbc_grouped_##name##_rows(                                               \
          const __grid_constant__ ProductArguments given, Count count) {       \
    rows<T>(given, count);                                                     \
  }
// As `multiplyGroups` of LaunchProducts.cpp has them: warps have no registers
// for 128 rows with FP8.
#define MBC_GROUPED_WITH(name, T, how)                                         \
  MBC_GROUPED(name, T, T, how, 64, 3, 3)                                       \
  MBC_GROUPED(name, T, T, how, 128, 3, 2)                                      \
  MBC_GROUPED(name##_f8, T, E4M3, how, 64, 3, 3)
#define MBC_GROUPED_OF(how)                                                    \
  MBC_GROUPED_WITH(bf16, __nv_bfloat16, how)                                   \
  MBC_GROUPED_WITH(f16, __half, how)
MBC_GROUPED_ROWS(bf16, __nv_bfloat16)
MBC_GROUPED_ROWS(f16, __half)
MBC_GROUPED_OF(Warps)
#ifdef MBC_WARPGROUPS
MBC_GROUPED_OF(Warpgroup)
MBC_GROUPED(bf16_f8, __nv_bfloat16, E4M3, Warpgroup, 128, 3, 2)
MBC_GROUPED(f16_f8, __half, E4M3, Warpgroup, 128, 3, 2)
#endif
