//===- Gemm.cpp - Packed panels, and dots for few rows --------------------===//
//
// A weight is rows of k, as checkpoints store it. For few rows of x every
// weight row is read once and multiplied as it lies; for more, panels of weight
// rows are transposed into columns first, which the register tiles want.
//
//===----------------------------------------------------------------------===//

#include "runtime/host/Gemm.h"

#include <algorithm>

namespace mbc::host {

/// Up to here a dot for each weight row is faster than packing it.
constexpr int64_t fewRows = 4;
/// Depth of a panel: with 32 columns it stays in the first cache levels.
constexpr int64_t depth = 512;
/// Rows of x that one pass over a panel multiplies.
constexpr int64_t rowsAtOnce = 1024;

static void finish(const Product &p, const Kernels &k, const float *sums,
                   int64_t lds, int64_t m0, int64_t rows, int64_t n0,
                   int64_t columns) {
  float bias[64], row[64];
  if (p.bias)
    k.toFloat(p.biasElem, p.bias + n0 * sizeOf(p.biasElem), bias, columns);
  for (int64_t i = 0; i < rows; ++i) {
    const float *from = sums + i * lds;
    if (p.bias) {
      k.add(from, bias, row, columns);
      from = row;
    }
    k.fromFloat(p.outElem, from,
                p.out + ((m0 + i) * p.ldo + n0) * sizeOf(p.outElem), columns);
  }
}

static void multiplyFew(const Product &p, const Kernels &k, const void *x,
                        int64_t ldx, Elem xElem, ThreadPool &pool) {
  constexpr int64_t columns = 64;
  size_t tasks = (p.n + columns - 1) / columns;
  pool.run(tasks, [&](size_t task, unsigned) {
    int64_t n0 = static_cast<int64_t>(task) * columns;
    int64_t n = std::min(columns, p.n - n0);
    float sums[fewRows * columns];
    k.dots(p.wElem, static_cast<int>(p.m), static_cast<int>(n), p.k, x, ldx,
           xElem, p.w + n0 * p.ldw * sizeOf(p.wElem), p.ldw, sums, columns);
    finish(p, k, sums, columns, 0, p.m, n0, n);
  });
}

void multiply(const Product &p, ThreadPool &pool, ProductScratch &scratch) {
  if (p.m == 0)
    return;
  const Kernels &k = kernels();
  bool pairs = k.bf16Dot && p.xElem == Elem::BF16 && p.wElem == Elem::BF16 &&
               p.k % 2 == 0;
  const void *x = p.x;
  int64_t ldx = p.ldx;
  if (!pairs && p.xElem != Elem::F32) {
    scratch.x.resize(p.m * p.k);
    pool.run(p.m, [&](size_t row, unsigned) {
      k.toFloat(p.xElem, p.x + row * p.ldx * sizeOf(p.xElem),
                scratch.x.data() + row * p.k, p.k);
    });
    x = scratch.x.data();
    ldx = p.k;
  }
  if (p.m <= fewRows)
    return multiplyFew(p, k, x, ldx, pairs ? Elem::BF16 : Elem::F32, pool);

  int width = 2 * k.lanes;
  size_t tasks = (p.n + width - 1) / width;
  scratch.panels.resize(pool.size());
  scratch.sums.resize(pool.size());
  int64_t rows = std::min(rowsAtOnce, p.m);
  pool.run(tasks, [&](size_t task, unsigned worker) {
    std::vector<float> &panel = scratch.panels[worker];
    std::vector<float> &sums = scratch.sums[worker];
    panel.resize(depth * width);
    sums.resize(rows * width);
    int64_t n0 = static_cast<int64_t>(task) * width;
    int n = static_cast<int>(std::min<int64_t>(width, p.n - n0));
    for (int64_t m0 = 0; m0 < p.m; m0 += rows) {
      int m = static_cast<int>(std::min(rows, p.m - m0));
      for (int64_t k0 = 0; k0 < p.k; k0 += depth) {
        int count = static_cast<int>(std::min(depth, p.k - k0));
        const std::byte *w = p.w + (n0 * p.ldw + k0) * sizeOf(p.wElem);
        if (pairs) {
          auto *words = reinterpret_cast<uint32_t *>(panel.data());
          k.packPairs(reinterpret_cast<const uint16_t *>(w), p.ldw, n, count,
                      width, words);
          k.blockPairs(m, width, count,
                       reinterpret_cast<const uint16_t *>(p.x) + m0 * ldx + k0,
                       ldx, words, sums.data(), width, k0 > 0);
        } else {
          k.pack(p.wElem, w, p.ldw, n, count, width, panel.data());
          k.block({m, width, count,
                   static_cast<const float *>(x) + m0 * ldx + k0, ldx,
                   panel.data(), width, sums.data(), width, k0 > 0});
        }
      }
      finish(p, k, sums.data(), width, m0, m, n0, n);
    }
  });
}

} // namespace mbc::host
