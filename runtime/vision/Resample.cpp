//===- Resample.cpp -------------------------------------------------------===//
#include "runtime/vision/Resample.h"

#include "runtime/core/Parallel.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace mbc::vision {

namespace {

/// Bits of a weight behind the point: sums of bytes stay in 32 bits, with room
/// for those beyond 255.
constexpr int weightBits = 22;
constexpr double bicubicReach = 2;
/// Rows that a thread takes at a time.
constexpr int64_t blockRows = 16;

double bicubic(double x) {
  constexpr double a = -0.5;
  x = std::abs(x);
  if (x < 1)
    return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2)
    return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}

/// What pixel i of a resized line is made of: `count[i]` pixels from `first[i]`
/// on, with weights from `weights[i * stride]` on.
struct Filter {
  Filter(int64_t from, int64_t to);

  int64_t stride;
  std::vector<int64_t> first, count;
  std::vector<int32_t> weights;
};

Filter::Filter(int64_t from, int64_t to) {
  double scale = static_cast<double>(from) / static_cast<double>(to);
  double width = std::max(scale, 1.0), reach = bicubicReach * width;
  stride = static_cast<int64_t>(std::ceil(reach)) * 2 + 1;
  weights.resize(to * stride);
  std::vector<double> exact(stride);
  for (int64_t i = 0; i < to; ++i) {
    double centre = (static_cast<double>(i) + 0.5) * scale;
    // Truncated, as the arithmetic that this is to equal does.
    auto begin =
        std::max<int64_t>(static_cast<int64_t>(centre - reach + 0.5), 0);
    auto end = std::min(static_cast<int64_t>(centre + reach + 0.5), from);
    double sum = 0;
    for (int64_t x = begin; x < end; ++x)
      sum += exact[x - begin] =
          bicubic((static_cast<double>(x) - centre + 0.5) * (1.0 / width));
    for (int64_t x = begin; x < end; ++x) {
      double weight = exact[x - begin];
      if (sum != 0)
        weight /= sum;
      weight *= 1 << weightBits;
      weights[i * stride + x - begin] =
          static_cast<int32_t>(weight < 0 ? weight - 0.5 : weight + 0.5);
    }
    first.push_back(begin);
    count.push_back(end - begin);
  }
}

constexpr int32_t half = 1 << (weightBits - 1);

uint8_t rounded(int32_t sum) {
  return static_cast<uint8_t>(std::clamp(sum >> weightBits, 0, 255));
}

void resampleRow(const uint8_t *from, const Filter &filter, uint8_t *to) {
  for (size_t i = 0; i < filter.first.size(); ++i, to += 3) {
    const uint8_t *pixel = from + filter.first[i] * 3;
    const int32_t *weight = filter.weights.data() + i * filter.stride;
    int32_t red = half, green = half, blue = half;
    for (int64_t k = 0; k < filter.count[i]; ++k, pixel += 3) {
      red += pixel[0] * weight[k];
      green += pixel[1] * weight[k];
      blue += pixel[2] * weight[k];
    }
    to[0] = rounded(red);
    to[1] = rounded(green);
    to[2] = rounded(blue);
  }
}

/// Row `i` of the result.
void resampleColumns(const Picture &picture, const Filter &filter, int64_t i,
                     std::vector<int32_t> &sums, uint8_t *to) {
  size_t width = static_cast<size_t>(picture.width) * 3;
  sums.assign(width, half);
  for (int64_t k = 0; k < filter.count[i]; ++k) {
    const uint8_t *row = picture.row(filter.first[i] + k);
    int32_t weight = filter.weights[i * filter.stride + k];
    for (size_t x = 0; x < width; ++x)
      sums[x] += row[x] * weight;
  }
  for (size_t x = 0; x < width; ++x)
    to[x] = rounded(sums[x]);
}

Status forRows(unsigned threads, int64_t rows,
               const std::function<void(int64_t, unsigned)> &work) {
  auto blocks = static_cast<size_t>((rows + blockRows - 1) / blockRows);
  return parallelFor(threads, blocks, [&](size_t block, unsigned worker) {
    auto begin = static_cast<int64_t>(block) * blockRows;
    for (int64_t y = begin; y < std::min(begin + blockRows, rows); ++y)
      work(y, worker);
    return Status();
  });
}

} // namespace

static Expected<Picture> resampleWidth(Picture picture, int64_t width,
                                       unsigned threads) {
  if (width == picture.width)
    return picture;
  Filter filter(picture.width, width);
  Picture result(width, picture.height);
  MBC_TRY(forRows(threads, picture.height, [&](int64_t y, unsigned) {
    resampleRow(picture.row(y), filter, result.row(y));
  }));
  return result;
}

static Expected<Picture> resampleHeight(Picture picture, int64_t height,
                                        unsigned threads) {
  if (height == picture.height)
    return picture;
  Filter filter(picture.height, height);
  Picture result(picture.width, height);
  std::vector<std::vector<int32_t>> sums(threads);
  MBC_TRY(forRows(threads, height, [&](int64_t y, unsigned worker) {
    resampleColumns(picture, filter, y, sums[worker], result.row(y));
  }));
  return result;
}

Expected<Picture> resampleBicubic(Picture picture, int64_t width,
                                  int64_t height, unsigned threads) {
  bool heightFirst = height < picture.height &&
                     picture.height - height > 2 * (picture.width - width);
  if (heightFirst) {
    MBC_ASSIGN(picture, resampleHeight(std::move(picture), height, threads));
  }
  MBC_ASSIGN(picture, resampleWidth(std::move(picture), width, threads));
  return resampleHeight(std::move(picture), height, threads);
}

} // namespace mbc::vision
