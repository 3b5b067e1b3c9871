//===- RowProducts.cuh - Products of few rows -----------------*- CUDA -*-===//
//
// Rows so few that the weights' bytes are all that counts: many small blocks,
// whose threads share k and ask for all of their weights at once, before they
// wait for the kernel that makes x. `rowProducts` (one row, and a few of
// float32) are sums of threads, `fewRows` (a few of 16 bits) tensor cores'.
//
// What stands around a product is a template argument:
//   asksFirst          whether the number of rows, an input of the call, is
//                      asked for before the wait, so that x need not wait for
//                      it: one row is then multiplied whether the call has it
//   normed             whether x is made by `makeRow` and `elements`
//   columnAt(c)        the column that is the block's number c
//   askForWeights(k)   what `makeRow` needs for these k besides x
//   askForOthers(rows) what `finish` reads that other kernels wrote; `makeRow`
//                      does so by itself
//   finish(...)        all threads: what becomes of a sum; of r and c that the
//                      block does not have nothing
//
//===----------------------------------------------------------------------===//
#pragma once

#include "runtime/cuda/kernels/TensorCore.cuh"

namespace mbc::cuda {

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

/// The rows of a call.
struct CallRows {
  const Count count;
  int given = 0;

  __device__ void read() { given = count.counts[count.which]; }
  /// Without the division, which is dozens of instructions.
  __device__ bool have(int row) const {
    return int64_t(row + 1) * count.divisor <= int64_t(given) * count.factor;
  }
};

/// The product and nothing else. A block has `Columns` neighbours.
template <int Columns> struct Alone {
  static constexpr bool normed = false, asksFirst = false;
  const ProductArguments &given;

  __device__ int64_t columnAt(int c) const {
    return min(int64_t(blockIdx.x) * Columns + c, int64_t(given.n - 1));
  }
  __device__ void askForOthers(const CallRows &) {}
  __device__ void finish(int64_t row, int c, float sum, const CallRows &rows) {
    int64_t column = int64_t(blockIdx.x) * Columns + c;
    if (!rows.have(int(row)) || column >= given.n)
      return;
    if (given.bias)
      sum += loadElement(given.bias, given.biasElem, column);
    storeElement(given.out, given.outElem, row * given.ldo + column, sum);
  }
};

constexpr int rowThreads = 256;

/// A block's Columns of all rows.
template <typename T, int Columns, int Rows, typename Around>
__device__ void rowProducts(const ProductArguments &given, Around around,
                            Count count) {
  constexpr int size = Pack<T>::size, warps = rowThreads / 32;
  static_assert(!Around::normed || Rows == 1);
  __shared__ float parts[warps][Rows][Columns];
  letNextStart();
  if (!given.fixed)
    waitForEarlier();
  CallRows rows{count};
  auto *x = static_cast<const T *>(given.x);
  const T *weights[Columns];
#pragma unroll
  for (int c = 0; c < Columns; ++c)
    weights[c] =
        static_cast<const T *>(given.weight) + around.columnAt(c) * given.ldw;
  float sums[Rows][Columns] = {};
  for (int k0 = 0; k0 < given.k; k0 += rowThreads * size) {
    int k = k0 + int(threadIdx.x) * size;
    bool inside = k < given.k;
    uint4 w[Columns];
#pragma unroll
    for (int c = 0; c < Columns; ++c)
      w[c] = inside ? loadOnce(weights[c] + k) : uint4{0, 0, 0, 0};
    if (k0 == 0) {
      if constexpr (Around::normed)
        around.askForWeights(k);
      if (Around::asksFirst)
        rows.read();
      waitForEarlier();
      if (!Around::asksFirst)
        rows.read();
      if constexpr (Around::normed)
        around.makeRow(rows);
    }
#pragma unroll
    for (int r = 0; r < Rows; ++r) {
      if ((Rows > 1 || !Around::asksFirst) && !rows.have(r))
        break;
      uint4 v;
      if constexpr (Around::normed)
        v = around.elements(k);
      else
        v = inside ? *reinterpret_cast<const uint4 *>(x + r * given.ldx + k)
                   : uint4{0, 0, 0, 0};
      if (!Around::normed && k0 == 0 && r == 0)
        around.askForOthers(rows);
      float a[size], b[size];
      Pack<T>::unpack(v, a);
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
  float sum = 0;
  if (r < Rows) {
#pragma unroll
    for (int w = 0; w < warps; ++w)
      sum += parts[w][r][c];
  }
  around.finish(r, c, sum, rows);
}

constexpr int fewWarps = 16;

/// A block's 8 columns of at most 8 rows. With g = lane / 4 and t = lane % 4 a
/// lane's 16 bytes are k = 8t ... of column g and of row g: what tensor cores
/// take for k in another order, the same for both.
template <typename T, typename Around>
__device__ void fewRows(const ProductArguments &given, Around around,
                        Count count) {
  constexpr int loads = 4; // steps of k at a time
  static_assert(!Around::normed);
  __shared__ float parts[fewWarps][8][8];
  letNextStart();
  if (!given.fixed)
    waitForEarlier();
  CallRows rows{count};
  int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  int g = lane / 4, t = lane % 4;
  bool isRow = false;
  auto *weights =
      static_cast<const T *>(given.weight) + around.columnAt(g) * given.ldw;
  auto *x = static_cast<const T *>(given.x) + g * given.ldx;
  float sums[4] = {};
  for (int k0 = 0; k0 < given.k; k0 += fewWarps * 32 * loads) {
    uint4 w[loads], a[loads];
#pragma unroll
    for (int i = 0; i < loads; ++i) {
      int k = k0 + (i * fewWarps + warp) * 32 + t * 8;
      w[i] = k < given.k ? loadOnce(weights + k) : uint4{0, 0, 0, 0};
    }
    if (k0 == 0) {
      if (Around::asksFirst)
        rows.read();
      waitForEarlier();
      if (!Around::asksFirst)
        rows.read();
      isRow = rows.have(g);
      around.askForOthers(rows);
    }
#pragma unroll
    for (int i = 0; i < loads; ++i) {
      int k = k0 + (i * fewWarps + warp) * 32 + t * 8;
      a[i] = isRow && k < given.k ? *reinterpret_cast<const uint4 *>(x + k)
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
  if (isRow) {
    float *to = &parts[warp][g][2 * t];
    to[0] = sums[0];
    to[1] = sums[1];
  }
  __syncthreads();
  int r = threadIdx.x / 8, c = threadIdx.x % 8;
  float sum = 0;
  if (r < 8 && rows.have(r)) {
#pragma unroll
    for (int w = 0; w < fewWarps; ++w)
      sum += parts[w][r][c];
  }
  around.finish(r, c, sum, rows);
}

} // namespace mbc::cuda
