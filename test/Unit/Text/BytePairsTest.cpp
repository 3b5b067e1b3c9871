//===- BytePairsTest.cpp --------------------------------------------------===//
#include "runtime/text/BytePairs.h"

#include <algorithm>

#include <gtest/gtest.h>
#include <random>

using namespace mbc::text;

namespace {

/// Tokens of two letters up to eight characters, merged as they were made.
struct Model {
  std::vector<std::string> texts = {"a", "b"};
  std::vector<std::pair<int32_t, int32_t>> merges;
  BytePairs pairs = make();

  BytePairs make() {
    std::mt19937 random(1);
    Vocabulary vocabulary;
    MergeTable table;
    while (merges.size() < 60) {
      int32_t left = static_cast<int32_t>(random() % texts.size());
      int32_t right = static_cast<int32_t>(random() % texts.size());
      std::string text = texts[left] + texts[right];
      if (text.size() > 8 || std::ranges::find(texts, text) != texts.end())
        continue;
      table.set(left, right,
                {static_cast<uint32_t>(merges.size()),
                 static_cast<int32_t>(texts.size())});
      merges.emplace_back(left, right);
      texts.push_back(text);
    }
    for (size_t id = 0; id < texts.size(); ++id)
      vocabulary.add(texts[id], static_cast<int32_t>(id));
    return BytePairs(std::move(vocabulary), std::move(table), {},
                     /*bytes=*/false, /*rawTokens=*/false);
  }

  /// By the definition: the merges in order, each at the first place.
  std::vector<int32_t> expected(std::string_view word) const {
    std::vector<int32_t> ids;
    for (char c : word)
      ids.push_back(c - 'a');
    while (true) {
      size_t best = merges.size(), place = 0;
      for (size_t i = 0; i + 1 < ids.size(); ++i) {
        size_t rank = std::ranges::find(merges, std::pair(ids[i], ids[i + 1])) -
                      merges.begin();
        if (rank < best)
          best = rank, place = i;
      }
      if (best == merges.size())
        return ids;
      ids[place] = static_cast<int32_t>(best + 2);
      ids.erase(ids.begin() + place + 1);
    }
  }
};

} // namespace

// On both sides of the length from which a heap is used, and of the cache's.
TEST(BytePairs, MergesInOrder) {
  Model model;
  MergeScratch scratch;
  std::mt19937 random(2);
  for (int run = 0; run < 2000; ++run) {
    std::string word(1 + random() % 120, 'a');
    for (char &c : word)
      c = random() % 2 ? 'a' : 'b';
    std::vector<int32_t> found;
    model.pairs.encode(word, scratch, found);
    ASSERT_EQ(found, model.expected(word)) << word;
    found.clear(); // again, from the cache
    model.pairs.encode(word, scratch, found);
    ASSERT_EQ(found, model.expected(word)) << word;
  }
}

TEST(BytePairs, VocabularyRefusesDoubles) {
  Vocabulary vocabulary;
  EXPECT_TRUE(vocabulary.add("a", 5));
  EXPECT_FALSE(vocabulary.add("a", 6));
  EXPECT_FALSE(vocabulary.add("b", 5));
  EXPECT_EQ(vocabulary.end(), 6u);
  EXPECT_EQ(vocabulary.text(7), nullptr);
  EXPECT_EQ(*vocabulary.text(5), "a");
}
