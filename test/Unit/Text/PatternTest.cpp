//===- PatternTest.cpp ----------------------------------------------------===//
#include "runtime/text/Pattern.h"
#include "runtime/text/PatternSyntax.h"

#include <gtest/gtest.h>

using namespace mbc;
using namespace mbc::text;

/// The matches of a pattern, each in brackets.
static std::string matches(std::string_view pattern, std::string_view text) {
  auto compiled = Pattern::compile(pattern);
  if (!compiled)
    return compiled.error().message;
  PatternScratch scratch;
  std::string out;
  Status status =
      (*compiled)->forEach(text, scratch, [&](size_t begin, size_t end) {
        out += "[" + std::string(text.substr(begin, end - begin)) + "]";
      });
  return status ? out : status.error().message;
}

TEST(Pattern, WhiteSpaceIsUnicodes) {
  EXPECT_EQ(matches("\\s", "a\u00A0b\u0085c\u180Ed\u200Be"),
            "[\u00A0][\u0085]");
  EXPECT_EQ(matches("[^\\s]+", "a\u00A0b"), "[a][b]");
  EXPECT_EQ(matches("[^\\S\\n]+", " \n\t"), "[ ][\t]");
}

TEST(Pattern, LinesEndAtNewlines) {
  EXPECT_EQ(matches("\\s+$", "ab  \n  x  "), "[  ][  ]");
  EXPECT_EQ(matches(".+", "a\r\nb"), "[a\r][b]");
}

TEST(Pattern, Sets) {
  EXPECT_EQ(matches("[\\p{L}&&[^\\p{Han}]]+", "ab\u6F22c"), "[ab][c]");
  EXPECT_EQ(matches("[^a-c&&[b-z]]", "abcd"), "[a][d]");
  EXPECT_EQ(matches("[a[0-9]]+", "a1b2"), "[a1][2]");
  EXPECT_EQ(matches("[\\]\\-a]+", "]-a"), "[]-a]");
  EXPECT_EQ(matches("[[:digit:]]+", "12a"), "[12]");
  EXPECT_EQ(matches("\\p{^L}+", "a12b"), "[12]");
}

TEST(Pattern, Repetitions) {
  // Of intervals a '+' repeats what they stand behind.
  EXPECT_EQ(matches("\\p{N}{1,3}+", "12345"), "[12345]");
  EXPECT_EQ(matches("a{,2}b", "aaab"), "[aab]");
  EXPECT_EQ(matches("a++a|b", "aab"), "[b]");
  EXPECT_EQ(matches("(?:ab){2}?c", "ababc c"), "[ababc][c]");
  EXPECT_EQ(matches("a{x", "a{x"), "[a{x]");
}

TEST(Pattern, Case) {
  EXPECT_EQ(matches("(?i:'s|'ll)", "'S 'LL 's '\u017F"),
            "['S]['LL]['s]['\u017F]");
}

TEST(Pattern, Words) {
  EXPECT_EQ(matches("\\w+", "a\u0301_1\u00B2-b"), "[a\u0301_1\u00B2][b]");
  EXPECT_EQ(matches("\\bb", "ab b"), "[b]");
}

TEST(Pattern, Refusals) {
  for (const char *pattern :
       {"(", ")", "[a", "[]", "*", "a\\", "\\K", "(?<n>a)", "(?x:a)", "\\1",
        "\\p{Nonsense}", "[b-a]", "[a&&]", "\\xFF", "(?#a"})
    EXPECT_FALSE(toPcre2(pattern)) << pattern;
  EXPECT_FALSE(toPcre2(std::string(1000, '(')));
}

TEST(Pattern, Escaped) {
  for (char c = ' '; c <= '~'; ++c) {
    std::string text(1, c);
    EXPECT_EQ(matches(escapePattern(text), text), "[" + text + "]");
  }
}
