//===- Products.cpp - gemm ------------------------------------------------===//

#include "test/Conformance/Case.h"
#include "test/Conformance/ProgramMaker.h"
#include "test/Conformance/Scaled.h"
#include "test/Conformance/Values.h"

#include <cmath>
#include <fmt/format.h>

namespace mbc::test {

using plan::DType;

/// `capacity` rows are what the function is for, `m` those of the call.
static Case product(uint32_t m, uint32_t capacity, uint32_t n, uint32_t k,
                    DType xType, DType wType, DType outType, bool bias) {
  ProgramMaker make(capacity);
  uint32_t given = make.input("x", DType::F32, {capacity, k});
  // Rows that lie apart, as those of a split do.
  uint32_t x = make.window(make.buffer(xType, {capacity, k + 3}), 0,
                           {capacity, k}, {k + 3, 1});
  program::GemmT gemm;
  gemm.x = x;
  gemm.weight = make.weight("w", wType, n, k);
  if (bias)
    gemm.bias = static_cast<int32_t>(make.weight("b", wType, 0, n));
  uint32_t out = make.output({capacity, n});
  gemm.out = outType == DType::F32 ? out : make.buffer(outType, {capacity, n});
  program::CopyT copy;
  copy.from = given;
  copy.to = x;
  make.add(copy);
  make.add(gemm);
  if (gemm.out != out) {
    copy.from = gemm.out;
    copy.to = out;
    make.add(copy);
  }
  Case test;
  test.name = fmt::format("gemm/{}of{}x{}x{}/{}x{}to{}{}", m, capacity, n, k,
                          nameOf(xType), nameOf(wType), nameOf(outType),
                          bias ? "/bias" : "");
  std::vector<float> xs = numbers(m * k, xType, 1),
                     ws = numbers(n * k, wType, 2), bs = numbers(n, wType, 3);
  test.weights = {ws};
  if (bias)
    test.weights.push_back(bs);
  test.calls = {{m, {{0, m, 0, 0}}, {{"x", bitsOf(xs)}}}};
  for (uint32_t i = 0; i < m; ++i)
    for (uint32_t j = 0; j < n; ++j) {
      double sum = bias ? bs[j] : 0.0, size = std::abs(sum);
      for (uint32_t t = 0; t < k; ++t) {
        double term = double(xs[i * k + t]) * ws[j * k + t];
        sum += term;
        size += std::abs(term);
      }
      test.expected.push_back(sum);
      // What k additions in any order may lose, and one rounding of the result.
      double stored = outType == DType::BF16  ? 0x1p-8
                      : outType == DType::F16 ? 0x1p-11
                                              : unit;
      test.bound.push_back((k + 1) * unit * size +
                           1.01 * stored * std::abs(sum));
    }
  test.slots = capacity;
  test.program = std::make_shared<program::ProgramT>(std::move(make.program));
  return test;
}

/// FP8 with a scale for each block.
static Case scaledProduct(uint32_t m, uint32_t n, uint32_t k, uint32_t rows,
                          uint32_t cols, DType xType) {
  Case test = product(m, m, n, k, xType, DType::F32, DType::F32, false);
  test.name = fmt::format("gemm/{}x{}x{}/{} x fp8 in blocks of {}x{}", m, n, k,
                          nameOf(xType), rows, cols);
  std::vector<double> ws = makeScaled(test, rows, cols);
  uint32_t across = (k + cols - 1) / cols;
  std::vector<float> xs = numbers(m * k, xType, 1);
  for (uint32_t i = 0; i < m; ++i)
    for (uint32_t j = 0; j < n; ++j) {
      double sum = 0, size = 0;
      for (uint32_t t = 0; t < k; ++t) {
        double term = xs[i * k + t] * ws[j * k + t];
        sum += term;
        size += std::abs(term);
      }
      test.expected[i * n + j] = sum;
      test.bound[i * n + j] =
          (k + across + 1) * unit * size + 1.01 * unit * std::abs(sum);
      test.rounding.push_back(roundingOf(xType, size));
    }
  return test;
}

std::vector<Case> productCases() {
  std::vector<Case> cases;
  constexpr DType f32 = DType::F32, bf16 = DType::BF16, f16 = DType::F16;
  for (DType type : {f32, bf16, f16})
    for (uint32_t m : {1u, 2u, 3u, 4u, 5u, 13u, 64u})
      for (auto [n, k] : {std::pair(1u, 1u),
                          {7u, 33u},
                          {33u, 34u},
                          {64u, 64u},
                          {130u, 70u},
                          {35u, 1030u},
                          {31u, 515u}})
        cases.push_back(product(m, m, n, k, type, type, f32, n % 2 == 1));
  // Fewer rows than the function is for; other types on the two sides; results
  // that are stored in 16 bits.
  cases.push_back(product(3, 64, 33, 40, bf16, bf16, f32, true));
  cases.push_back(product(33, 64, 33, 40, f16, f16, f32, true));
  cases.push_back(product(1100, 1100, 19, 21, bf16, bf16, f32, false));
  for (uint32_t m : {2u, 9u}) {
    cases.push_back(product(m, m, 33, 40, f32, bf16, f32, true));
    cases.push_back(product(m, m, 33, 40, bf16, f32, f32, true));
    cases.push_back(product(m, m, 33, 40, f16, bf16, f32, true));
    cases.push_back(product(m, m, 33, 40, bf16, bf16, bf16, true));
    cases.push_back(product(m, m, 33, 40, f16, f16, f16, false));
  }
  for (DType type : {f32, bf16, f16})
    for (uint32_t m : {1u, 2u, 3u, 9u, 64u, 65u})
      for (auto [n, k] : {std::pair(1u, 1u),
                          {7u, 33u},
                          {130u, 70u},
                          {35u, 1030u},
                          {5u, 4099u},
                          {300u, 257u}}) {
        cases.push_back(scaledProduct(m, n, k, 128, 128, type));
        cases.push_back(scaledProduct(m, n, k, 3, 17, type));
      }
  // Rows in pieces of 16 bytes; blocks that end within the matrix, and cut a
  // strip of columns anywhere.
  for (DType type : {f32, bf16, f16})
    for (uint32_t m : {1u, 2u, 8u, 9u, 17u, 40u, 100u})
      for (auto [n, k] : {std::pair(1u, 16u), {140u, 400u}, {37u, 2064u}}) {
        cases.push_back(scaledProduct(m, n, k, 128, 128, type));
        cases.push_back(scaledProduct(m, n, k, 20, 64, type));
      }
  return cases;
}

} // namespace mbc::test
