#include "runtime/host/Gemm.h"

#include <cstring>
#include <gtest/gtest.h>
#include <random>

using namespace mbc;
using namespace mbc::host;

namespace {

/// m rows of x with n rows of w, both of `elem`, from one seed.
struct Operands {
  Operands(int64_t m, int64_t n, int64_t k, Elem elem)
      : m(m), n(n), k(k), elem(elem), x(m * k * sizeOf(elem)),
        w(n * k * sizeOf(elem)) {
    fill(x, m * k, 1);
    fill(w, n * k, 2);
  }
  void fill(std::vector<std::byte> &to, int64_t count, unsigned seed) const {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    std::vector<float> values(count);
    for (float &value : values)
      value = normal(random);
    kernels().fromFloat(elem, values.data(), to.data(), count);
  }
  /// Rows [begin, end) of the product.
  std::vector<float> multiplied(int64_t begin, int64_t end,
                                std::span<const RowRun> runs,
                                unsigned threads) const {
    std::vector<float> out((end - begin) * n);
    Product product{};
    product.m = end - begin;
    product.n = n;
    product.k = k;
    product.x = x.data() + begin * k * sizeOf(elem);
    product.ldx = product.ldw = k;
    product.xElem = product.wElem = elem;
    product.w = runs;
    product.out = reinterpret_cast<std::byte *>(out.data());
    product.ldo = n;
    product.outElem = Elem::F32;
    ThreadPool pool(threads);
    ProductScratch scratch;
    multiply(product, pool, scratch);
    return out;
  }
  std::vector<float> multiplied(int64_t begin, int64_t end,
                                unsigned threads = 1) const {
    RowRun whole{0, n, w.data()};
    return multiplied(begin, end, {&whole, 1}, threads);
  }

  int64_t m, n, k;
  Elem elem;
  std::vector<std::byte> x, w;
};

bool sameBits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() &&
         std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

class Gemm : public testing::TestWithParam<Elem> {};
INSTANTIATE_TEST_SUITE_P(Types, Gemm,
                         testing::Values(Elem::F32, Elem::BF16, Elem::F16));

TEST_P(Gemm, ARowHasTheSameBitsInAnyCompany) {
  // Widths and depths that no vector divides; enough rows for several blocks.
  for (auto [n, k] : {std::pair{int64_t(131), int64_t(83)}, {64, 576}}) {
    Operands operands(700, n, k, GetParam());
    std::vector<float> all = operands.multiplied(0, 700);
    for (auto [begin, end] : {std::pair{0, 1},
                              {5, 6},
                              {5, 7},
                              {3, 8},
                              {100, 109},
                              {699, 700},
                              {17, 600}})
      EXPECT_TRUE(
          sameBits(operands.multiplied(begin, end),
                   std::span(all).subspan(begin * n, (end - begin) * n)))
          << "rows " << begin << " to " << end << " of " << n << " x " << k;
  }
}

TEST_P(Gemm, ThreadsDoNotMatter) {
  Operands operands(37, 300, 129, GetParam());
  EXPECT_TRUE(
      sameBits(operands.multiplied(0, 37, 1), operands.multiplied(0, 37, 3)));
}

TEST_P(Gemm, RowsOfAWeightMayLieApart) {
  Operands operands(9, 200, 65, GetParam());
  int64_t row = 65 * sizeOf(GetParam());
  // [0, 48) and [180, 200) copied elsewhere, the rest in place.
  std::vector<std::byte> head(operands.w.begin(),
                              operands.w.begin() + 48 * row),
      tail(operands.w.begin() + 180 * row, operands.w.end());
  std::vector<RowRun> runs{{0, 48, head.data()},
                           {48, 132, operands.w.data() + 48 * row},
                           {180, 20, tail.data()}};
  std::fill_n(operands.w.begin(), 48 * row, std::byte(0xff));
  Operands whole(9, 200, 65, GetParam());
  for (int64_t rows : {1, 9})
    EXPECT_TRUE(sameBits(operands.multiplied(0, rows, runs, 2),
                         whole.multiplied(0, rows)));
}

} // namespace
