#include "runtime/core/Fp8.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <gtest/gtest.h>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

using namespace mbc;

/// E4M3 from its definition, in double precision.
static double valueOf(uint8_t byte) {
  int exponent = (byte >> 3) & 15, mantissa = byte & 7;
  double magnitude = exponent == 0 ? std::ldexp(mantissa, -9)
                                   : std::ldexp(8 + mantissa, exponent - 10);
  if ((byte & 0x7f) == 0x7f)
    magnitude = std::numeric_limits<double>::quiet_NaN();
  return std::copysign(magnitude, byte & 0x80 ? -1.0 : 1.0);
}

/// The nearest E4M3 by search, ties to the even code.
static uint8_t nearestTo(float x) {
  uint8_t sign = std::signbit(x) ? 0x80 : 0;
  if (std::isnan(x))
    return sign | 0x7f;
  double magnitude = std::fabs(static_cast<double>(x));
  uint8_t best = 0;
  for (uint8_t code = 1; code <= 0x7e; ++code) {
    double there = std::fabs(valueOf(code) - magnitude),
           here = std::fabs(valueOf(best) - magnitude);
    if (there < here || (there == here && code % 2 == 0))
      best = code;
  }
  return sign | best;
}

static std::vector<uint8_t> allBytes() {
  std::vector<uint8_t> bytes(256);
  std::iota(bytes.begin(), bytes.end(), 0);
  return bytes;
}

/// Runs a body under each instruction set of this machine.
template <typename Fn> static void forEachSet(Fn &&fn) {
  std::string before = fp8Instructions();
  for (const char *name : {"portable", "avx2", "avx512"})
    if (setFp8Instructions(name)) {
      SCOPED_TRACE(name);
      fn();
    }
  EXPECT_TRUE(setFp8Instructions(before.c_str()));
  EXPECT_FALSE(setFp8Instructions("sse9"));
}

TEST(Fp8, EveryByteHasItsValue) {
  forEachSet([] {
    std::vector<float> values(256);
    dequantizeFp8(allBytes().data(), 1.0f, DType::F32, values.data(), 256);
    for (int i = 0; i < 256; ++i) {
      if (std::isnan(valueOf(i)))
        EXPECT_EQ(std::bit_cast<uint32_t>(values[i]),
                  i & 0x80 ? 0xffc00000u : 0x7fc00000u);
      else
        EXPECT_EQ(std::bit_cast<uint64_t>(double(values[i])),
                  std::bit_cast<uint64_t>(valueOf(i)));
    }
  });
}

TEST(Fp8, ProductIsOfF32AndRoundedOnce) {
  std::mt19937 random(1);
  std::uniform_real_distribution<float> exponent(-60, 60);
  forEachSet([&] {
    for (int round = 0; round < 200; ++round) {
      float scale = std::exp2(exponent(random));
      for (DType to : {DType::BF16, DType::F16, DType::F32, DType::F64}) {
        std::vector<double> expected(256), found(256);
        std::vector<float> products(256);
        for (int i = 0; i < 256; ++i) {
          volatile float product = static_cast<float>(valueOf(i)) * scale;
          products[i] =
              std::isnan(valueOf(i))
                  ? std::bit_cast<float>(i & 0x80 ? 0xffc00000u : 0x7fc00000u)
                  : product;
        }
        convertElements(DType::F32, products.data(), to, expected.data(), 256);
        dequantizeFp8(allBytes().data(), scale, to, found.data(), 256);
        EXPECT_EQ(std::memcmp(expected.data(), found.data(), bytesOf(to, 256)),
                  0)
            << scale << " " << safetensorsName(to);
      }
    }
  });
}

TEST(Fp8, QuantizesToTheNearestAndSaturates) {
  std::vector<float> values = {0.0f,
                               -0.0f,
                               448.0f,
                               463.9f,
                               464.0f,
                               1e30f,
                               -1e30f,
                               std::numeric_limits<float>::infinity(),
                               -std::numeric_limits<float>::infinity(),
                               std::bit_cast<float>(0x7fc00001u),
                               std::bit_cast<float>(0xff800001u),
                               1e-40f,
                               std::ldexp(1.0f, -10),
                               std::nextafter(std::ldexp(1.0f, -10), 1.0f)};
  // Every value, every midpoint between two, and what lies beside them.
  for (int code = 0; code < 0x7e; ++code) {
    float middle = static_cast<float>((valueOf(code) + valueOf(code + 1)) / 2);
    for (float x :
         {static_cast<float>(valueOf(code)), middle,
          std::nextafter(middle, 0.0f), std::nextafter(middle, 1e9f)}) {
      values.push_back(x);
      values.push_back(-x);
    }
  }
  std::mt19937 random(2);
  for (int i = 0; i < 20000; ++i)
    values.push_back(std::bit_cast<float>(static_cast<uint32_t>(random())));
  forEachSet([&] {
    std::vector<uint8_t> bytes(values.size());
    quantizeFp8(DType::F32, values.data(), 1.0f, bytes.data(), values.size());
    for (size_t i = 0; i < values.size(); ++i)
      ASSERT_EQ(bytes[i], nearestTo(values[i])) << values[i];
  });
}

