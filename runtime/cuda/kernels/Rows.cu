//===- Rows.cu - Commands on rows -----------------------------*- CUDA -*-===//
//
// The reference of each is the command in runtime/host.
//
//===----------------------------------------------------------------------===//

#include "runtime/cuda/kernels/Pointwise.cuh"
#include "runtime/cuda/kernels/Rotation.cuh"

using namespace mbc::cuda;

/// out[row] = table[ids[row]]; of an id outside of the table, NaN.
extern "C" __global__ void mbc_embed(const int32_t *ids, View table, View out,
                                     Count count) {
  takeTurn();
  int64_t row = blockIdx.x, width = out.dims[1];
  if (row >= rowsOf(count))
    return;
  int64_t id = ids[row];
  bool inside = id >= 0 && id < table.dims[0];
  for (int64_t i = threadIdx.x; i < width; i += blockDim.x)
    storeElement(out.data, out.elem, row * out.strides[0] + i,
                 inside ? loadElement(table.data, table.elem,
                                      id * table.strides[0] + i)
                        : __int_as_float(0x7fc00000));
}

/// out[row] = x[rows[row]]
extern "C" __global__ void mbc_take(View x, const int32_t *rows, View out,
                                    Count count) {
  takeTurn();
  int64_t row = blockIdx.x, width = out.dims[1];
  if (row >= rowsOf(count))
    return;
  for (int64_t i = threadIdx.x; i < width; i += blockDim.x)
    storeElement(
        out.data, out.elem, row * out.strides[0] + i,
        loadElement(x.data, x.elem, rows[row] * x.strides[0] + i));
}

/// out[row] = features[places[row]], where that is no -1; other rows stay.
extern "C" __global__ void mbc_place(View features, const int32_t *places,
                                     View out, Count count) {
  takeTurn();
  int64_t row = blockIdx.x, width = out.dims[1];
  if (row >= rowsOf(count) || places[row] < 0)
    return;
  for (int64_t i = threadIdx.x; i < width; i += blockDim.x)
    storeElement(out.data, out.elem, row * out.strides[0] + i,
                 loadElement(features.data, features.elem,
                             places[row] * features.strides[0] + i));
}

/// to[row] = from[row], of the same sizes and any strides and types.
extern "C" __global__ void mbc_copy(View from, View to, Count count) {
  takeTurn();
  int64_t row = blockIdx.x, width = widthOf(to);
  if (row >= rowsOf(count))
    return;
  for (int64_t i = threadIdx.x; i < width; i += blockDim.x)
    storeElement(to.data, to.elem, rowStart(to, row) + offsetIn(to, i),
                 loadElement(from.data, from.elem,
                             rowStart(from, row) + offsetIn(from, i)));
}

/// Cosines, then sines, of a row's angles. A product is rounded to float32
/// first, as everywhere; cosines and sines are those of float64.
extern "C" __global__ void mbc_angles(const float *frequencies,
                                      const uint8_t *axis, int pairs,
                                      float factor, View positions, View out,
                                      Count count) {
  takeTurn();
  int64_t row = blockIdx.x;
  if (row >= rowsOf(count))
    return;
  auto *numbers = static_cast<const int32_t *>(positions.data) +
                  row * positions.strides[0];
  float *to = static_cast<float *>(out.data) + row * out.strides[0];
  for (int i = threadIdx.x; i < pairs; i += blockDim.x) {
    float angle =
        __fmul_rn(float(numbers[axis ? axis[i] : 0]), frequencies[i]);
    double sine, cosine;
    sincos(double(angle), &sine, &cosine);
    to[i] = float(cosine) * factor;
    to[pairs + i] = float(sine) * factor;
  }
}

//===----------------------------------------------------------------------===//
// Row kernels, step by step
//===----------------------------------------------------------------------===//

namespace {

__device__ void norm(const RowStep &step, const float *x, const float *weight,
                     const float *bias, float *out) {
  int width = step.width;
  for (int v = 0; v < step.vectors; ++v, x += width, out += width) {
    float mean = 0;
    if (step.kind == LayerNorm) {
      float sum = 0;
      for (int i = threadIdx.x; i < width; i += blockDim.x)
        sum += x[i];
      mean = blockSum(sum) / float(width);
    }
    float squares = 0;
    for (int i = threadIdx.x; i < width; i += blockDim.x)
      squares = fmaf(x[i] - mean, x[i] - mean, squares);
    float factor =
        1.0f / sqrtf(blockSum(squares) / float(width) + step.scalar);
    for (int i = threadIdx.x; i < width; i += blockDim.x)
      out[i] = normalized(step.kind == LayerNorm, x[i], mean, factor, weight[i],
                          bias ? bias[i] : 0.0f);
  }
}

__device__ void rotate(const RowStep &step, const float *x,
                       const float *angles, float *out) {
  int half = step.width / 2;
  for (int e = threadIdx.x; e < step.vectors * half; e += blockDim.x) {
    int pair = e % half, start = e / half * step.width;
    bool halves = step.kind == Rope;
    int first = start + (halves ? pair : 2 * pair);
    int second = halves ? first + half : first + 1;
    float2 both =
        rotated(x[first], x[second], angles[pair], angles[half + pair]);
    out[first] = both.x;
    out[second] = both.y;
  }
}

} // namespace

/// What a row kernel means: its steps, one after another, on a row's worth of
/// float32. A block goes through rows; where there is generated code for the
/// device, that is run instead.
extern "C" __global__ void mbc_rows(const __grid_constant__ RowArguments given,
                                    Count count) {
  takeTurn();
  MBC_DYNAMIC_SHARED(float, shared);
  float *values = given.scratch
                      ? given.scratch + int64_t(blockIdx.x) * given.total
                      : shared;
  int64_t rows = rowsOf(count);
  for (int64_t row = blockIdx.x; row < rows; row += gridDim.x)
    for (int s = 0; s < given.count; ++s) {
      const RowStep &step = given.steps[s];
      float *out = values + step.offset;
      const float *a = values + step.inputs[0], *b = values + step.inputs[1];
      int n = step.vectors * step.width;
      switch (step.kind) {
      case Load: {
        const View &view = given.operands[step.operand];
        for (int i = threadIdx.x; i < n; i += blockDim.x)
          out[i] = loadElement(view.data, view.elem,
                               rowStart(view, row) + offsetIn(view, i));
        break;
      }
      case Store: {
        const View &view = given.operands[step.operand];
        for (int i = threadIdx.x; i < n; i += blockDim.x)
          storeElement(view.data, view.elem,
                       rowStart(view, row) + offsetIn(view, i), a[i]);
        break;
      }
      case RMSNorm:
        norm(step, a, b, nullptr, out);
        break;
      case LayerNorm:
        norm(step, a, b, values + step.inputs[2], out);
        break;
      case Rope:
      case RopePairs:
        rotate(step, a, b, out);
        break;
      default:
        for (int i = threadIdx.x; i < n; i += blockDim.x)
          out[i] = pointwise(step.kind, step.scalar, a[i], b[i]);
      }
      __syncthreads();
    }
}
