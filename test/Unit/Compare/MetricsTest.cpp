#include "runtime/compare/Metrics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

using namespace mbc::compare;

namespace {

constexpr float inf = std::numeric_limits<float>::infinity();
const float nan = std::nanf("");

Errors errorsBetween(const std::vector<float> &a, const std::vector<float> &b,
                     int64_t width) {
  auto rows = [&](const std::vector<float> &values) {
    return Rows{values.data(), static_cast<int64_t>(values.size()) / width,
                width, width};
  };
  return errorsOf(rows(a), rows(b));
}

TEST(Errors, OfEqualValues) {
  Errors errors = errorsBetween({1, -2, 0, 4}, {1, -2, -0.0f, 4}, 2);
  EXPECT_EQ(errors.differing, 0);
  EXPECT_EQ(errors.maxAbs, 0);
  EXPECT_EQ(errors.relative, 0);
  EXPECT_EQ(errors.cosine, 1);
  EXPECT_EQ(errors.compared, 4);
  EXPECT_TRUE(errors.within(0));
}

TEST(Errors, AreRelativeToTheRowThatIsWorst) {
  // The first row is huge and right, the second small and wrong.
  Errors errors = errorsBetween({1e6f, 0, 3, 4}, {1e6f, 0, 3, 3}, 2);
  EXPECT_EQ(errors.maxAbs, 1);
  EXPECT_DOUBLE_EQ(errors.relative, 1.0 / 5);
  EXPECT_EQ(errors.worstRow, 1);
  EXPECT_EQ(errors.worstColumn, 1);
  EXPECT_EQ(errors.differing, 1);
  EXPECT_GT(errors.cosine, 0.999999);
  EXPECT_LT(errors.cosine, 1);
  EXPECT_FALSE(errors.within(0.19));
  EXPECT_TRUE(errors.within(0.21));
}

TEST(Errors, OfOppositeValues) {
  Errors errors = errorsBetween({1, 2}, {-1, -2}, 2);
  EXPECT_DOUBLE_EQ(errors.relative, 2);
  EXPECT_DOUBLE_EQ(errors.cosine, -1);
}

TEST(Errors, BesideZeroThereIsNoDirection) {
  Errors errors = errorsBetween({0, 0}, {1, 0}, 2);
  EXPECT_EQ(errors.cosine, 0);
  EXPECT_DOUBLE_EQ(errors.relative, 1);
}

TEST(Errors, WhoseSquaresUnderflowAreErrors) {
  Errors errors = errorsBetween({1, 0}, {1, 1e-45f}, 2);
  EXPECT_FALSE(errors.within(0));
}

TEST(Errors, NaNOfBothIsEqualAndOfOneIsNot) {
  Errors errors = errorsBetween({nan, 1, 2, 3}, {nan, 1, 2, 3}, 2);
  EXPECT_TRUE(errors.within(0));
  errors = errorsBetween({1, 1, nan, 3}, {1, 1, 2, 3}, 2);
  EXPECT_FALSE(errors.within(1e9));
  EXPECT_EQ(errors.nansA, 1);
  EXPECT_EQ(errors.nansB, 0);
  EXPECT_EQ(errors.worstRow, 1);
  EXPECT_TRUE(std::isinf(errors.maxAbs));
  EXPECT_TRUE(std::isinf(errors.relative));
  EXPECT_TRUE(std::isnan(errors.cosine));
}

TEST(Errors, OfInfinities) {
  EXPECT_TRUE(errorsBetween({inf, -inf}, {inf, -inf}, 2).within(0));
  Errors errors = errorsBetween({inf, 1}, {-inf, 1}, 2);
  EXPECT_TRUE(std::isinf(errors.maxAbs));
  EXPECT_FALSE(errors.within(1e9));
  EXPECT_FALSE(errorsBetween({inf, 1}, {3, 1}, 2).within(1e9));
}

TEST(Errors, OfOtherShapesAreUnknown) {
  std::vector<float> values(6);
  Errors errors = errorsOf({values.data(), 2, 3, 3}, {values.data(), 2, 2, 2});
  EXPECT_FALSE(errors.comparable);
  EXPECT_FALSE(errors.within(1e9));
  EXPECT_EQ(errors.widthA, 3);
  EXPECT_EQ(errors.widthB, 2);
}

TEST(Errors, OfSomeColumnsAndOfOneLayer) {
  // Two layers of three numbers a token; of the second, the outer columns.
  std::vector<float> a{0, 0, 0, 1, 2, 3, 0, 0, 0, 4, 5, 6},
      b{9, 9, 9, 1, 7, 3, 9, 9, 9, 4, 7, 6};
  std::vector<uint8_t> covered{1, 0, 1};
  Errors errors =
      errorsOf({a.data() + 3, 2, 3, 6}, {b.data() + 3, 2, 3, 6}, covered);
  EXPECT_TRUE(errors.within(0));
  EXPECT_EQ(errors.compared, 4);
}

TEST(Agreement, OfEqualLogits) {
  std::vector<float> logits{1, 3, 2, -inf};
  RowAgreement row = agreementOf(logits, logits, 2);
  EXPECT_EQ(row.kl, 0);
  EXPECT_TRUE(row.sameFirst);
  EXPECT_EQ(row.shared, 2);
  ASSERT_EQ(row.a.size(), 2u);
  EXPECT_EQ(row.a[0].token, 1);
  EXPECT_EQ(row.a[1].token, 2);
  EXPECT_NEAR(row.a[0].probability, 0.665241, 1e-6);
}

TEST(Agreement, OfKnownDistributions) {
  // (1/2, 1/2) and (1/4, 3/4), shifted by what changes neither.
  std::vector<float> a{7, 7}, b{0, std::log(3.0f)};
  RowAgreement row = agreementOf(a, b, 1);
  EXPECT_NEAR(row.kl, 0.5 * std::log(2.0) + 0.5 * std::log(2.0 / 3), 1e-6);
  EXPECT_FALSE(row.sameFirst); // of equal ones the lower id
  EXPECT_EQ(row.shared, 0);
}

TEST(Agreement, WhatOneCannotChooseIsInfinitelyFar) {
  std::vector<float> a{0, 0}, b{0, -inf};
  EXPECT_TRUE(std::isinf(agreementOf(a, b, 1).kl));
  EXPECT_NEAR(agreementOf(b, a, 1).kl, std::log(2.0), 1e-7);
}

TEST(Agreement, AProbabilityThatUnderflowsIsNotImpossible) {
  std::vector<float> a{0, 0}, b{0, -2000};
  EXPECT_NEAR(agreementOf(a, b, 1).kl, 1000 - std::log(2.0), 1e-3);
}

TEST(Agreement, NaNIsNoDistribution) {
  std::vector<float> a{0, nan}, b{0, 1};
  EXPECT_TRUE(std::isnan(agreementOf(a, b, 1).kl));
  EXPECT_FALSE(agreementOf(a, b, 1).sameFirst);
  EXPECT_TRUE(agreementOf(a, a, 1).sameFirst);
  EXPECT_TRUE(agreementOf(a, b, 1).a.empty());
  std::vector<float> none{-inf, -inf};
  EXPECT_TRUE(std::isnan(agreementOf(none, b, 1).kl));
}

} // namespace