// The theorem, tried: random scales over the whole range, its ends, and powers
// of two as ue8m0 has them.
TEST(Fp8, EveryByteIsRestoredInTheProvedRange) {
  std::mt19937 random(3);
  std::vector<float> scales = {
      0x1p-100f,        0x1p100f,       -0x1p-100f, -0x1p100f, 0x1.8p99f,
      0x1.fffffep-100f, 0x1.fffffep99f, 1.0f,       448.0f,    0x1.000002p0f};
  for (int i = 0; i < 20000; ++i)
    scales.push_back(std::bit_cast<float>(static_cast<uint32_t>(
        (27 + random() % 200) << 23 | (random() & 0x807fffff))));
  for (int e = -100; e <= 100; ++e)
    scales.push_back(std::ldexp(1.0f, e));
  forEachSet([&] {
    for (float scale : scales)
      for (DType to : {DType::BF16, DType::F32, DType::F64}) {
        ASSERT_TRUE(restoresEveryByte(scale, to));
        std::vector<uint8_t> all = allBytes(), back(256);
        std::vector<double> values(256);
        dequantizeFp8(all.data(), scale, to, values.data(), 256);
        ASSERT_EQ(quantizeFp8(to, values.data(), scale, back.data(), 256), 0);
        ASSERT_EQ(all, back) << scale << " " << safetensorsName(to);
      }
  });
}

TEST(Fp8, TinyHugeAndZeroScalesAreSeen) {
  EXPECT_FALSE(restoresEveryByte(0.0f, DType::BF16));
  EXPECT_FALSE(restoresEveryByte(1e-45f, DType::BF16));
  EXPECT_FALSE(restoresEveryByte(0x1p-126f, DType::BF16));
  EXPECT_FALSE(restoresEveryByte(3e38f, DType::BF16));
  EXPECT_FALSE(restoresEveryByte(1.0f / 1024, DType::F16) &&
               restoresEveryByte(0x1p-20f, DType::F16));
  EXPECT_TRUE(restoresEveryByte(0x1p-120f, DType::BF16));
  EXPECT_TRUE(restoresEveryByte(0x1p-12f, DType::F16));
}

TEST(Fp8, CountsWhatDoesNotComeBack) {
  forEachSet([] {
    std::vector<float> values = {1.0f,
                                 1.0625f,
                                 -0.0f,
                                 500.0f,
                                 std::bit_cast<float>(0x7fc00000u),
                                 std::bit_cast<float>(0x7fc00001u)};
    std::vector<uint8_t> bytes(values.size());
    EXPECT_EQ(quantizeFp8(DType::F32, values.data(), 1.0f, bytes.data(),
                          values.size()),
              3);
    EXPECT_EQ(bytes,
              (std::vector<uint8_t>{0x38, 0x38, 0x80, 0x7e, 0x7f, 0x7f}));
    float zeros[3] = {0.0f, -0.0f, 1.0f};
    EXPECT_EQ(quantizeFp8(DType::F32, zeros, 0.0f, bytes.data(), 3), 1);
    EXPECT_EQ(bytes[0], 0x00);
    EXPECT_EQ(bytes[1], 0x80);
  });
}

// Any length and any alignment, the same bits from all instruction sets.
TEST(Fp8, InstructionSetsAgree) {
  std::mt19937 random(4);
  std::vector<uint8_t> bytes(1000);
  for (uint8_t &byte : bytes)
    byte = random();
  for (int64_t length : {0, 1, 7, 31, 127, 128, 129, 700})
    for (int64_t offset : {0, 1, 3}) {
      std::vector<std::vector<uint8_t>> results;
      forEachSet([&] {
        std::vector<uint8_t> result(length * 3 + 8);
        dequantizeFp8(bytes.data() + offset, 0x1.23456p-13f, DType::BF16,
                      result.data() + offset, length);
        quantizeFp8(DType::BF16, result.data() + offset, 0x1.3p-13f,
                    result.data() + 2 * length + offset, length);
        results.push_back(result);
      });
      for (const auto &result : results)
        EXPECT_EQ(result, results[0]);
    }
}

TEST(Fp8, LargestMagnitude) {
  forEachSet([] {
    std::vector<float> values(100, 0.25f);
    values[77] = -3.0f;
    EXPECT_EQ(largestMagnitude(values.data(), 100), 3.0f);
    EXPECT_EQ(largestMagnitude(values.data(), 0), 0.0f);
    values[3] = -std::numeric_limits<float>::infinity();
    EXPECT_TRUE(std::isinf(largestMagnitude(values.data(), 100)));
    values[4] = std::numeric_limits<float>::quiet_NaN();
    EXPECT_TRUE(std::isnan(largestMagnitude(values.data(), 100)));
  });
}
