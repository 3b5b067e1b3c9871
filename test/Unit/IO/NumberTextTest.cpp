//===- NumberTextTest.cpp -------------------------------------------------===//

#include "runtime/io/NumberText.h"

#include <cstring>
#include <gtest/gtest.h>

using namespace mbc;

namespace {

std::string textOf(DType dtype, uint64_t bits) {
  std::byte bytes[8];
  std::memcpy(bytes, &bits, 8);
  ElementText text = elementText(dtype, bytes);
  return text.bits + " " + text.decimal;
}

TEST(NumberTextTest, Floats) {
  EXPECT_EQ(textOf(DType::BF16, 0x3f80), "0x3f80 1");
  EXPECT_EQ(textOf(DType::BF16, 0x8000), "0x8000 -0");
  EXPECT_EQ(textOf(DType::F16, 0x3555), "0x3555 0.33325195");
  EXPECT_EQ(textOf(DType::F32, 0x3dcccccd), "0x3dcccccd 0.1");
  EXPECT_EQ(textOf(DType::F32, 0x7f800000), "0x7f800000 inf");
  EXPECT_EQ(textOf(DType::F64, 0x3fb999999999999aull),
            "0x3fb999999999999a 0.1");
}

TEST(NumberTextTest, Float8) {
  EXPECT_EQ(textOf(DType::F8E4M3, 0x7e), "0x7e 448");
  EXPECT_EQ(textOf(DType::F8E4M3, 0xff), "0xff nan");
  EXPECT_EQ(textOf(DType::F8E4M3, 0x01), "0x01 0.001953125");
  EXPECT_EQ(textOf(DType::F8E5M2, 0x7b), "0x7b 57344");
  EXPECT_EQ(textOf(DType::F8E5M2, 0xfc), "0xfc -inf");
  EXPECT_EQ(textOf(DType::F8E4M3FNUZ, 0x7f), "0x7f 240");
  EXPECT_EQ(textOf(DType::F8E8M0, 0x80), "0x80 2");
}

TEST(NumberTextTest, Integers) {
  EXPECT_EQ(textOf(DType::I8, 0xff), "0xff -1");
  EXPECT_EQ(textOf(DType::U64, ~0ull), "0xffffffffffffffff "
                                       "18446744073709551615");
  EXPECT_EQ(textOf(DType::Bool, 1), "0x01 true");
}

TEST(NumberTextTest, GroupedNumber) {
  EXPECT_EQ(groupedNumber(0), "0");
  EXPECT_EQ(groupedNumber(999), "999");
  EXPECT_EQ(groupedNumber(1000), "1,000");
  EXPECT_EQ(groupedNumber(134515008), "134,515,008");
}

} // namespace
