#include "runtime/core/Text.h"
#include "test/Unit/TempFolder.h"

using namespace mbc;
using namespace mbc::test;

TEST(Text, ParsesSizes) {
  EXPECT_EQ(*parseByteSize("5GB"), 5'000'000'000u);
  EXPECT_EQ(*parseByteSize("500MB"), 500'000'000u);
  EXPECT_EQ(*parseByteSize("1GiB"), 1u << 30);
  EXPECT_EQ(*parseByteSize("1.5 kib"), 1536u);
  EXPECT_EQ(*parseByteSize("2tb"), 2'000'000'000'000u);
  EXPECT_EQ(*parseByteSize("12345"), 12345u);
  EXPECT_EQ(*parseByteSize("12B"), 12u);
}

TEST(Text, RefusesBadSizes) {
  for (const char *bad : {"", "GB", "-1GB", "1.GB", ".5GB", "1.2.3GB", "5Gb/s",
                          "5 XB", "5GiBB", "0", "0GB", "1.5", "0x10"})
    EXPECT_REFUSED(parseByteSize(bad), "expected a number and a unit");
  EXPECT_REFUSED(parseByteSize("99999999999999999999"), "is too large");
  EXPECT_REFUSED(parseByteSize("99999999999TB"), "is too large");
  EXPECT_REFUSED(parseByteSize("5XB"), "unknown unit 'XB'");
}

TEST(Text, SizeText) {
  EXPECT_EQ(sizeText(0), "0 bytes");
  EXPECT_EQ(sizeText(1), "1 byte");
  EXPECT_EQ(sizeText(999), "999 bytes");
  EXPECT_EQ(sizeText(1000), "1.00 kB");
  EXPECT_EQ(sizeText(15'500'000), "15.5 MB");
  EXPECT_EQ(sizeText(999'700'000), "1.00 GB");
}

TEST(Text, QuoteEscapesWhatATerminalWouldObey) {
  EXPECT_EQ(quote("a.weight"), "'a.weight'");
  EXPECT_EQ(quote("a\x1b[2Jb\n"), "'a\\x1b[2Jb\\x0a'");
  EXPECT_EQ(quote("\xff\xc3\xa9"), "'\\xff\xc3\xa9'");
  EXPECT_EQ(quote("\xc2\x9b"), "'\\xc2\\x9b'");
  EXPECT_LT(quote(std::string(5000, 'x')).size(), 300u);
}

TEST(Text, Utf8) {
  EXPECT_EQ(utf8Length("a"), 1u);
  EXPECT_EQ(utf8Length("\xc3\xa9"), 2u);
  EXPECT_EQ(utf8Length("\xe2\x82\xac"), 3u);
  EXPECT_EQ(utf8Length("\xf0\x9f\x98\x80"), 4u);
  for (const char *bad : {"\x80", "\xc0\xaf", "\xc3", "\xe0\x80\xaf",
                          "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf5\x80\x80"})
    EXPECT_EQ(utf8Length(bad), 0u) << bad;
}

TEST(Text, Utf8ThereAndBack) {
  for (char32_t code : {U'\0', U'a', U'\x7f', U'\x80', U'\x7ff', U'\x800',
                        U'\uffff', U'\U00010000', U'\U0010ffff'}) {
    std::string text;
    appendUtf8(text, code);
    EXPECT_EQ(utf8Length(text), text.size()) << unsigned(code);
    Character found = firstCharacter(text + "b");
    EXPECT_EQ(found.code, code);
    EXPECT_EQ(found.length, text.size()) << unsigned(code);
  }
  EXPECT_EQ(utf8Prefix("twelve bytes\xc3\xa9"), 14u);
  EXPECT_EQ(utf8Prefix("twelve bytes\xc3"), 12u);
  EXPECT_EQ(utf8Prefix("\xff"), 0u);
}
