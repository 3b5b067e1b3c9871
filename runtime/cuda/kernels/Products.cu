//===- Products.cu - Products that no library takes -----------*- CUDA -*-===//
//
// `mbc_product` takes every combination of types, widths and strides, and
// groups of rows with a matrix each. `mbc_row_products` (one row, and a few of
// float32) and `mbc_few_rows` (a few of 16 bits, on tensor cores) are for rows
// so few that the weights' bytes are all that counts: many small blocks, whose
// threads share k and ask for all of their weights at once, before they wait
// for the kernel that makes x.
//
//===----------------------------------------------------------------------===//

#include "runtime/cuda/kernels/TensorCore.cuh"

using namespace mbc::cuda;

namespace {

constexpr int tile = 64, depth = 16;

} // namespace

/// 256 threads a tile of 64 x 64 outputs; blockIdx.x: columns, blockIdx.y:
/// tiles of rows, of all groups one after another.
extern "C" __global__ void __launch_bounds__(256)
    mbc_product(ProductArguments given, Count count) {
  takeTurn();
  __shared__ float xs[depth][tile + 4], ws[depth][tile + 4];
  int64_t begin = 0, end = rowsOf(count);
  int tileOfGroup = blockIdx.y, group = 0;
  if (given.offsets) {
    for (; group < given.groups; ++group) {
      begin = given.offsets[group];
      end = given.offsets[group + 1];
      int tiles = int((end - begin + tile - 1) / tile);
      if (tileOfGroup < tiles)
        break;
      tileOfGroup -= tiles;
    }
    if (group == given.groups)
      return;
  }
  int64_t row0 = begin + int64_t(tileOfGroup) * tile;
  int64_t column0 = int64_t(blockIdx.x) * tile;
  if (row0 >= end)
    return;
  int64_t weights = int64_t(group) * given.groupStride;
  int tx = threadIdx.x % 16, ty = threadIdx.x / 16;
  float sums[4][4] = {};
  for (int k0 = 0; k0 < given.k; k0 += depth) {
    for (int i = threadIdx.x; i < tile * depth; i += 256) {
      int r = i / depth, k = i % depth;
      bool inK = k0 + k < given.k;
      xs[k][r] = inK && row0 + r < end
                     ? loadElement(given.x, given.xElem,
                                   (row0 + r) * given.ldx + k0 + k)
                     : 0.0f;
      ws[k][r] = inK && column0 + r < given.n
                     ? loadElement(given.weight, given.weightElem,
                                   weights + (column0 + r) * given.ldw + k0 + k)
                     : 0.0f;
    }
    __syncthreads();
    for (int k = 0; k < depth; ++k) {
      float a[4], b[4];
      for (int i = 0; i < 4; ++i) {
        a[i] = xs[k][ty * 4 + i];
        b[i] = ws[k][tx * 4 + i];
      }
      for (int i = 0; i < 4; ++i)
        for (int j = 0; j < 4; ++j)
          sums[i][j] = fmaf(a[i], b[j], sums[i][j]);
    }
    __syncthreads();
  }
  for (int i = 0; i < 4; ++i)
    for (int j = 0; j < 4; ++j) {
      int64_t row = row0 + ty * 4 + i, column = column0 + tx * 4 + j;
      if (row < end && column < given.n)
        storeElement(given.out, given.outElem, row * given.ldo + column,
                     sums[i][j] + (given.bias ? loadElement(given.bias,
                                                            given.biasElem,
                                                            column)
                                              : 0.0f));
    }
}

namespace {

/// 16 bytes of 16-bit or 32-bit floats as float32.
template <typename T> struct Pack;
template <> struct Pack<float> {
  static constexpr int size = 4;
  static __device__ void unpack(uint4 v, float *to) {
    to[0] = __uint_as_float(v.x), to[1] = __uint_as_float(v.y);
    to[2] = __uint_as_float(v.z), to[3] = __uint_as_float(v.w);
  }
};
template <> struct Pack<__nv_bfloat16> {
  static constexpr int size = 8;
  static __device__ void unpack(uint4 v, float *to) {
    uint32_t words[4] = {v.x, v.y, v.z, v.w};
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      to[2 * i] = __uint_as_float(words[i] << 16);
      to[2 * i + 1] = __uint_as_float(words[i] & 0xffff0000u);
    }
  }
};
template <> struct Pack<__half> {
  static constexpr int size = 8;
  static __device__ void unpack(uint4 v, float *to) {
    uint32_t words[4] = {v.x, v.y, v.z, v.w};
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      float2 f = __half22float2(*reinterpret_cast<__half2 *>(&words[i]));
      to[2 * i] = f.x, to[2 * i + 1] = f.y;
    }
  }
};

__device__ void storeSum(const ProductArguments &given, int64_t row,
                         int64_t column, float sum) {
  if (given.bias)
    sum += loadElement(given.bias, given.biasElem, column);
  storeElement(given.out, given.outElem, row * given.ldo + column, sum);
}

constexpr int rowThreads = 256;

