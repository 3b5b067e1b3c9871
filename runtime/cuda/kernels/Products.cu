//===- Products.cu - Products that no library takes -----------*- CUDA -*-===//
//
// `mbc_product` takes every combination of types, widths and strides, and
// groups of rows with a matrix each. `mbc_row_products` is for a few rows,
// where the weights' bytes are all that counts.
//
//===----------------------------------------------------------------------===//

#include "runtime/cuda/kernels/Elements.cuh"

using namespace mbc::cuda;

namespace {

constexpr int tile = 64, depth = 16;

} // namespace

/// 256 threads a tile of 64 x 64 outputs; blockIdx.x: columns, blockIdx.y:
/// tiles of rows, of all groups one after another.
extern "C" __global__ void __launch_bounds__(256)
    mbc_product(ProductArguments given, Count count) {
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
  static __device__ void load(const float *from, float *to) {
    float4 v = *reinterpret_cast<const float4 *>(from);
    to[0] = v.x, to[1] = v.y, to[2] = v.z, to[3] = v.w;
  }
};
template <> struct Pack<__nv_bfloat16> {
  static constexpr int size = 8;
  static __device__ void load(const __nv_bfloat16 *from, float *to) {
    uint4 v = *reinterpret_cast<const uint4 *>(from);
    uint32_t words[4] = {v.x, v.y, v.z, v.w};
    for (int i = 0; i < 4; ++i) {
      to[2 * i] = __uint_as_float(words[i] << 16);
      to[2 * i + 1] = __uint_as_float(words[i] & 0xffff0000u);
    }
  }
};
template <> struct Pack<__half> {
  static constexpr int size = 8;
  static __device__ void load(const __half *from, float *to) {
    uint4 v = *reinterpret_cast<const uint4 *>(from);
    uint32_t words[4] = {v.x, v.y, v.z, v.w};
    for (int i = 0; i < 4; ++i) {
      float2 f = __half22float2(*reinterpret_cast<__half2 *>(&words[i]));
      to[2 * i] = f.x, to[2 * i + 1] = f.y;
    }
  }
};

/// A warp an output, for all rows. A row's sum has the same order however many
/// there are.
template <typename T, int Rows>
__device__ void rowProducts(const ProductArguments &given, int64_t rows) {
  constexpr int size = Pack<T>::size;
  int lane = threadIdx.x % 32;
  int64_t column =
      int64_t(blockIdx.x) * (blockDim.x / 32) + threadIdx.x / 32;
  if (column >= given.n)
    return;
  auto *w = static_cast<const T *>(given.weight) + column * given.ldw;
  auto *x = static_cast<const T *>(given.x);
  float sums[Rows] = {};
#pragma unroll 4
  for (int k = lane * size; k < given.k; k += 32 * size) {
    float a[size], b[size];
    Pack<T>::load(w + k, a);
#pragma unroll
    for (int r = 0; r < Rows; ++r) {
      Pack<T>::load(x + (r < rows ? r : 0) * given.ldx + k, b);
#pragma unroll
      for (int i = 0; i < size; ++i)
        sums[r] = fmaf(a[i], b[i], sums[r]);
    }
  }
#pragma unroll
  for (int r = 0; r < Rows; ++r)
    sums[r] = warpSum(sums[r]);
  if (lane < rows && lane < Rows) {
    float sum = 0;
#pragma unroll
    for (int r = 0; r < Rows; ++r)
      sum = lane == r ? sums[r] : sum;
    if (given.bias)
      sum += loadElement(given.bias, given.biasElem, column);
    storeElement(given.out, given.outElem, lane * given.ldo + column, sum);
  }
}

} // namespace

#define MBC_ROW_PRODUCTS(name, T, Rows)                                        \
  extern "C" __global__ void __launch_bounds__(128)                            \
      mbc_row_products_##name##_##Rows(ProductArguments given, Count count) {  \
    rowProducts<T, Rows>(given, rowsOf(count));                                \
  }
#define MBC_ROW_PRODUCTS_OF(name, T)                                           \
  MBC_ROW_PRODUCTS(name, T, 1)                                                 \
  MBC_ROW_PRODUCTS(name, T, 2)                                                 \
  MBC_ROW_PRODUCTS(name, T, 4)                                                 \
  MBC_ROW_PRODUCTS(name, T, 8)
MBC_ROW_PRODUCTS_OF(f32, float)
MBC_ROW_PRODUCTS_OF(bf16, __nv_bfloat16)
MBC_ROW_PRODUCTS_OF(f16, __half)
