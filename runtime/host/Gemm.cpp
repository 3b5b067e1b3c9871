//===- Gemm.cpp - Products, cut for threads and caches --------------------===//
//
// A weight is rows of k, as checkpoints store it, and is multiplied as it lies
// (kernels/Products.cpp). A call of few rows reads it once and is as fast as
// memory: each worker has one stretch of it. More rows are cut into blocks that
// stay in the second cache level.
//
//===----------------------------------------------------------------------===//

#include "runtime/host/Gemm.h"

#include <algorithm>

namespace mbc::host {

/// Of a block of x.
constexpr int64_t blockBytes = 384 << 10;
/// Columns of a block of results, and of a stretch that one task has at least.
constexpr int64_t blockColumns = 96;
/// Up to here memory sets the pace.
constexpr int64_t fewRows = 8;

namespace {

/// Rows of x, columns of the result, and where the rows of w are that make
/// column 0.
struct Task {
  int64_t m0, m, n0, n, w0;
};

/// Cuts the rows [first, last), which belong to the rows of w from `w0` on,
/// into blocks of at most `rows`, each for stretches of columns.
void cut(std::vector<Task> &tasks, int64_t first, int64_t last, int64_t w0,
         int64_t n, int64_t rows, int64_t stretches) {
  int64_t columns = (n + stretches - 1) / stretches;
  columns = std::max(blockColumns, (columns + 15) / 16 * 16);
  for (int64_t m0 = first; m0 < last; m0 += rows)
    for (int64_t n0 = 0; n0 < n; n0 += columns)
      tasks.push_back(
          {m0, std::min(rows, last - m0), n0, std::min(columns, n - n0), w0});
}

/// Adds the bias to a block of sums and stores it.
void finish(const Product &p, const Kernels &k, float *sums, int64_t lds,
            const Task &task) {
  float bias[blockColumns];
  if (p.bias)
    k.toFloat(p.biasElem, p.bias + task.n0 * sizeOf(p.biasElem), bias, task.n);
  for (int64_t i = 0; i < task.m; ++i) {
    float *row = sums + i * lds;
    if (p.bias)
      k.add(row, bias, row, task.n);
    k.fromFloat(p.outElem, row,
                p.out + ((task.m0 + i) * p.ldo + task.n0) * sizeOf(p.outElem),
                task.n);
  }
}

} // namespace

void multiply(const Product &p, ThreadPool &pool, ProductScratch &scratch) {
  if (p.m == 0)
    return;
  const Kernels &k = kernels();
  bool pairs = k.bf16Dot && p.xElem == Elem::BF16 &&
               (p.wElem == Elem::BF16 || p.wElem == Elem::F8);
  const std::byte *x = p.x;
  int64_t ldx = p.ldx;
  Elem xElem = pairs ? Elem::BF16 : Elem::F32;
  if (!pairs && p.xElem != Elem::F32) {
    scratch.x.resize(p.m * p.k);
    pool.run(p.m, [&](size_t row, unsigned) {
      k.toFloat(p.xElem, p.x + row * p.ldx * sizeOf(p.xElem),
                scratch.x.data() + row * p.k, p.k);
    });
    x = reinterpret_cast<const std::byte *>(scratch.x.data());
    ldx = p.k;
  }

  int64_t workers = pool.size();
  int64_t rows = std::clamp<int64_t>(
      blockBytes / (p.k * int64_t(sizeOf(xElem))) / 16 * 16, 64, 512);
  rows = std::min(rows, p.m);
  int64_t stretches = p.m <= fewRows ? workers : 4 * workers;
  std::vector<Task> tasks;
  if (p.groups.empty()) {
    cut(tasks, 0, p.m, 0, p.n, rows, stretches);
  } else {
    int64_t experts = static_cast<int64_t>(p.groups.size()) - 1, used = 0;
    for (int64_t e = 0; e < experts; ++e)
      used += p.groups[e] < p.groups[e + 1];
    for (int64_t e = 0; e < experts; ++e)
      cut(tasks, p.groups[e], p.groups[e + 1], e * p.n, p.n, rows,
          (stretches + used - 1) / std::max<int64_t>(1, used));
  }

  scratch.sums.resize(workers);
  pool.run(tasks.size(), [&](size_t index, unsigned worker) {
    std::vector<float> &sums = scratch.sums[worker];
    sums.resize(rows * blockColumns);
    Task task = tasks[index];
    int64_t end = task.n0 + task.n, w0 = task.w0;
    auto run =
        std::ranges::upper_bound(p.w, w0 + task.n0, {}, &RowRun::first) - 1;
    for (; task.n0 < end; task.n0 += task.n) {
      if (w0 + task.n0 == run->first + run->count)
        ++run;
      task.n = std::min({blockColumns, end - task.n0,
                         run->first + run->count - w0 - task.n0});
      const std::byte *w =
          run->data + (w0 + task.n0 - run->first) * p.ldw * sizeOf(p.wElem);
      k.dots({task.m, task.n, p.k, x + task.m0 * ldx * int64_t(sizeOf(xElem)),
              ldx, xElem, w, p.ldw, p.wElem, sums.data(), blockColumns,
              run->scales, run->row + w0 + task.n0 - run->first, p.blockRows,
              p.blockCols});
      finish(p, k, sums.data(), blockColumns, task);
    }
  });
}

} // namespace mbc::host
