//===- DrawTest.cpp - A GPU draws the host's tokens -----------------------===//
//
// The logits that follow a token are a row of a table, so that calls go on from
// their own tokens and nothing is rounded on the way: the token must be the one
// that the host draws from the same logits, in every draw.
//
//===----------------------------------------------------------------------===//

#include "runtime/cuda/Session.h"
#include "runtime/generate/Sampler.h"
#include "test/Conformance/ProgramMaker.h"
#include "test/Conformance/Values.h"

#include <cmath>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <iostream>
#include <limits>

using namespace mbc;
using namespace mbc::test;
using generate::ChoiceContext;
using generate::Sampling;

namespace {

using Random = std::mt19937;

/// One of a list.
template <typename T> T oneOf(Random &random, std::initializer_list<T> list) {
  return list.begin()[random() % list.size()];
}

Sampling someSampling(Random &random) {
  Sampling sampling;
  sampling.draw = random() % 8 != 0;
  sampling.seed = random();
  sampling.temperature = oneOf(random, {1.0, 0.7, 1.3, 0.05, 4.0, 1e-5});
  sampling.topK = oneOf<uint64_t>(random, {0, 0, 1, 2, 20, 50, 400, 1 << 20});
  sampling.topP = oneOf(random, {1.0, 1.0, 0.95, 0.9, 0.5, 0.1, 0.999, 1e-9});
  sampling.minP = oneOf(random, {0.0, 0.0, 0.0, 0.02, 0.3, 1.0});
  return sampling;
}

/// Logits as models have them, and as they should not.
std::vector<float> someLogits(Random &random, size_t vocab) {
  // Sums of uniform numbers, the same everywhere.
  float scale = oneOf(random, {2.5f, 2.5f, 1.0f, 0.01f, 12.0f});
  std::vector<float> logits(vocab);
  for (float &logit : logits) {
    for (int i = 0; i < 4; ++i)
      logit += static_cast<float>(random() >> 8) * 0x1p-23f - 1;
    logit *= scale;
  }
  switch (random() % 8) {
  case 0: // of a model of 16 bits
  case 1:
    for (float &logit : logits)
      logit = roundTo(plan::DType::BF16, logit);
    break;
  case 2: // both zeros among few values
    for (float &logit : logits)
      logit = std::trunc(logit);
    break;
  case 3: // all alike
    for (float &logit : logits)
      logit = logits[0];
    break;
  case 4: // impossible tokens
    for (float &logit : logits)
      if (random() % 4 != 0)
        logit = -std::numeric_limits<float>::infinity();
    logits[random() % vocab] = 3;
    break;
  default:
    break;
  }
  return logits;
}

class Table {
public:
  /// Of `tokens` tokens, the logits of `vocab`.
  Table(uint32_t rows, uint32_t tokens, uint32_t vocab, Random &random)
      : vocab(vocab) {
    for (uint32_t i = 0; i < tokens; ++i) {
      std::vector<float> some = someLogits(random, vocab);
      logits.insert(logits.end(), some.begin(), some.end());
    }
    ProgramMaker make(rows);
    program::EmbedT embed;
    embed.ids = make.input("tokens", plan::DType::I32, {rows});
    embed.table = make.weight("table", plan::DType::F32, tokens, vocab);
    embed.out = make.output({rows, vocab});
    make.add(embed);
    auto bytes = serializeProgram(make.program);
    program = *parseProgram(bytes, "table");
  }

  void open() {
    auto made = cuda::Session::create(*program, {.slots = 1 << 12});
    ASSERT_TRUE(made) << made.error().message;
    session = std::move(*made);
    ASSERT_TRUE(session->setWeight(0, 0, logits.data()));
  }
  std::span<float> of(int32_t token) {
    return std::span(logits).subspan(size_t(token) * vocab, vocab);
  }
  const program::FunctionT &function() const {
    return *findFunction(*program, "f");
  }

  /// What the host chooses after a token; -1 where it cannot.
  ChosenToken byHost(int32_t token, const Sampling &sampling, uint64_t step) {
    std::vector<float> used(of(token).begin(), of(token).end());
    ChoiceContext context{&sampling, {}, step, 0};
    auto choice = generate::chooseToken(used, context);
    if (!choice)
      return {-1, 0};
    return {choice->token.id, choice->token.logprob};
  }

  uint32_t vocab;
  std::vector<float> logits;
  std::unique_ptr<program::ProgramT> program;
  std::unique_ptr<cuda::Session> session;
};

/// A call of a token for each sequence, as Session takes it.
struct Step {
  Step(std::vector<int32_t> tokens, std::span<const Sampling> samplings,
       uint64_t step)
      : tokens(std::move(tokens)), chosen(this->tokens.size()) {
    call.rows = std::ssize(this->tokens);
    for (int64_t row = 0; row < call.rows; ++row) {
      call.sequences.push_back({row, 1, row, 0});
      drawings.push_back(generate::drawingOf({&samplings[row], {}, step, -1}));
    }
    call.inputs["tokens"] = this->tokens;
    call.chosen["out"] = chosen;
    call.drawings = drawings;
  }
  Step(const Step &) = delete;

