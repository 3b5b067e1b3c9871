//===- FusedProducts.cu - Products with what is around them ---*- CUDA -*-===//
//
// A product of few rows whose input is a norm of a row, and whose output goes
// through pointwise steps: what `mbc_rows` and `RowProducts.cuh` compute one
// after another, with the same roundings and the same order of sums. No block
// reads what another one writes: runtime/cuda/Fusion.h sees to that.
//
//===----------------------------------------------------------------------===//

#include "runtime/cuda/kernels/Pointwise.cuh"
#include "runtime/cuda/kernels/RowProducts.cuh"

using namespace mbc::cuda;

namespace {

__device__ float roundTo(Elem elem, float value) {
  switch (elem) {
  case Elem::BF16:
    return __bfloat162float(__float2bfloat16_rn(value));
  case Elem::F16:
    return __half2float(__float2half_rn(value));
  default:
    return value;
  }
}

/// `Size` elements of any type, as they lie in memory: a load that nothing
/// waits for yet. They begin at a multiple of their size.
template <int Size> struct Elements {
  uint4 first, second;

  __device__ explicit Elements(uint4 first) : first(first), second() {}
  __device__ Elements(const void *data, Elem elem, int i) : first(), second() {
    if (elem == Elem::F32) {
      auto *from = static_cast<const float *>(data) + i;
      first = *reinterpret_cast<const uint4 *>(from);
      if constexpr (Size == 8)
        second = *reinterpret_cast<const uint4 *>(from + 4);
    } else {
      auto *from = static_cast<const uint16_t *>(data) + i;
      if constexpr (Size == 8) {
        first = *reinterpret_cast<const uint4 *>(from);
      } else {
        uint2 half = *reinterpret_cast<const uint2 *>(from);
        first.x = half.x, first.y = half.y;
      }
    }
  }
  /// Elements i to i + 3.
  __device__ float4 four(Elem elem, int i) const {
    if (elem == Elem::F32) {
      const uint4 &v = i == 0 ? first : second;
      return {__uint_as_float(v.x), __uint_as_float(v.y), __uint_as_float(v.z),
              __uint_as_float(v.w)};
    }
    float2 a = twoElements(i == 0 ? first.x : first.z, elem),
           b = twoElements(i == 0 ? first.y : first.w, elem);
    return {a.x, a.y, b.x, b.y};
  }
};

template <int Count>
__device__ void readShared(const float *from, float (&to)[Count]) {
  if constexpr (Count % 4 == 0) {
#pragma unroll
    for (int i = 0; i < Count; i += 4) {
      float4 v = *reinterpret_cast<const float4 *>(from + i);
      to[i] = v.x, to[i + 1] = v.y, to[i + 2] = v.z, to[i + 3] = v.w;
    }
  } else {
    for (int i = 0; i < Count; ++i)
      to[i] = from[i];
  }
}

/// The sum of a row, in the order that NormArguments says; `add(v, sum)` adds
/// an element. `warps`: shared memory that nothing else uses.
template <int Lanes, typename Add>
__device__ float sumInOrder(const float *row, int k, int group, float *warps,
                            Add add) {
  int count = (group + 31) / 32;
  for (int t = threadIdx.x; t < count * 32; t += rowThreads) {
    float sums[Lanes] = {};
    if (t < group)
      for (int i = t * Lanes; i < k; i += group * Lanes) {
        float v[Lanes];
        readShared(row + i, v);
#pragma unroll
        for (int lane = 0; lane < Lanes; ++lane)
          sums[lane] = add(v[lane], sums[lane]);
      }
#pragma unroll
    for (int half = Lanes / 2; half > 0; half /= 2)
#pragma unroll
      for (int i = 0; i < half; ++i)
        sums[i] += sums[i + half];
    float sum = warpSum(sums[0]);
    if (t % 32 == 0)
      warps[t / 32] = sum;
  }
  __syncthreads();
  int lane = threadIdx.x % 32;
  return warpSum(lane < count ? warps[lane] : 0.0f);
}
template <typename Add>
__device__ float sumInOrder(const float *row, const NormArguments &norm, int k,
                            float *warps, Add add) {
  if (norm.lanes == 8)
    return sumInOrder<8>(row, k, norm.group, warps, add);
  if (norm.lanes == 4)
    return sumInOrder<4>(row, k, norm.group, warps, add);
  return sumInOrder<1>(row, k, norm.group, warps, add);
}

__device__ void pack(float *, uint32_t *to, float a, float b, float c,
                     float d) {
  to[0] = __float_as_uint(a), to[1] = __float_as_uint(b);
  to[2] = __float_as_uint(c), to[3] = __float_as_uint(d);
}
template <typename T>
__device__ void pack(T *, uint32_t *to, float a, float b, float c, float d) {
  to[0] = packTwo<T>(a, b), to[1] = packTwo<T>(c, d);
}

/// `Columns` outputs of a block are Columns / segments neighbours of every
/// segment, and a thread for each element and row goes through the steps.
template <typename T, int Columns, int Rows, bool Normed> class Fused {
public:
  static constexpr bool normed = Normed, asksFirst = true;

  __device__ Fused(const ProductArguments &given, const NormArguments &norm,
                   const ElementArguments &then, float *row)
      : given(given), norm(norm), then(then), row(row),
        shift(log2Columns - (then.segments == 2)), per(1 << shift),
        element0(int(blockIdx.x) * per) {}

  __device__ int64_t columnAt(int c) const {
    return min(element0 + (c & (per - 1)), then.width - 1) +
           int64_t(c >= per) * then.width;
  }

  //===--------------------------------------------------------------------===//
  // The norm before
  //===--------------------------------------------------------------------===//

  /// Of the first piece; others are asked for when they are needed.
  __device__ void askForWeights(int k) {
    constexpr int size = Pack<T>::size;
    if (k < given.k && isAskedFor())
      early = Elements<size>(norm.weight, norm.weightElem, k).first;
  }

  /// Brings the row to shared memory, sums it, and norms it: of each piece's
  /// floats the first half becomes its elements. Threads have the pieces that
  /// they multiply.
  __device__ void makeRow(const CallRows &rows) {
    constexpr int size = Pack<T>::size;
    __shared__ float sums[2][32];
    int own = int(threadIdx.x) * size;
    Elements<size> next{uint4{}};
    if (own < given.k)
      next = {norm.x, norm.xElem, own};
    askForOthers(rows);
#pragma unroll 1
    for (int k = own; k < given.k; k += rowThreads * size) {
      Elements<size> x = next;
      if (k + rowThreads * size < given.k)
        next = {norm.x, norm.xElem, k + rowThreads * size};
#pragma unroll
      for (int i = 0; i < size; i += 4)
        *reinterpret_cast<float4 *>(row + k + i) = x.four(norm.xElem, i);
    }
    __syncthreads();
    auto width = float(given.k);
    float mean = 0;
    if (norm.centred)
      mean = sumInOrder(row, norm, given.k, sums[0],
                        [](float v, float sum) { return sum + v; }) /
             width;
    float squares =
        sumInOrder(row, norm, given.k, sums[1], [mean](float v, float sum) {
          return fmaf(v - mean, v - mean, sum);
        });
    float factor = 1.0f / sqrtf(squares / width + norm.epsilon);
#pragma unroll 1
    for (int k = own; k < given.k; k += rowThreads * size) {
      Elements<size> weight{early};
      if (k != own || !isAskedFor())
        weight = {norm.weight, norm.weightElem, k};
      uint32_t words[4];
#pragma unroll
      for (int i = 0; i < size; i += 4) {
        float4 v = *reinterpret_cast<const float4 *>(row + k + i),
               w = weight.four(norm.weightElem, i), b{};
        if (norm.bias)
          b = Elements<size>(norm.bias, norm.biasElem, k)
                  .four(norm.biasElem, i);
        auto normedOf = [&](float x, float weight, float bias) {
          return normalized(norm.centred, x, mean, factor,
                            __fadd_rn(weight, norm.offset), bias);
        };
        pack(static_cast<T *>(nullptr), words + i * int(sizeof(T)) / 4,
             normedOf(v.x, w.x, b.x), normedOf(v.y, w.y, b.y),
             normedOf(v.z, w.z, b.z), normedOf(v.w, w.w, b.w));
      }
      *reinterpret_cast<uint4 *>(row + k) = {words[0], words[1], words[2],
                                             words[3]};
    }
  }

  /// Elements k and on of the row; zeros behind its end.
  __device__ uint4 elements(int k) const {
    return k < given.k ? *reinterpret_cast<const uint4 *>(row + k)
                       : uint4{0, 0, 0, 0};
  }

  //===--------------------------------------------------------------------===//
  // The steps behind
  //===--------------------------------------------------------------------===//

  __device__ void askForOthers(const CallRows &rows) {
    int r = int(threadIdx.x) >> shift, e = element0 + (threadIdx.x & (per - 1));
    isPlace = r < Rows && e < then.width;
    if (!isPlace || (Rows > 1 && !rows.have(r)))
      return;
#pragma unroll
    for (int i = 0; i < earlyLoads; ++i)
      if (i < then.loadCount)
        others[i] = bitsOf(then.loads[i], r, e);
  }

  __device__ void finish(int r, int c, float sum, const CallRows &rows) {
    __shared__ float values[ElementArguments::maxValues][Rows * Columns];
    int e = element0 + (c & (per - 1));
    if (r < Rows && rows.have(r) && e < then.width) {
      int64_t column = e + int64_t(c >= per) * then.width;
      if (given.bias)
        sum += loadElement(given.bias, given.biasElem, column);
      if (then.keepsRow)
        storeElement(given.out, given.outElem, r * given.ldo + column, sum);
      values[c >= per][(r << shift) + (c & (per - 1))] =
          roundTo(given.outElem, sum);
    }
    if (then.stepCount == 0)
      return;
    __syncthreads();
    int place = threadIdx.x;
    r = place >> shift, e = element0 + (place & (per - 1));
    if (!isPlace || !rows.have(r))
      return;
    int next = then.segments;
#pragma unroll
    for (int i = 0; i < ElementArguments::maxLoads; ++i)
      if (i < then.loadCount) {
        const ElementArguments::Array &from = then.loads[i];
        uint32_t bits =
            i < earlyLoads ? others[i % earlyLoads] : bitsOf(from, r, e);
        values[next++][place] = from.elem == Elem::F32
                                    ? __uint_as_float(bits)
                                    : twoElements(bits, from.elem).x;
      }
    for (int s = 0; s < then.stepCount; ++s, ++next) {
      const ElementArguments::Step &step = then.steps[s];
      float a = values[step.inputs[0]][place];
      if (step.kind == Store) {
        const ElementArguments::Array &to = then.stores[step.array];
        storeElement(to.data, to.elem, r * to.stride + e, a);
      } else {
        values[next][place] =
            pointwise(step.kind, step.scalar, a, values[step.inputs[1]][place]);
      }
    }
  }

private:
  /// Of a residual and one more; further ones are asked for when they are
  /// needed.
  static constexpr int earlyLoads = 2;

  __device__ static uint32_t bitsOf(const ElementArguments::Array &from, int r,
                                    int e) {
    int64_t at = r * from.stride + e;
    return from.elem == Elem::F32
               ? static_cast<const uint32_t *>(from.data)[at]
               : static_cast<const uint16_t *>(from.data)[at];
  }

  static constexpr int log2Columns = Columns == 2 ? 1 : Columns == 4 ? 2 : 3;
  static_assert(1 << log2Columns == Columns);

  /// Whether a piece of the norm's weight is 16 bytes or less.
  __device__ bool isAskedFor() const {
    return sizeof(T) == 4 || norm.weightElem != Elem::F32;
  }

  const ProductArguments &given;
  const NormArguments &norm;
  const ElementArguments &then;
  float *row;
  /// Of a segment 2^shift elements are the block's, from `element0` on.
  int shift, per, element0;
  uint4 early{};        ///< of the norm's weight
  bool isPlace = false; ///< the thread has an element of a row
  uint32_t others[earlyLoads] = {};
};

} // namespace

