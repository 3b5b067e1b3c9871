//===- UnicodeTest.cpp ----------------------------------------------------===//
#include "runtime/text/Unicode.h"
#include "runtime/text/ByteAlphabet.h"

#include <gtest/gtest.h>

using namespace mbc::text;

static std::string replaced(std::string_view text) {
  std::string storage;
  return std::string(replaceMalformed(text, storage));
}

// As Python's bytes.decode(errors="replace") has them.
TEST(Unicode, MalformedBytes) {
  EXPECT_EQ(replaced("a\xC3\xA9"), "a\xC3\xA9");
  EXPECT_EQ(replaced("\xC3"), "\xEF\xBF\xBD");
  EXPECT_EQ(replaced("\xC0\x80"), "\xEF\xBF\xBD\xEF\xBF\xBD");
  EXPECT_EQ(replaced("\xF0\x9F\x98z"), "\xEF\xBF\xBDz");
  EXPECT_EQ(replaced("\xED\xA0\x80"), "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
  EXPECT_EQ(replaced("\xF4\x90"), "\xEF\xBF\xBD\xEF\xBF\xBD");
}

TEST(Unicode, ReplacedInParts) {
  // However a text is cut, the parts give what the whole gives.
  std::string_view whole = "\xF0\x9F\x98\x80\xE4\xBD\xE4\xBD\xA0\xFF\xED\xA0x";
  for (size_t cut = 0; cut <= whole.size(); ++cut) {
    std::string out, held(whole.substr(0, cut));
    held.erase(0, held.size() - appendReplaced(out, held, true));
    held += whole.substr(cut);
    EXPECT_EQ(appendReplaced(out, held, false), 0u);
    EXPECT_EQ(out, replaced(whole)) << cut;
  }
}

TEST(Unicode, NormalForms) {
  std::string storage;
  EXPECT_EQ(normalized("e\u0301", NormalForm::C, storage), "\u00E9");
  EXPECT_EQ(normalized("\u00E9", NormalForm::D, storage), "e\u0301");
  EXPECT_EQ(normalized("\uFB01", NormalForm::KC, storage), "fi");
  EXPECT_EQ(normalized("\u1112\u1161\u11AB", NormalForm::C, storage), "\uD55C");
  EXPECT_EQ(normalized("\uD55C", NormalForm::D, storage), "\u1112\u1161\u11AB");
  std::string_view plain = "plain \u4F60";
  EXPECT_EQ(normalized(plain, NormalForm::C, storage).data(), plain.data());
  EXPECT_EQ(lowercase("\u0130\u00C0A"), "i\u0307\u00E0a");
}

TEST(Unicode, ByteAlphabet) {
  for (unsigned byte = 0; byte < 256; ++byte) {
    std::string one(1, static_cast<char>(byte));
    EXPECT_EQ(fromByteCharacters(toByteCharacters(one)), one);
  }
  EXPECT_EQ(toByteCharacters(" \n"), "\u0120\u010A");
  EXPECT_EQ(fromByteCharacters("\u4F60"), std::nullopt);
}
