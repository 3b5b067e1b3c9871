//===- Gemm.cpp - Products, cut for threads and caches --------------------===//
//
// A weight is rows of k, as checkpoints store it, and is multiplied as it lies
// (kernels/Products.cpp). A call of few rows reads it once and is as fast as
// memory: each worker has one stretch of it.
//
//===----------------------------------------------------------------------===//

#include "runtime/host/Gemm.h"

#include <algorithm>
#include <cstring>

namespace mbc::host {

/// Rows and columns of a block of results; a task has at least a block.
constexpr int64_t blockRows = 512;
constexpr int64_t blockColumns = 96;
/// Up to here memory sets the pace.
constexpr int64_t fewRows = 8;

namespace {

struct Task {
  int64_t m0, m, n0, n;
};

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
  bool pairs = k.bf16Dot && p.xElem == Elem::BF16 && p.wElem == Elem::BF16;
  const std::byte *x = p.x;
  int64_t ldx = p.ldx;
  Elem xElem = pairs ? Elem::BF16 : Elem::F32;
  // Many rows are laid apart by an odd number of cache lines, so that they do
  // not all compete for the same places of the cache.
  int64_t bytes = sizeOf(xElem), line = 64 / bytes;
  bool spread = p.m > fewRows;
  if (spread || (!pairs && p.xElem != Elem::F32)) {
    if (spread)
      ldx = ((p.k + line - 1) / line | 1) * line;
    else
      ldx = p.k;
    scratch.x.resize(p.m * ldx * bytes);
    pool.run(p.m, [&](size_t row, unsigned) {
      const std::byte *from = p.x + row * p.ldx * sizeOf(p.xElem);
      std::byte *to = scratch.x.data() + row * ldx * bytes;
      if (pairs)
        std::memcpy(to, from, p.k * bytes);
      else
        k.toFloat(p.xElem, from, reinterpret_cast<float *>(to), p.k);
    });
    x = scratch.x.data();
  }

  // Stretches of columns, each for blocks of rows.
  int64_t workers = pool.size();
  int64_t rows = std::min(blockRows, p.m);
  int64_t stretches = p.m <= fewRows ? workers : 4 * workers;
  int64_t columns = (p.n + stretches - 1) / stretches;
  columns = std::max(blockColumns, (columns + 15) / 16 * 16);
  stretches = (p.n + columns - 1) / columns;
  int64_t blocks = (p.m + rows - 1) / rows;

  scratch.sums.resize(workers);
  pool.run(blocks * stretches, [&](size_t index, unsigned worker) {
    std::vector<float> &sums = scratch.sums[worker];
    sums.resize(rows * blockColumns);
    Task task;
    task.m0 = static_cast<int64_t>(index) / stretches * rows;
    task.m = std::min(rows, p.m - task.m0);
    int64_t begin = static_cast<int64_t>(index) % stretches * columns;
    int64_t end = std::min(p.n, begin + columns);
    auto run = std::ranges::upper_bound(p.w, begin, {}, &RowRun::first) - 1;
    for (task.n0 = begin; task.n0 < end; task.n0 += task.n) {
      if (task.n0 == run->first + run->count)
        ++run;
      task.n = std::min(
          {blockColumns, end - task.n0, run->first + run->count - task.n0});
      const std::byte *w =
          run->data + (task.n0 - run->first) * p.ldw * sizeOf(p.wElem);
      k.dots({task.m, task.n, p.k, x + task.m0 * ldx * int64_t(sizeOf(xElem)),
              ldx, xElem, w, p.ldw, p.wElem, sums.data(), blockColumns});
      finish(p, k, sums.data(), blockColumns, task);
    }
  });
}

} // namespace mbc::host