#define MBC_FUSED_PRODUCTS(name, T, Columns, Rows, Normed)                     \
  extern "C" __global__ void __launch_bounds__(rowThreads, Normed ? 4 : 5)     \
      mbc_fused_products_##name##_##Rows(                                      \
          const __grid_constant__ ProductArguments given,                      \
          const __grid_constant__ NormArguments norm,                          \
          const __grid_constant__ ElementArguments then, Count count) {        \
    MBC_DYNAMIC_SHARED(float4, row);                                           \
    rowProducts<T, Columns, Rows>(                                             \
        given,                                                                 \
        Fused<T, Columns, Rows, Normed>(given, norm, then,                     \
                                        reinterpret_cast<float *>(row)),       \
        count);                                                                \
  }
MBC_FUSED_PRODUCTS(f32, float, 4, 1, false)
MBC_FUSED_PRODUCTS(f32, float, 2, 8, false)
MBC_FUSED_PRODUCTS(bf16, __nv_bfloat16, 4, 1, false)
MBC_FUSED_PRODUCTS(f16, __half, 4, 1, false)
MBC_FUSED_PRODUCTS(normed_f32, float, 4, 1, true)
MBC_FUSED_PRODUCTS(normed_bf16, __nv_bfloat16, 4, 1, true)
MBC_FUSED_PRODUCTS(normed_f16, __half, 4, 1, true)

#define MBC_FUSED_FEW_ROWS(name, T)                                            \
  extern "C" __global__ void __launch_bounds__(32 * fewWarps)                  \
      mbc_fused_few_rows_##name(                                               \
          const __grid_constant__ ProductArguments given,                      \
          const __grid_constant__ NormArguments norm,                          \
          const __grid_constant__ ElementArguments then, Count count) {        \
    fewRows<T>(given, Fused<T, 8, 8, false>(given, norm, then, nullptr),       \
               count);                                                         \
  }
MBC_FUSED_FEW_ROWS(bf16, __nv_bfloat16)
MBC_FUSED_FEW_ROWS(f16, __half)
