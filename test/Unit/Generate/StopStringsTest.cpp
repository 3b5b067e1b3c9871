#include "runtime/generate/StopStrings.h"

#include <gtest/gtest.h>

using namespace mbc::generate;

/// What comes out piece by piece, each with '|' after it.
static std::string pieces(std::vector<std::string> stops,
                          std::vector<std::string> texts) {
  StopStrings watcher(std::move(stops));
  std::string out;
  for (const std::string &text : texts)
    out += watcher.push(text) + "|";
  return out + watcher.finish() + (watcher.found() ? "!" : "");
}

TEST(StopStrings, WithoutAnyTextPasses) {
  EXPECT_EQ(pieces({}, {"a", "b"}), "a|b|");
  EXPECT_EQ(pieces({""}, {"a", "b"}), "a|b|");
}

TEST(StopStrings, HoldsBackWhatMayBeABeginning) {
  EXPECT_EQ(pieces({"STOP"}, {"a S", "T", "x"}), "a ||STx|");
  EXPECT_EQ(pieces({"STOP"}, {"a S", "TO", "P b", "c"}), "a ||||!");
  EXPECT_EQ(pieces({"STOP"}, {"a ST"}), "a |ST");
}

TEST(StopStrings, FindsOverlappingBeginnings) {
  EXPECT_EQ(pieces({"aab"}, {"aa", "ab", "x"}), "|a||!");
  EXPECT_EQ(pieces({"abac"}, {"aba", "bac"}), "|ab|!");
}

TEST(StopStrings, TakesTheOneThatIsCompleteFirst) {
  EXPECT_EQ(pieces({"long one", "one"}, {"a long one"}), "a |!");
  EXPECT_EQ(pieces({"bcd", "c"}, {"abcd"}), "ab|!");
  EXPECT_EQ(pieces({"xyz", "b"}, {"ab xyz"}), "a|!");
}

TEST(StopStrings, EveryWayToCutATextGivesTheSame) {
  std::string text = "Grüße\n\nUser: ha";
  for (size_t first = 0; first <= text.size(); ++first)
    for (size_t second = first; second <= text.size(); ++second) {
      StopStrings watcher({"\nUser:", "xx"});
      std::string out = watcher.push(text.substr(0, first));
      out += watcher.push(text.substr(first, second - first));
      out += watcher.push(text.substr(second));
      out += watcher.finish();
      EXPECT_EQ(out, "Grüße\n");
      EXPECT_TRUE(watcher.found());
    }
}
