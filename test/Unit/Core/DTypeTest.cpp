#include "runtime/core/DType.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <gtest/gtest.h>
#include <random>
#include <vector>

using namespace mbc;

static const DType allTypes[] = {
    DType::Bool,   DType::F4,         DType::F6E2M3,     DType::F6E3M2,
    DType::U8,     DType::I8,         DType::F8E5M2,     DType::F8E4M3,
    DType::F8E8M0, DType::F8E4M3FNUZ, DType::F8E5M2FNUZ, DType::I16,
    DType::U16,    DType::F16,        DType::BF16,       DType::I32,
    DType::U32,    DType::F32,        DType::C64,        DType::F64,
    DType::I64,    DType::U64};

template <typename To, typename From>
static To convert(DType from, From value, DType to) {
  To out;
  convertElements(from, &value, to, &out, 1);
  return out;
}

TEST(DType, NamesRoundTrip) {
  for (DType dtype : allTypes) {
    EXPECT_EQ(dtypeFromSafetensors(safetensorsName(dtype)), dtype);
    if (!torchName(dtype).empty())
      EXPECT_EQ(dtypeFromTorch(torchName(dtype)), dtype);
  }
  EXPECT_EQ(dtypeFromSafetensors("bf16"), std::nullopt);
  EXPECT_EQ(dtypeFromTorch(""), std::nullopt);
  EXPECT_EQ(torchName(DType::BF16), "bfloat16");
  EXPECT_EQ(safetensorsName(DType::F8E4M3), "F8_E4M3");
}

TEST(DType, Sizes) {
  EXPECT_EQ(bytesOf(DType::F4, 6), 3u);
  EXPECT_EQ(bytesOf(DType::F6E2M3, 4), 3u);
  EXPECT_EQ(bytesOf(DType::BF16, int64_t(1) << 40), uint64_t(1) << 41);
  EXPECT_EQ(bytesOf(DType::C64, 2), 16u);
}

TEST(DType, SmallestCommonFloat) {
  using enum DType;
  EXPECT_EQ(smallestCommonFloat(BF16, BF16), BF16);
  EXPECT_EQ(smallestCommonFloat(BF16, F16), F32);
  EXPECT_EQ(smallestCommonFloat(F16, F32), F32);
  EXPECT_EQ(smallestCommonFloat(F64, BF16), F64);
  EXPECT_EQ(smallestCommonFloat(F32, I32), std::nullopt);
  EXPECT_EQ(smallestCommonFloat(F8E4M3, F8E4M3), std::nullopt);
}

// Every value of a 16-bit type survives the way through every wider type, NaN
// payloads included.
TEST(DType, WideningIsExactForEveryBitPattern) {
  for (DType narrow : {DType::F16, DType::BF16})
    for (DType wide : {DType::F32, DType::F64})
      for (uint32_t bits = 0; bits < 65536; ++bits) {
        uint64_t through = 0;
        auto source = static_cast<uint16_t>(bits);
        convertElements(narrow, &source, wide, &through, 1);
        uint16_t back;
        convertElements(wide, &through, narrow, &back, 1);
        ASSERT_EQ(back, source) << bits;
      }
}

TEST(DType, F16WidensAsTheHardwareDoes) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    auto half = std::bit_cast<_Float16>(static_cast<uint16_t>(bits));
    auto expected = static_cast<float>(half);
    auto actual = convert<float>(DType::F16, half, DType::F32);
    if (std::isnan(expected))
      ASSERT_TRUE(std::isnan(actual));
    else
      ASSERT_EQ(std::bit_cast<uint32_t>(actual),
                std::bit_cast<uint32_t>(expected));
  }
}

