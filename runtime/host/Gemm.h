//===- Gemm.h - Products of rows with a weight ------------------*- C++ -*-===//
#pragma once

#include "runtime/host/ThreadPool.h"
#include "runtime/host/Weights.h"
#include "runtime/host/kernels/Kernels.h"

#include <cstddef>
#include <vector>

namespace mbc::host {

/// out[m, n] = sum over k of x[m, k] * w[n, k], + bias[n]; rows `ld*` elements
/// apart. Sums are float32; 16-bit inputs are multiplied exactly.
struct Product {
  int64_t m, n, k;
  const std::byte *x;
  int64_t ldx;
  Elem xElem;
  std::span<const RowRun> w; ///< the n rows, of each group
  int64_t ldw;
  Elem wElem;
  /// Of FP8: rows and columns of the blocks that have a scale.
  int64_t blockRows, blockCols;
  const std::byte *bias; ///< or null
  Elem biasElem;
  std::byte *out;
  int64_t ldo;
  Elem outElem;
  /// Of experts: rows [groups[e], groups[e + 1]) of x are multiplied with rows
  /// [e * n, (e + 1) * n) of w. Empty: all with the n rows.
  std::span<const int32_t> groups = {};
};

/// Scratch of products, kept between calls.
struct ProductScratch {
  std::vector<float> x;
  std::vector<std::vector<float>> sums; ///< of each worker
};

/// The same bits for any number of threads, and for a row in any company.
void multiply(const Product &product, ThreadPool &pool,
              ProductScratch &scratch);

} // namespace mbc::host
