#include "runtime/generate/SlotMap.h"

#include <gtest/gtest.h>

using namespace mbc::generate;

using Tokens = std::vector<int32_t>;

TEST(SlotMap, RangesAreApartAndComeBack) {
  SlotMap map(10);
  auto a = map.take(Tokens{1}, 4), b = map.take(Tokens{2}, 6);
  ASSERT_TRUE(a && b);
  EXPECT_EQ(a->range.first, 0);
  EXPECT_EQ(b->range.first, 4);
  EXPECT_EQ(map.free(), 0);
  EXPECT_FALSE(map.take(Tokens{3}, 1));
  map.giveBack(a->range, {});
  EXPECT_EQ(map.free(), 4);
  EXPECT_FALSE(map.take(Tokens{3}, 5)); // no room in one piece
  EXPECT_EQ(map.take(Tokens{3}, 4)->range.first, 0);
}

TEST(SlotMap, APromptBeginsWhereAnotherLeftOff) {
  SlotMap map(100);
  auto a = map.take(Tokens{1, 2, 3}, 20);
  map.giveBack(a->range, Tokens{1, 2, 3, 4, 5});
  auto again = map.take(Tokens{1, 2, 3, 4, 5, 6, 7}, 40);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->range.first, a->range.first);
  EXPECT_EQ(again->reused, 5);
  EXPECT_EQ(again->range.count, 40);
}

TEST(SlotMap, OneTokenIsLeftToCompute) {
  SlotMap map(100);
  auto a = map.take(Tokens{1, 2, 3}, 20);
  map.giveBack(a->range, Tokens{1, 2, 3, 4});
  EXPECT_EQ(map.take(Tokens{1, 2, 3}, 20)->reused, 2);
}

TEST(SlotMap, WhatDiffersIsNotReused) {
  SlotMap map(100);
  auto a = map.take(Tokens{1, 2, 3, 4}, 20);
  map.giveBack(a->range, Tokens{1, 2, 9, 4});
  EXPECT_EQ(map.take(Tokens{1, 2, 3, 4}, 20)->reused, 2);
}

TEST(SlotMap, NothingIsReusedWhereItMayNot) {
  SlotMap map(100);
  auto a = map.take(Tokens{1, 2, 3}, 20);
  map.giveBack(a->range, Tokens{1, 2, 3});
  auto b = map.take(Tokens{1, 2, 3, 4}, 20, /*reuse=*/false);
  EXPECT_EQ(b->reused, 0);
}

TEST(SlotMap, LittleInCommonDoesNotOverwrite) {
  SlotMap map(100);
  Tokens longText(30, 5), other(20, 6);
  longText[0] = other[0] = 1;
  auto a = map.take(longText, 40);
  map.giveBack(a->range, longText);
  auto b = map.take(other, 40);
  EXPECT_EQ(b->reused, 0);
  EXPECT_NE(b->range.first, a->range.first);
  map.giveBack(b->range, {});
  longText.push_back(7);
  EXPECT_EQ(map.take(longText, 40)->reused, 30);
}

TEST(SlotMap, RunningSequencesAreNeverOverwritten) {
  SlotMap map(30);
  auto a = map.take(Tokens{1, 2}, 10);
  auto b = map.take(Tokens{9, 9}, 10);
  map.giveBack(a->range, Tokens{1, 2, 3});
  // Its own place has no room for as much: another, and nothing reused.
  EXPECT_FALSE(map.take(Tokens{1, 2, 3, 4}, 11));
  auto c = map.take(Tokens{1, 2, 3, 4}, 10);
  ASSERT_TRUE(c);
  EXPECT_NE(c->range.first, b->range.first);
}

TEST(SlotMap, TheLongestUnusedGoesFirst) {
  SlotMap map(20);
  auto a = map.take(Tokens{1, 1}, 10), b = map.take(Tokens{2, 2}, 10);
  map.giveBack(a->range, Tokens(10, 1));
  map.giveBack(b->range, Tokens(10, 2));
  auto c = map.take(Tokens{3, 3}, 10);
  EXPECT_EQ(c->range.first, a->range.first);
  EXPECT_EQ(map.take(Tokens(5, 2), 10)->reused, 4);
}

TEST(SlotMap, EqualTokensOfOtherPicturesAreNotReused) {
  using Marks = std::vector<PictureMark>;
  SlotMap map(100);
  // Two pictures of two tokens (7), and text.
  Tokens text{1, 7, 7, 2, 7, 7, 3, 4};
  Marks seen{{1, 2, "a"}, {4, 2, "b"}};
  auto reused = [&](const Tokens &prompt, const Marks &pictures) {
    auto lease = map.take(prompt, 20, true, pictures);
    int64_t count = lease->reused;
    map.giveBack(lease->range, {});
    map = SlotMap(100);
    auto a = map.take(text, 20, true, seen);
    map.giveBack(a->range, text, seen);
    return count;
  };
  reused({1}, {});
  Tokens longer = text;
  longer.push_back(5);
  EXPECT_EQ(reused(longer, seen), 8);
  EXPECT_EQ(reused(longer, {{1, 2, "a"}, {4, 2, "c"}}), 4);
  EXPECT_EQ(reused(longer, {{1, 2, "c"}, {4, 2, "b"}}), 0);
  EXPECT_EQ(reused(longer, {}), 0);
  // A third picture, of which nothing is left.
  Tokens third{1, 7, 7, 2, 7, 7, 3, 4, 7, 7};
  EXPECT_EQ(reused(third, {{1, 2, "a"}, {4, 2, "b"}, {8, 2, "a"}}), 8);
}
