//===- RunningSoftmax.h - Softmax over blocks of keys -----------*- C++ -*-===//
#pragma once

#include "runtime/host/kernels/Kernels.h"

#include <cstdint>
#include <vector>

namespace mbc::host {

/// Weighted sums of values for some queries while their keys come in blocks:
/// the highest score so far, the sum of exponentials, and the sum of values
/// weighted with them. An exponential never overflows.
class RunningSoftmax {
public:
  /// For `rows` queries and values of `width`.
  void reset(int64_t rows, int64_t width, const Kernels &kernel);

  /// A query's scores of a block of `count` keys, of which it sees [begin,
  /// end), become the weights of their values in `sums`.
  void take(int64_t row, float *scores, int64_t begin, int64_t end,
            int64_t count, float scale);

  /// Where values are added, rows `stride` apart.
  float *sums(int64_t row) { return all.data() + row * wide; }
  int64_t stride() const { return wide; }

  /// A query's result, once all keys were taken.
  const float *finish(int64_t row);

private:
  const Kernels *kernel = nullptr;
  int64_t width = 0, wide = 0;
  std::vector<float> all, maxima, totals;
};

} // namespace mbc::host
