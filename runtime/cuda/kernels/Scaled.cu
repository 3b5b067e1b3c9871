//===- Scaled.cu - Products with FP8 weights ------------------*- CUDA -*-===//
//
// Of so few rows that the weights' bytes are all that counts. They are widened
// in registers, exactly; the sum over (a part of) a block is float32 and then
// multiplied with the block's scale. `mbc_scaled_row` is for one row, and a few
// of float32: threads share k. The others are on tensor cores, with the matrix
// as their first side, of one group and of many. For more rows
// `mbc_scaled_values` makes the values that other kernels multiply.
//
// Weights and scales are asked for before the kernel that makes x has ended; no
// kernel writes them. Reference: runtime/host/kernels/Products.cpp.
//
//===----------------------------------------------------------------------===//

#include "runtime/cuda/kernels/Fp8.cuh"
#include "runtime/cuda/kernels/Groups.cuh"
#include "runtime/cuda/kernels/TensorCore.cuh"

using namespace mbc::cuda;

namespace {

/// Of a weight of one group or of several.
__device__ const uint8_t *weightsOf(const ProductArguments &given, int group,
                                    int column) {
  return static_cast<const uint8_t *>(given.weight) +
         group * given.groupStride + min(column, given.n - 1) * given.ldw;
}
__device__ const float *scalesOf(const ProductArguments &given, int group,
                                 int column) {
  return mbc::cuda::scalesOf(given.blocks, int64_t(group) * given.n +
                                               min(column, given.n - 1));
}

/// Of a power of two.
__device__ int shiftOf(int size) { return __popc(size - 1); }

__device__ void storeSum(const ProductArguments &given, int64_t row, int column,
                         float sum) {
  if (given.bias)
    sum += loadElement(given.bias, given.biasElem, column);
  storeElement(given.out, given.outElem, row * given.ldo + column, sum);
}

//===----------------------------------------------------------------------===//
// One row
//===----------------------------------------------------------------------===//

template <typename T>
__device__ void load16(const T *from, bool inside, float (&to)[16]) {
  constexpr int pieces = sizeof(T);
#pragma unroll
  for (int i = 0; i < pieces; ++i) {
    uint4 v = inside ? reinterpret_cast<const uint4 *>(from)[i]
                     : uint4{0, 0, 0, 0};
    uint32_t words[4] = {v.x, v.y, v.z, v.w};
#pragma unroll
    for (int j = 0; j < 4; ++j)
      if constexpr (sizeof(T) == 4) {
        to[4 * i + j] = __uint_as_float(words[j]);
      } else {
        float2 two = twoElements(
            words[j], std::is_same_v<T, __half> ? Elem::F16 : Elem::BF16);
        to[8 * i + 2 * j] = two.x;
        to[8 * i + 2 * j + 1] = two.y;
      }
  }
}

constexpr int mostWarps = 8;

/// A block's Columns of all rows; as many threads as k has use for.
template <typename T, int Columns, int Rows>
__device__ void rowProducts(const ProductArguments &given, Count count) {
  __shared__ float parts[mostWarps][Rows][Columns];
  letNextStart();
  int first = blockIdx.x * Columns;
  auto *x = static_cast<const T *>(given.x);
  const int columnShift = shiftOf(given.blocks.columns);
  float sums[Rows][Columns] = {};
  int rows = 0;
  for (int k0 = 0; k0 < given.k; k0 += int(blockDim.x) * 16) {
    int k = k0 + int(threadIdx.x) * 16;
    bool inside = k < given.k;
    uint4 w[Columns];
    float scales[Columns];
#pragma unroll
    for (int c = 0; c < Columns; ++c)
      w[c] = inside ? loadOnce(weightsOf(given, 0, first + c) + k)
                    : uint4{0, 0, 0, 0};
#pragma unroll
    for (int c = 0; c < Columns; ++c)
      scales[c] =
          inside ? scalesOf(given, 0, first + c)[k >> columnShift]
                 : 0.0f;
    if (k0 == 0) {
      waitForEarlier();
      rows = int(rowsOf(count));
    }
#pragma unroll
    for (int r = 0; r < Rows; ++r) {
      if (r >= rows)
        break;
      float a[16], b[16];
      load16(x + r * given.ldx + k, inside, a);
#pragma unroll
      for (int c = 0; c < Columns; ++c) {
        widen(w[c], b);
        float part = 0;
#pragma unroll
        for (int i = 0; i < 16; ++i)
          part = fmaf(a[i], b[i], part);
        sums[r][c] = fmaf(part, scales[c], sums[r][c]);
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
    for (int w = 0; w < int(blockDim.x) / 32; ++w)
      sum += parts[w][r][c];
    storeSum(given, r, first + c, sum);
  }
}

//===----------------------------------------------------------------------===//
// Few rows
//===----------------------------------------------------------------------===//

constexpr int rowColumns = 16; ///< of a block

/// Rows of x that go through at once are up to Most.
template <int Warps, int Most>
using Sums = float (&)[Warps][rowColumns][Most + 1];

/// 16 columns for `rows` <= 8 * Tiles rows. With g = lane / 4 and t = lane % 4 a
/// lane's 16 bytes are k = 16t ... of column g and of column g + 8: what tensor
/// cores take for k in another order, the same for x. Warps take turns at 64
/// elements of k, which lie in one block.
template <typename T, int Warps, int Most, int Tiles>
__device__ void fewRows(const ProductArguments &given, int group, int64_t row0,
                        int rows, Sums<Warps, Most> sums) {
  // Steps of k at a time, as registers allow.
  constexpr int loads = Most == 8 ? 2 : 4 / Tiles;
  constexpr uint4 zero = {0, 0, 0, 0};
  int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  int g = lane / 4, t = lane % 4;
  int column = blockIdx.x * rowColumns + g;
  const uint8_t *upper = weightsOf(given, group, column),
                *lower = weightsOf(given, group, column + 8);
  const float *upperScales = scalesOf(given, group, column),
              *lowerScales = scalesOf(given, group, column + 8);
  auto *x = static_cast<const T *>(given.x) + (row0 + g) * given.ldx;
  const int columnShift = shiftOf(given.blocks.columns);
  float all[Tiles][4] = {};
  for (int k0 = 0; k0 < given.k; k0 += Warps * 64 * loads) {
    uint4 w[loads][2];
    float scales[loads][2];
#pragma unroll
    for (int i = 0; i < loads; ++i) {
      int k = k0 + (i * Warps + warp) * 64 + t * 16;
      w[i][0] = k < given.k ? loadOnce(upper + k) : zero;
      w[i][1] = k < given.k ? loadOnce(lower + k) : zero;
    }
#pragma unroll
    for (int i = 0; i < loads; ++i) {
      // Of what C has of a lane: columns g and g + 8.
      int k = k0 + (i * Warps + warp) * 64, block = k >> columnShift;
      scales[i][0] = k < given.k ? upperScales[block] : 0.0f;
      scales[i][1] = k < given.k ? lowerScales[block] : 0.0f;
    }
    if (k0 == 0)
      waitForEarlier();
#pragma unroll
    for (int i = 0; i < loads; ++i) {
      int k = k0 + (i * Warps + warp) * 64 + t * 16;
      uint4 b[Tiles][2];
#pragma unroll
      for (int j = 0; j < Tiles; ++j)
#pragma unroll
        for (int h = 0; h < 2; ++h)
          b[j][h] = k < given.k && 8 * j + g < rows
                        ? *reinterpret_cast<const uint4 *>(
                              x + 8 * j * given.ldx + k + 8 * h)
                        : zero;
      float part[Tiles][4] = {};
      uint32_t up[4] = {w[i][0].x, w[i][0].y, w[i][0].z, w[i][0].w},
               low[4] = {w[i][1].x, w[i][1].y, w[i][1].z, w[i][1].w};
#pragma unroll
      for (int q = 0; q < 4; ++q) {
        uint32_t a[4];
        widen<T>(up[q], a[0], a[2]);
        widen<T>(low[q], a[1], a[3]);
#pragma unroll
        for (int j = 0; j < Tiles; ++j) {
          uint4 of = b[j][q / 2];
          if (q % 2 == 0)
            multiplyAdd<T>(part[j], a, of.x, of.y);
          else
            multiplyAdd<T>(part[j], a, of.z, of.w);
        }
      }
#pragma unroll
      for (int j = 0; j < Tiles; ++j)
#pragma unroll
        for (int e = 0; e < 4; ++e)
          all[j][e] = fmaf(part[j][e], scales[i][e / 2], all[j][e]);
    }
  }
  // The warps' sums, in their order.
#pragma unroll
  for (int j = 0; j < Tiles; ++j)
#pragma unroll
    for (int e = 0; e < 4; ++e)
      sums[warp][g + e / 2 * 8][8 * j + 2 * t + e % 2] = all[j][e];
  __syncthreads();
  int c = threadIdx.x % rowColumns, to = blockIdx.x * rowColumns + c;
  for (int r = threadIdx.x / rowColumns; to < given.n && r < rows;
       r += 32 * Warps / rowColumns) {
    float sum = 0;
#pragma unroll
    for (int i = 0; i < Warps; ++i)
      sum += sums[i][c][r];
    storeSum(given, row0 + r, to, sum);
  }
  __syncthreads();
}

/// blockIdx.x: columns, blockIdx.y: groups that have rows. Each of their
/// matrices is read once for every Most of them.
template <typename T, int Warps, int Most>
__device__ void rows(const ProductArguments &given, Count count) {
  __shared__ float sums[Warps][rowColumns][Most + 1];
  letNextStart();
  int group = 0;
  if (given.offsets) {
    waitForEarlier();
    group = groupWithRows(given, blockIdx.y);
    if (group == given.groups)
      return;
  }
  // Of one group the number is the call's input.
  Range range = rangeOf(given, group, rowsOf(count));
  int many = range.end - range.begin;
  if (many <= 0)
    waitForEarlier();
  else if (Most > 8 && many <= 8)
    fewRows<T, Warps, Most, 1>(given, group, range.begin, many, sums);
  else if (Most > 16 && many <= 16)
    fewRows<T, Warps, Most, 2>(given, group, range.begin, many, sums);
  else
    for (int row = range.begin; row < range.end; row += Most)
      fewRows<T, Warps, Most, Most / 8>(given, group, row,
                                        min(Most, range.end - row), sums);
}

//===----------------------------------------------------------------------===//
// Values
//===----------------------------------------------------------------------===//

/// The elements of row blockIdx.x of `given.weight`, number `first` + that of
/// the weight, times their scales; to rows of `ldo` elements of `given.out`.
template <typename T>
__device__ void values(const ProductArguments &given, int first) {
  takeTurn();
  const float *scales = mbc::cuda::scalesOf(given.blocks, first + blockIdx.x);
  auto *from =
      static_cast<const uint8_t *>(given.weight) + blockIdx.x * given.ldw;
  T *to = static_cast<T *>(given.out) + blockIdx.x * given.ldo;
  bool whole = sizeof(T) == 2 && given.ldw % 16 == 0 && given.k % 16 == 0 &&
               given.ldo % 8 == 0 && given.blocks.columns % 16 == 0;
  if constexpr (sizeof(T) == 2)
    for (int k = threadIdx.x * 16; whole && k < given.k;
         k += int(blockDim.x) * 16) {
      uint4 two[2];
      valuesOf<T>(loadOnce(from + k), scales[k / given.blocks.columns], two);
      reinterpret_cast<uint4 *>(to + k)[0] = two[0];
      reinterpret_cast<uint4 *>(to + k)[1] = two[1];
    }
  for (int k = threadIdx.x; !whole && k < given.k; k += int(blockDim.x))
    storeElement(to,
                 sizeof(T) == 4                   ? Elem::F32
                 : std::is_same_v<T, __half>      ? Elem::F16
                                                  : Elem::BF16,
                 k,
                 __half22float2(halvesOf(from[k])).x *
                     scales[k / given.blocks.columns]);
}

} // namespace

#define MBC_SCALED_ROW(name, T, Columns, Rows)                                 \
  extern "C" __global__ void __launch_bounds__(32 * mostWarps)                 \
      mbc_scaled_row_##name##_##Rows(                                          \
          const __grid_constant__ ProductArguments given, Count count) {       \
    rowProducts<T, Columns, Rows>(given, count);                               \
  }
MBC_SCALED_ROW(f32, float, 4, 1)
MBC_SCALED_ROW(f32, float, 2, 8)
MBC_SCALED_ROW(bf16, __nv_bfloat16, 4, 1)
MBC_SCALED_ROW(f16, __half, 4, 1)

// Blocks of a processor: a third of its registers is not enough on sm_100 and
// later.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 1000
#define MBC_FEW_BLOCKS 2
#else
#define MBC_FEW_BLOCKS 3
#endif
#define MBC_SCALED_ROWS(kernel, T, Warps, Most, Blocks)                        \
  extern "C" __global__ void __launch_bounds__(32 * Warps, Blocks)             \
      kernel(const __grid_constant__ ProductArguments given, Count count) {    \
    rows<T, Warps, Most>(given, count);                                        \
  }
#define MBC_SCALED_ROWS_OF(name, T)                                            \
  MBC_SCALED_ROWS(mbc_few_##name##_f8_8, T, 8, 8, MBC_FEW_BLOCKS)              \
  MBC_SCALED_ROWS(mbc_few_##name##_f8_32, T, 8, 32, 2)                         \
  MBC_SCALED_ROWS(mbc_grouped_##name##_f8_rows, T, 4, 32, 4)
MBC_SCALED_ROWS_OF(bf16, __nv_bfloat16)
MBC_SCALED_ROWS_OF(f16, __half)

#define MBC_SCALED_VALUES(name, T)                                             \
  extern "C" __global__ void __launch_bounds__(256) mbc_scaled_values_##name(  \
      const __grid_constant__ ProductArguments given, int first) {             \
    values<T>(given, first);                                                   \
  }
MBC_SCALED_VALUES(f32, float)
MBC_SCALED_VALUES(bf16, __nv_bfloat16)
MBC_SCALED_VALUES(f16, __half)
