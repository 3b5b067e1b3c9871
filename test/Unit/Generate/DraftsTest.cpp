#include "runtime/generate/Drafts.h"

#include <gtest/gtest.h>
#include <limits>
#include <random>

using namespace mbc;
using namespace mbc::generate;

namespace {

constexpr size_t vocabulary = 20;

/// Logits of rows.
std::vector<float> rows(size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(count * vocabulary);
  for (float &value : values)
    value = normal(random);
  return values;
}

/// The token that one row alone gives.
int32_t chosen(std::vector<float> logits, size_t row, const Sampling &sampling,
               std::span<const int32_t> text, uint64_t step) {
  auto of = std::span(logits).subspan(row * vocabulary, vocabulary);
  return chooseToken(of, {&sampling, text, step, -1})->token.id;
}

} // namespace

TEST(Drafts, AreTriedAsIfTokensCameOneByOne) {
  Sampling sampling;
  sampling.draw = true;
  sampling.temperature = 2;
  sampling.repetitionPenalty = 1.5;
  for (unsigned seed = 0; seed < 40; ++seed) {
    sampling.seed = seed;
    std::vector<float> logits = rows(4, seed);
    // What comes without drafts.
    std::vector<int32_t> text{1, 2, 3}, expected;
    for (size_t row = 0; row < 4; ++row) {
      expected.push_back(chosen(logits, row, sampling, text, 7 + row));
      text.push_back(expected.back());
    }
    // Drafts of which the first `right` are that.
    for (size_t right = 0; right <= 3; ++right) {
      std::vector<int32_t> guessed{1, 2, 3};
      for (size_t i = 0; i < 3; ++i)
        guessed.push_back(i < right ? expected[i] : (expected[i] + 1) % 20);
      Part part;
      part.tokens = std::span(guessed).subspan(2);
      part.drafts = 3;
      part.choice = {&sampling, guessed, 7, -1};
      std::vector<float> used = logits;
      auto choices = chooseTokens(used, part);
      ASSERT_TRUE(choices);
      ASSERT_EQ(choices->size(), right + 1);
      for (size_t i = 0; i <= right; ++i)
        EXPECT_EQ((*choices)[i].token.id, expected[i]);
      EXPECT_EQ(textAfter(part, *choices),
                std::vector<int32_t>(text.begin(), text.begin() + 4 + right));
    }
  }
}

TEST(Drafts, AreChosenWithTheRandomNumberOfTheirPlace) {
  Sampling sampling;
  sampling.draw = true;
  std::vector<int32_t> text{4, 5};
  Part part;
  part.tokens = text;
  part.choice = {&sampling, text, 3, 5};
  for (unsigned seed = 0; seed < 20; ++seed) {
    std::vector<float> logits = rows(1, seed), used = logits;
    EXPECT_EQ(chooseDraft(used, part, text, 2),
              chosen(logits, 0, sampling, text, 5));
  }
}

TEST(Drafts, ThatAreNoNumbersAreNone) {
  Sampling sampling;
  std::vector<int32_t> text{4};
  Part part;
  part.choice = {&sampling, text, 0, -1};
  std::vector<float> logits(vocabulary,
                            std::numeric_limits<float>::quiet_NaN());
  EXPECT_EQ(chooseDraft(logits, part, text, 1), -1);
}