  Call call;
  std::vector<int32_t> tokens;
  std::vector<Drawing> drawings;
  std::vector<ChosenToken> chosen;
};

class CudaDraw : public testing::Test {
protected:
  void SetUp() override {
    auto devices = cuda::listDevices();
    if (!devices)
      GTEST_SKIP() << devices.error().message;
  }

  /// `calls` calls of `rows` rows, with other settings each time: launched one
  /// by one, then captured, then from the graph.
  static void draw(uint32_t vocab, uint32_t rows, int calls, uint32_t seed) {
    Random random(seed);
    Table table(rows, rows, vocab, random);
    // Neighbours of a row that has no token.
    if (rows > 8) {
      table.of(3)[vocab / 2] = std::numeric_limits<float>::quiet_NaN();
      table.of(5)[vocab - 1] = std::numeric_limits<float>::infinity();
      table.of(6)[0] = 1e34f; // infinite where divided by enough
    }
    ASSERT_NO_FATAL_FAILURE(table.open());
    size_t draws = 0, differing = 0;
    for (int i = 0; i < calls; ++i) {
      std::vector<int32_t> tokens(rows);
      std::vector<Sampling> samplings(rows);
      for (uint32_t row = 0; row < rows; ++row) {
        tokens[row] = static_cast<int32_t>(random() % rows);
        samplings[row] = someSampling(random);
      }
      Step step(tokens, samplings, i);
      Status done = table.session->run(table.function(), step.call);
      ASSERT_TRUE(done) << done.error().message;
      for (uint32_t row = 0; row < rows; ++row) {
        ChosenToken expected = table.byHost(tokens[row], samplings[row], i),
                    found = step.chosen[row];
        ++draws;
        differing += found.id != expected.id;
        const Sampling &of = samplings[row];
        EXPECT_EQ(found.id, expected.id) << fmt::format(
            "token {}: draw {} temperature {} top-k {} top-p {} min-p {}",
            tokens[row], of.draw, of.temperature, of.topK, of.topP, of.minP);
        if (expected.id >= 0 && found.id == expected.id)
          EXPECT_NEAR(found.logprob, expected.logprob,
                      1e-4 + 1e-6 * std::abs(expected.logprob));
      }
    }
    std::cout << draws << " draws of " << vocab << ": " << differing
              << " differ\n";
  }
};

} // namespace

TEST_F(CudaDraw, OfOneToken) { draw(1, 2, 4, 1); }
TEST_F(CudaDraw, OfFewTokens) { draw(7, 64, 10, 2); }
TEST_F(CudaDraw, OfSomeTokens) { draw(701, 64, 20, 3); }
TEST_F(CudaDraw, OfWholeParts) { draw(4096, 16, 20, 4); }
TEST_F(CudaDraw, OfManyTokens) { draw(32003, 12, 10, 5); }
// More candidates than are listed, where many are alike.
TEST_F(CudaDraw, OfAsManyAsThereAre) { draw(151936, 10, 5, 6); }

TEST_F(CudaDraw, StepsAheadFollowTheDrawnTokens) {
  constexpr uint32_t vocab = 300, rows = 5;
  constexpr int steps = 40;
  Random random(7);
  Table table(rows, vocab, vocab, random);
  ASSERT_NO_FATAL_FAILURE(table.open());
  if (!table.session->runsAhead())
    GTEST_SKIP() << "MBC_CUDA_AHEAD=0 or MBC_CUDA_WAIT=1";
  std::vector<Sampling> samplings(rows);
  for (Sampling &sampling : samplings) {
    sampling = someSampling(random);
    sampling.temperature = 1;
  }
  std::vector<int32_t> tokens{1, 2, 3, 4, 5};
  std::vector<std::unique_ptr<Step>> ahead;
  for (int i = 0; i < steps; ++i) {
    // The tokens of later ones are not what they hold.
    ahead.push_back(std::make_unique<Step>(
        i == 0 ? tokens : std::vector<int32_t>(rows), samplings, i));
    Status status =
        table.session->start(table.function(), ahead[i]->call, i > 0);
    ASSERT_TRUE(status) << status.error().message;
    if (i > 0)
      ASSERT_TRUE(table.session->finish());
  }
  ASSERT_TRUE(table.session->finish());
  for (int i = 0; i < steps; ++i)
    for (uint32_t row = 0; row < rows; ++row) {
      tokens[row] = table.byHost(tokens[row], samplings[row], i).id;
      EXPECT_EQ(ahead[i]->chosen[row].id, tokens[row]) << i << " " << row;
    }
}

TEST_F(CudaDraw, SettingsForOtherRowsAreRefused) {
  Random random(8);
  Table table(2, 2, 9, random);
  ASSERT_NO_FATAL_FAILURE(table.open());
  std::vector<Sampling> samplings(2);
  Step step({0, 1}, samplings, 0);
  step.call.drawings = std::span(step.drawings).first(1);
  Status status = table.session->run(table.function(), step.call);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().message,
            "output 'out' of 'f' needs settings for 2 tokens, found 1");
}
