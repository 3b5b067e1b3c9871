//===- RunningSoftmax.cpp -------------------------------------------------===//

#include "runtime/host/RunningSoftmax.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace mbc::host {

void RunningSoftmax::reset(int64_t rows, int64_t width, const Kernels &kernel) {
  this->kernel = &kernel;
  this->width = width;
  // Kernels add whole vectors.
  wide = (width + kernel.lanes - 1) / kernel.lanes * kernel.lanes;
  all.assign(rows * wide, 0.0f);
  maxima.assign(rows, -std::numeric_limits<float>::infinity());
  totals.assign(rows, 0.0f);
}

void RunningSoftmax::take(int64_t row, float *scores, int64_t begin,
                          int64_t end, int64_t count, float scale) {
  if (end <= begin) {
    std::fill(scores, scores + count, 0.0f);
    return;
  }
  std::fill(scores, scores + begin, 0.0f);
  std::fill(scores + end, scores + count, 0.0f);
  kernel->mulScalar(scores + begin, scale, scores + begin, end - begin);
  float highest =
      std::max(maxima[row], kernel->maxOf(scores + begin, end - begin));
  float correction = std::exp(maxima[row] - highest);
  float sum = kernel->expSum(scores + begin, highest, end - begin);
  totals[row] = totals[row] * correction + sum;
  maxima[row] = highest;
  if (correction != 1.0f)
    kernel->mulScalar(sums(row), correction, sums(row), wide);
}

const float *RunningSoftmax::finish(int64_t row) {
  kernel->mulScalar(sums(row), 1.0f / totals[row], sums(row), width);
  return sums(row);
}

} // namespace mbc::host
