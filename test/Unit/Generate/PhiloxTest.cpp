#include "runtime/generate/Philox.h"

#include <gtest/gtest.h>

using namespace mbc::generate;

using Words = std::array<uint32_t, 4>;

// The known answers of Random123, the authors' own implementation.
TEST(Philox, KnownAnswers) {
  EXPECT_EQ(philox({0, 0, 0, 0}, {0, 0}),
            (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
                   {0xffffffff, 0xffffffff}),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
                   {0xa4093822, 0x299f31d0}),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Philox, BitsAreUniformNumbers) {
  double sum = 0, squares = 0;
  constexpr int count = 100000;
  for (int step = 0; step < count; ++step) {
    double value = static_cast<double>(randomBits(7, step)) * 0x1p-64;
    sum += value;
    squares += value * value;
  }
  EXPECT_NEAR(sum / count, 1.0 / 2, 0.005);
  EXPECT_NEAR(squares / count, 1.0 / 3, 0.005);
}

TEST(Philox, SeedsAndStepsAreApart) {
  EXPECT_NE(randomBits(1, 0), randomBits(0, 1));
  EXPECT_NE(randomBits(1, 0), randomBits(uint64_t(1) << 32, 0));
  EXPECT_NE(randomBits(0, 1), randomBits(0, uint64_t(1) << 32));
  EXPECT_EQ(randomBits(5, 9), randomBits(5, 9));
}