/// A block's Columns of all rows.
template <typename T, int Columns, int Rows>
__device__ void rowProducts(const ProductArguments &given, Count count) {
  constexpr int size = Pack<T>::size, warps = rowThreads / 32;
  __shared__ float parts[warps][Rows][Columns];
  letNextStart();
  if (!given.fixed)
    waitForEarlier();
  int64_t first = int64_t(blockIdx.x) * Columns;
  auto *x = static_cast<const T *>(given.x);
  const T *weights[Columns];
#pragma unroll
  for (int c = 0; c < Columns; ++c)
    weights[c] = static_cast<const T *>(given.weight) +
                 min(first + c, int64_t(given.n - 1)) * given.ldw;
  float sums[Rows][Columns] = {};
  int rows = 0;
  for (int k0 = 0; k0 < given.k; k0 += rowThreads * size) {
    int k = k0 + int(threadIdx.x) * size;
    bool inside = k < given.k;
    uint4 w[Columns];
#pragma unroll
    for (int c = 0; c < Columns; ++c)
      w[c] = inside ? loadOnce(weights[c] + k) : uint4{0, 0, 0, 0};
    if (k0 == 0) {
      waitForEarlier();
      rows = int(rowsOf(count));
    }
#pragma unroll
    for (int r = 0; r < Rows; ++r) {
      if (r >= rows)
        break;
      float a[size], b[size];
      Pack<T>::unpack(inside ? *reinterpret_cast<const uint4 *>(
                                   x + r * given.ldx + k)
                             : uint4{0, 0, 0, 0},
                      a);
#pragma unroll
      for (int c = 0; c < Columns; ++c) {
        Pack<T>::unpack(w[c], b);
#pragma unroll
        for (int i = 0; i < size; ++i)
          sums[r][c] = fmaf(a[i], b[i], sums[r][c]);
      }
    }
  }
  int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
#pragma unroll
  for (int r = 0; r < Rows; ++r)
#pragma unroll
    for (int c = 0; c < Columns; ++c) {
      float sum = warpSum(sums[r][c]);
      if (lane == 0)
        parts[warp][r][c] = sum;
    }
  __syncthreads();
  int r = threadIdx.x / Columns, c = threadIdx.x % Columns;
  if (r < rows && r < Rows && first + c < given.n) {
    float sum = 0;
#pragma unroll
    for (int w = 0; w < warps; ++w)
      sum += parts[w][r][c];
    storeSum(given, r, first + c, sum);
  }
}

constexpr int fewWarps = 16;

/// A block's 8 columns of at most 8 rows. With g = lane / 4 and t = lane % 4 a
/// lane's 16 bytes are k = 8t ... of column g and of row g: what tensor cores
/// take for k in another order, the same for both.
template <typename T>
__device__ void fewRows(const ProductArguments &given, Count count) {
  constexpr int loads = 4; // steps of k at a time
  __shared__ float parts[fewWarps][8][8];
  letNextStart();
  if (!given.fixed)
    waitForEarlier();
  int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  int g = lane / 4, t = lane % 4;
  int64_t first = int64_t(blockIdx.x) * 8;
  auto *weights = static_cast<const T *>(given.weight) +
                  min(first + g, int64_t(given.n - 1)) * given.ldw;
  auto *x = static_cast<const T *>(given.x) + g * given.ldx;
  float sums[4] = {};
  int rows = 0;
  for (int k0 = 0; k0 < given.k; k0 += fewWarps * 32 * loads) {
    uint4 w[loads], a[loads];
#pragma unroll
    for (int i = 0; i < loads; ++i) {
      int k = k0 + (i * fewWarps + warp) * 32 + t * 8;
      w[i] = k < given.k ? loadOnce(weights + k) : uint4{0, 0, 0, 0};
    }
    if (k0 == 0) {
      waitForEarlier();
      rows = int(rowsOf(count));
    }
#pragma unroll
    for (int i = 0; i < loads; ++i) {
      int k = k0 + (i * fewWarps + warp) * 32 + t * 8;
      a[i] = g < rows && k < given.k ? *reinterpret_cast<const uint4 *>(x + k)
                                     : uint4{0, 0, 0, 0};
    }
#pragma unroll
    for (int i = 0; i < loads; ++i) {
      // The lower half of 16 rows is none.
      uint32_t one[4] = {a[i].x, 0, a[i].y, 0}, two[4] = {a[i].z, 0, a[i].w, 0};
      multiplyAdd<T>(sums, one, w[i].x, w[i].y);
      multiplyAdd<T>(sums, two, w[i].z, w[i].w);
    }
  }
  if (g < rows) {
    float *to = &parts[warp][g][2 * t];
    to[0] = sums[0];
    to[1] = sums[1];
  }
  __syncthreads();
  int r = threadIdx.x / 8, c = threadIdx.x % 8;
  if (r < rows && r < 8 && first + c < given.n) {
    float sum = 0;
#pragma unroll
    for (int w = 0; w < fewWarps; ++w)
      sum += parts[w][r][c];
    storeSum(given, r, first + c, sum);
  }
}

} // namespace

#define MBC_ROW_PRODUCTS(name, T, Columns, Rows)                               \
  extern "C" __global__ void __launch_bounds__(rowThreads)                     \
      mbc_row_products_##name##_##Rows(                                        \
          const __grid_constant__ ProductArguments given, Count count) {       \
    rowProducts<T, Columns, Rows>(given, count);                               \
  }
MBC_ROW_PRODUCTS(f32, float, 4, 1)
MBC_ROW_PRODUCTS(f32, float, 2, 8)
MBC_ROW_PRODUCTS(bf16, __nv_bfloat16, 4, 1)
MBC_ROW_PRODUCTS(f16, __half, 4, 1)

#define MBC_FEW_ROWS(name, T)                                                  \
  extern "C" __global__ void __launch_bounds__(32 * fewWarps)                  \
      mbc_few_rows_##name(const __grid_constant__ ProductArguments given,      \
                          Count count) {                                       \
    fewRows<T>(given, count);                                                  \
  }
MBC_FEW_ROWS(bf16, __nv_bfloat16)
MBC_FEW_ROWS(f16, __half)
