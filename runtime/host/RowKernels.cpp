//===- RowKernels.cpp -----------------------------------------------------===//

#include "runtime/host/RowKernels.h"

#include <algorithm>
#include <cstring>

namespace mbc::host {

using program::RowKind;

namespace {

/// Calls `fn(address of the first, elements, done)` for every contiguous run
/// of one row of a view; of a weight, of all of it.
template <typename Fn>
void forEachRun(const BoundView &view, int64_t row, Fn &&fn) {
  size_t first = view.shared ? 0 : 1, last = view.dims.size();
  std::byte *base =
      view.data + (view.shared ? 0 : row * view.strides[0]) * sizeOf(view.elem);
  // The innermost dimensions that lie without gaps are one run.
  int64_t run = 1;
  while (last > first && view.strides[last - 1] == run) {
    run *= view.dims[last - 1];
    --last;
  }
  int64_t index[8] = {};
  int64_t done = 0;
  while (true) {
    int64_t offset = 0;
    for (size_t i = first; i < last; ++i)
      offset += index[i] * view.strides[i];
    fn(base + offset * sizeOf(view.elem), run, done);
    done += run;
    size_t i = last;
    while (i > first) {
      if (++index[i - 1] < view.dims[i - 1])
        break;
      index[--i] = 0;
    }
    if (i == first)
      return;
  }
}

/// Where the value of each step lies in a worker's scratch.
struct Layout {
  explicit Layout(const program::RowKernelT &kernel) {
    for (const auto &step : kernel.steps) {
      offsets.push_back(total);
      // Whole cache lines.
      total += (int64_t(step->vectors) * step->width + 15) / 16 * 16;
    }
  }
  std::vector<int64_t> offsets;
  int64_t total = 0;
};

void runStep(const program::RowStepT &step, const Kernels &k, float *out,
             const float *a, const float *b, const float *c) {
  int64_t n = int64_t(step.vectors) * step.width, width = step.width;
  float scalar = static_cast<float>(step.scalar);
  switch (step.kind) {
  case RowKind::Add:
    return k.add(a, b, out, n);
  case RowKind::Sub:
    return k.sub(a, b, out, n);
  case RowKind::Mul:
    return k.mul(a, b, out, n);
  case RowKind::AddScalar:
    return k.addScalar(a, scalar, out, n);
  case RowKind::MulScalar:
    return k.mulScalar(a, scalar, out, n);
  case RowKind::Silu:
    return k.silu(a, out, n);
  case RowKind::Gelu:
    return k.gelu(a, out, n);
  case RowKind::Sigmoid:
    return k.sigmoid(a, out, n);
  case RowKind::RMSNorm:
    for (int64_t i = 0; i < n; i += width)
      k.rmsNorm(a + i, b, step.scalar, out + i, width);
    return;
  case RowKind::LayerNorm:
    for (int64_t i = 0; i < n; i += width)
      k.layerNorm(a + i, b, c, step.scalar, out + i, width);
    return;
  case RowKind::Rope:
    for (int64_t i = 0; i < n; i += width)
      k.rope(a + i, b, out + i, width);
    return;
  case RowKind::RopePairs:
    for (int64_t i = 0; i < n; i += width)
      k.ropePairs(a + i, b, out + i, width);
    return;
  default:
    return;
  }
}

} // namespace

void forRowsInTasks(
    int64_t rows, ThreadPool &pool,
    const std::function<void(int64_t, int64_t, unsigned)> &work) {
  // A task is some rows, so that weights are read once for many.
  int64_t perTask = std::max<int64_t>(
      1, std::min<int64_t>(64, (rows + 4 * pool.size() - 1) /
                                   (4 * int64_t(pool.size()))));
  size_t tasks = (rows + perTask - 1) / perTask;
  pool.run(tasks, [&](size_t task, unsigned worker) {
    int64_t begin = static_cast<int64_t>(task) * perTask;
    work(begin, std::min(rows, begin + perTask), worker);
  });
}

void runRows(const program::RowKernelT &kernel,
             std::span<const BoundView *const> operands, int64_t rows,
             ThreadPool &pool) {
  const Kernels &k = kernels();
  Layout layout(kernel);
  std::vector<std::vector<float>> scratch(pool.size());
  forRowsInTasks(rows, pool, [&](int64_t begin, int64_t end, unsigned worker) {
    if (scratch[worker].empty())
      scratch[worker].resize(layout.total);
    float *values = scratch[worker].data();
    for (int64_t row = begin; row < end; ++row)
      for (size_t s = 0; s < kernel.steps.size(); ++s) {
        const program::RowStepT &step = *kernel.steps[s];
        float *out = values + layout.offsets[s];
        auto input = [&](size_t i) {
          return i < step.inputs.size()
                     ? values + layout.offsets[step.inputs[i]]
                     : nullptr;
        };
        if (step.kind == RowKind::Load) {
          const BoundView &view = *operands[step.operand];
          if (!view.shared || row == begin)
            forEachRun(view, row,
                       [&](std::byte *from, int64_t count, int64_t done) {
                         k.toFloat(view.elem, from, out + done, count);
                       });
        } else if (step.kind == RowKind::Store) {
          const BoundView &view = *operands[step.operand];
          forEachRun(view, row,
                     [&](std::byte *to, int64_t count, int64_t done) {
                       k.fromFloat(view.elem, input(0) + done, to, count);
                     });
        } else {
          runStep(step, k, out, input(0), input(1), input(2));
        }
      }
  });
}

void copyRows(const BoundView &from, const BoundView &to, int64_t rows,
              ThreadPool &pool, bool integers) {
  const Kernels &k = kernels();
  int64_t elements = 1;
  for (size_t i = 1; i < from.dims.size(); ++i)
    elements *= from.dims[i];
  std::vector<std::vector<float>> scratch(pool.size());
  pool.run(rows, [&](size_t row, unsigned worker) {
    std::vector<float> &values = scratch[worker];
    values.resize(elements);
    int64_t at = static_cast<int64_t>(row);
    forEachRun(from, at, [&](std::byte *p, int64_t count, int64_t done) {
      if (integers)
        std::copy_n(reinterpret_cast<const int32_t *>(p), count,
                    values.data() + done);
      else
        k.toFloat(from.elem, p, values.data() + done, count);
    });
    forEachRun(to, at, [&](std::byte *p, int64_t count, int64_t done) {
      k.fromFloat(to.elem, values.data() + done, p, count);
    });
  });
}

} // namespace mbc::host