// Random bits, and values near the limits where rounding goes wrong.
TEST(DType, NarrowingRoundsAsTheHardwareDoes) {
  std::mt19937_64 random(1);
  auto check = [](double d) {
    if (std::isnan(d))
      return;
    auto f = static_cast<float>(d);
    ASSERT_EQ(convert<uint32_t>(DType::F64, d, DType::F32),
              std::bit_cast<uint32_t>(f))
        << d;
    ASSERT_EQ(convert<uint16_t>(DType::F32, f, DType::F16),
              std::bit_cast<uint16_t>(static_cast<_Float16>(f)))
        << f;
    ASSERT_EQ(convert<uint16_t>(DType::F64, d, DType::F16),
              std::bit_cast<uint16_t>(static_cast<_Float16>(d)))
        << d;
  };
  for (int i = 0; i < 300000; ++i) {
    check(std::bit_cast<double>(random()));
    check(std::bit_cast<float>(static_cast<uint32_t>(random())));
    check(std::ldexp(double(random() % 8192) / 4096, int(random() % 60) - 35));
    check(
        std::ldexp(double(random() % 8192) / 4096, int(random() % 320) - 160));
  }
  for (double d : {0.0, -0.0, 65504.0, 65519.99, 65520.0, 5.96e-8, 2.98e-8,
                   2.980232238769531e-8, 6.1e-5, HUGE_VAL, -HUGE_VAL})
    check(d);
}

// BF16 has no reference here: the nearest of the two neighbours, even on a tie.
TEST(DType, NarrowingToBF16) {
  std::mt19937_64 random(2);
  for (int i = 0; i < 300000; ++i) {
    auto bits = static_cast<uint32_t>(random());
    auto f = std::bit_cast<float>(bits);
    if (!std::isfinite(f) || std::abs(f) > 3e38f)
      continue;
    uint32_t down = bits & 0xFFFF0000, up = down + 0x10000;
    double low = std::abs(double(f) - std::bit_cast<float>(down));
    double high = std::abs(double(std::bit_cast<float>(up)) - f);
    uint32_t expected = low < high          ? down
                        : low > high        ? up
                        : (down >> 16) & 1u ? up
                                            : down;
    ASSERT_EQ(convert<uint16_t>(DType::F32, f, DType::BF16), expected >> 16);
    ASSERT_EQ(convert<uint16_t>(DType::F64, double(f), DType::BF16),
              expected >> 16);
  }
  EXPECT_EQ(convert<uint16_t>(DType::F32, 3.4e38f, DType::BF16), 0x7F80);
  // Rounding to F32 on the way would give 0x3F80: 1 + 2^-8 + 2^-40.
  EXPECT_EQ(convert<uint16_t>(DType::F64, 1 + 0x1p-8 + 0x1p-40, DType::BF16),
            0x3F81);
}

TEST(DType, NaNStaysNaN) {
  // The payload is in the bits that are lost.
  EXPECT_EQ(convert<uint16_t>(DType::F32, uint32_t(0x7F800001), DType::BF16),
            0x7FC0);
  EXPECT_EQ(convert<uint16_t>(DType::F32, uint32_t(0xFF800001), DType::F16),
            0xFE00);
  // Signalling NaNs are not quieted where their payload fits.
  EXPECT_EQ(convert<uint16_t>(DType::F32, uint32_t(0x7F810000), DType::BF16),
            0x7F81);
  EXPECT_EQ(convert<uint64_t>(DType::F32, uint32_t(0x7F800001), DType::F64),
            0x7FF0000020000000u);
}

TEST(DType, SameTypeCopiesAndBuffersNeedNoAlignment) {
  std::vector<unsigned char> in(33), out(33);
  for (size_t i = 0; i < in.size(); ++i)
    in[i] = static_cast<unsigned char>(i);
  convertElements(DType::F32, in.data() + 1, DType::F32, out.data() + 1, 8);
  EXPECT_EQ(std::memcmp(in.data() + 1, out.data() + 1, 32), 0);
  convertElements(DType::BF16, in.data() + 1, DType::F32, out.data() + 1, 8);
  EXPECT_EQ(out[1], 0);
  EXPECT_EQ(out[3], in[1]);
  EXPECT_EQ(out[32], in[16]);
}
