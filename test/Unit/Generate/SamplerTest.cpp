#include "runtime/generate/Sampler.h"

#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>
#include <limits>
#include <map>

using namespace mbc;
using namespace mbc::generate;

namespace {

constexpr float never = -std::numeric_limits<float>::infinity();
using Logits = std::vector<float>;

Logits processed(Logits logits, const Sampling &sampling,
                 std::vector<int32_t> text = {}) {
  processLogits(logits, sampling, text);
  return logits;
}

Expected<Choice> choose(Logits logits, const Sampling &sampling,
                        uint64_t step = 0, int32_t logprobs = -1) {
  ChoiceContext context;
  context.sampling = &sampling;
  context.step = step;
  context.logprobs = logprobs;
  return chooseToken(logits, context);
}

} // namespace

TEST(Sampler, GreedyTakesTheFirstOfTheLargest) {
  EXPECT_EQ(choose({1, 3, never, 3, 2}, {})->token.id, 1);
  EXPECT_EQ(choose({-5, never, -1}, {})->token.id, 2);
}

TEST(Sampler, GreedyLooksAtThePenaltyAlone) {
  Sampling sampling;
  sampling.temperature = 0.1;
  sampling.topK = 1;
  sampling.topP = 0.1;
  sampling.minP = 1;
  EXPECT_EQ(processed({1, 2, -3}, sampling), (Logits{1, 2, -3}));
  sampling.repetitionPenalty = 2;
  EXPECT_EQ(processed({4, 2, -3}, sampling, {0, 2, 0}), (Logits{2, 2, -6}));
}

TEST(Sampler, TopKKeepsWhatEqualsTheLast) {
  Sampling sampling{.draw = true, .topK = 2};
  EXPECT_EQ(processed({1, 3, 2, 2, 0}, sampling),
            (Logits{never, 3, 2, 2, never}));
  sampling.topK = 9;
  EXPECT_EQ(processed({1, 3, 2}, sampling), (Logits{1, 3, 2}));
}

TEST(Sampler, TopPOfEqualTokensDropsTheLast) {
  Sampling sampling{.draw = true, .topP = 0.6};
  // 0.25 goes, 0.5 would be more than 0.4.
  EXPECT_EQ(processed({0, 0, 0, 0}, sampling), (Logits{0, 0, 0, never}));
  sampling.topP = 1e-9;
  EXPECT_EQ(processed({0, 0, 1, 0}, sampling),
            (Logits{never, never, 1, never}));
  EXPECT_EQ(processed({0, 0, 0}, sampling), (Logits{0, never, never}));
}

TEST(Sampler, TopPOfManyTokensIsThatOfASort) {
  // More than are sorted at once, and flat enough to need a second look.
  Logits logits(5000);
  for (size_t i = 0; i < logits.size(); ++i)
    logits[i] = static_cast<float>((i * 7919) % 5000) / 5000;
  for (double mass : {0.02, 0.3, 0.9, 0.999}) {
    Logits found = processed(logits, {.draw = true, .topP = mass});
    std::vector<size_t> order(logits.size());
    for (size_t i = 0; i < order.size(); ++i)
      order[i] = i;
    std::ranges::sort(order, {},
                      [&](size_t i) { return std::pair(logits[i], i); });
    double sum = 0, gone = 0;
    for (float logit : logits)
      sum += std::exp(static_cast<double>(logit));
    size_t removed = 0;
    for (size_t i : order) {
      gone += std::exp(static_cast<double>(logits[i])) / sum;
      if (gone > 1 - mass)
        break;
      ++removed;
    }
    size_t differing = 0;
    for (size_t rank = 0; rank < order.size(); ++rank)
      differing += (found[order[rank]] == never) != (rank < removed);
    EXPECT_LE(differing, 1u) << mass; // the one on the border
  }
}

TEST(Sampler, MinPIsAShareOfTheBest) {
  Logits logits{std::log(0.5f), std::log(0.3f), std::log(0.2f)};
  Logits kept = processed(logits, {.draw = true, .minP = 0.5});
  EXPECT_EQ(kept[1], logits[1]);
  EXPECT_EQ(kept[2], never);
  EXPECT_EQ(processed(logits, {.draw = true, .minP = 1})[0], logits[0]);
}

TEST(Sampler, DrawsAsOftenAsProbable) {
  // Chi-square of 5 cells: 18.5 at a thousandth.
  std::vector<double> share{0.4, 0.3, 0.15, 0.1, 0.05};
  Logits logits;
  for (double p : share)
    logits.push_back(static_cast<float>(std::log(p)));
  Sampling sampling{.draw = true, .seed = 11};
  constexpr int count = 20000;
  std::map<int32_t, int> counts;
  for (int step = 0; step < count; ++step)
    ++counts[choose(logits, sampling, step)->token.id];
  double chi = 0;
  for (size_t i = 0; i < share.size(); ++i)
    chi += std::pow(counts[static_cast<int32_t>(i)] - count * share[i], 2) /
           (count * share[i]);
  EXPECT_LT(chi, 18.5);
}

TEST(Sampler, NeverDrawsWhatIsRemoved) {
  Sampling sampling{.draw = true, .topK = 2};
  for (int step = 0; step < 1000; ++step) {
    int32_t id = choose({0, 5, 4.9f, -1, 3}, sampling, step)->token.id;
    EXPECT_TRUE(id == 1 || id == 2);
  }
}

TEST(Sampler, LogProbabilitiesAreTheModels) {
  Logits logits{std::log(0.5f), std::log(0.25f), std::log(0.25f)};
  auto choice =
      choose(logits, {.draw = true, .temperature = 9, .topK = 1}, 0, 2);
  EXPECT_EQ(choice->token.id, 0);
  EXPECT_NEAR(choice->token.logprob, std::log(0.5), 1e-6);
  ASSERT_EQ(choice->top.size(), 2u);
  EXPECT_EQ(choice->top[1].id, 1); // of equals the first
  EXPECT_NEAR(choice->top[1].logprob, std::log(0.25), 1e-6);
}

TEST(Sampler, RefusesWhatIsNoNumber) {
  float nan = std::numeric_limits<float>::quiet_NaN();
  for (Logits logits :
       {Logits{1, nan, 2}, Logits{never, never}, Logits{-never}, Logits{nan}}) {
    auto choice = choose(logits, {});
    ASSERT_FALSE(choice);
    EXPECT_NE(choice.error().message.find("no finite numbers"),
              std::string::npos);
  }
}

TEST(Sampler, RefusesSettingsOutOfRange) {
  float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(checkSampling({}, ""));
  for (Sampling wrong :
       {Sampling{.temperature = 0}, Sampling{.temperature = -1},
        Sampling{.temperature = nan}, Sampling{.topP = 0},
        Sampling{.topP = 1.1}, Sampling{.minP = -0.1}, Sampling{.minP = 2},
        Sampling{.repetitionPenalty = 0}})
    EXPECT_FALSE(checkSampling(wrong, ""));
  EXPECT_EQ(checkSampling({.topP = 1.5}, "x: ").error().message,
            "x: top_p is 1.5, expected a number above 0, at most 1");
}
