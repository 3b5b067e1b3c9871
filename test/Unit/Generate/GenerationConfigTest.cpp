#include "runtime/generate/GenerationConfig.h"
#include "test/Unit/TempFolder.h"

#include <fstream>
#include <gtest/gtest.h>

using namespace mbc;
using namespace mbc::generate;

namespace {

struct GenerationConfigTest : testing::Test {
  Expected<GenerationConfig> read(const char *text, const char *config = "{}") {
    std::ofstream(folder.path() / "generation_config.json") << text;
    std::ofstream(folder.path() / "config.json") << config;
    return GenerationConfig::read(folder.path());
  }
  test::TempFolder folder;
};

} // namespace

TEST_F(GenerationConfigTest, ReadsOneEndTokenOrMany) {
  EXPECT_EQ(read(R"({"eos_token_id": 7})")->eosTokens,
            (std::vector<int32_t>{7}));
  EXPECT_EQ(read(R"({"eos_token_id": [7, 9]})")->eosTokens,
            (std::vector<int32_t>{7, 9}));
  EXPECT_TRUE(read(R"({"eos_token_id": null})")->eosTokens.empty());
}

TEST_F(GenerationConfigTest, TakesWhatItLeavesOutFromTheConfiguration) {
  auto config = read("{}", R"({"eos_token_id": 3, "bos_token_id": 1})");
  EXPECT_EQ(config->eosTokens, (std::vector<int32_t>{3}));
  EXPECT_EQ(config->bosToken, 1);
  EXPECT_EQ(read(R"({"eos_token_id": 5})", R"({"eos_token_id": 3})")->eosTokens,
            (std::vector<int32_t>{5}));
}

TEST_F(GenerationConfigTest, IsGreedyUnlessAsked) {
  auto config = read(R"({"do_sample": true, "temperature": 0.6, "top_k": 20,
                         "top_p": 0.9, "repetition_penalty": 1.1})");
  Sampling greedy = *config->resolve({}, "");
  EXPECT_FALSE(greedy.draw);
  EXPECT_EQ(greedy.repetitionPenalty, 1.1);
  Sampling own = *config->resolve({.sample = true}, "");
  EXPECT_TRUE(own.draw);
  EXPECT_EQ(own.temperature, 0.6);
  EXPECT_EQ(own.topK, 20u);
  Sampling changed = *config->resolve({.temperature = 1.5, .seed = 4}, "");
  EXPECT_TRUE(changed.draw);
  EXPECT_EQ(changed.temperature, 1.5);
  EXPECT_EQ(changed.topP, 0.9);
  EXPECT_EQ(changed.seed, 4u);
  EXPECT_FALSE(config->resolve({.temperature = 0, .topP = 0.5}, "")->draw);
}

TEST_F(GenerationConfigTest, NamesWhatItDoesNotFollow) {
  auto config = read(R"({"num_beams": 4, "no_repeat_ngram_size": 0,
                         "typical_p": 1.0, "suppress_tokens": [3]})");
  EXPECT_EQ(config->ignored,
            (std::vector<std::string>{"num_beams", "suppress_tokens"}));
}

TEST_F(GenerationConfigTest, RefusesWhatCannotBe) {
  for (const char *text :
       {R"({"eos_token_id": "x"})", R"({"eos_token_id": -1})",
        R"({"temperature": "hot"})", R"({"temperature": 0})",
        R"({"top_k": 1.5})", R"({"top_p": 2})", R"({"do_sample": 1})", "["}) {
    auto config = read(text);
    ASSERT_FALSE(config) << text;
    EXPECT_NE(config.error().message.find("generation_config.json"),
              std::string::npos);
  }
}
