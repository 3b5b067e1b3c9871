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
