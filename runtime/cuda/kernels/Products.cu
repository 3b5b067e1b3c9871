//===- Products.cu - Products that no library takes -----------*- CUDA -*-===//
//
// `mbc_product` takes every combination of types, widths and strides, and
// groups of rows with a matrix each. `mbc_row_products` and `mbc_few_rows` are
// for few of them: RowProducts.cuh.
//
//===----------------------------------------------------------------------===//

#include "runtime/cuda/kernels/Fp8.cuh"
#include "runtime/cuda/kernels/RowProducts.cuh"

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
                     ? weightElement(given, int64_t(group) * given.n + column0 + r,
                                     weights + (column0 + r) * given.ldw + k0 + k,
                                     k0 + k)
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

#define MBC_ROW_PRODUCTS(name, T, Columns, Rows)                               \
  extern "C" __global__ void __launch_bounds__(rowThreads)                     \
      mbc_row_products_##name##_##Rows(                                        \
          const __grid_constant__ ProductArguments given, Count count) {       \
    rowProducts<T, Columns, Rows>(given, Alone<Columns>{given}, count);                               \
  }
MBC_ROW_PRODUCTS(f32, float, 4, 1)
MBC_ROW_PRODUCTS(f32, float, 2, 8)
MBC_ROW_PRODUCTS(bf16, __nv_bfloat16, 4, 1)
MBC_ROW_PRODUCTS(f16, __half, 4, 1)

#define MBC_FEW_ROWS(name, T)                                                  \
  extern "C" __global__ void __launch_bounds__(32 * fewWarps)                  \
      mbc_few_rows_##name(const __grid_constant__ ProductArguments given,      \
                          Count count) {                                       \
    fewRows<T>(given, Alone<8>{given}, count);                                                  \
  }
MBC_FEW_ROWS(bf16, __nv_bfloat16)
MBC_FEW_ROWS(f16, __half)
