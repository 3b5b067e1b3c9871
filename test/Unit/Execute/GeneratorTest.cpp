//===- GeneratorTest.cpp - Steps ahead of the host ------------------------===//
//
// A device that does what it is asked for as late as it may: texts must be the
// same whether it chooses tokens, and runs ahead, or neither.
//
//===----------------------------------------------------------------------===//

#include "runtime/execute/Generator.h"

#include "runtime/generate/Engine.h"
#include "runtime/generate/Sampler.h"

#include <deque>
#include <gtest/gtest.h>
#include <random>

using namespace mbc;
using namespace mbc::generate;

namespace {

constexpr uint32_t vocab = 60, rows = 12, slots = 200;

/// Decodes and prefills; `some`: gives logits of the rows asked for alone.
program::ProgramT programOf(bool some) {
  program::ProgramT program;
  program.vocab = vocab;
  program.length = slots;
  for (const char *name : {"prefill[12]", "decode[12]"}) {
    auto &function =
        program.functions.emplace_back(std::make_unique<program::FunctionT>());
    function->name = name;
    function->rows = rows;
    function->body = std::make_unique<program::BodyT>();
    auto add = [&](auto &ports, const char *port, std::vector<uint32_t> dims) {
      ports.push_back(std::make_unique<program::PortT>());
      ports.back()->name = port;
      ports.back()->dims = std::move(dims);
    };
    add(function->inputs, "tokens", {rows});
    if (some)
      add(function->inputs, "outputs", {4});
    add(function->outputs, "logits", {some ? 4 : rows, vocab});
  }
  return program;
}

/// The logits of a token follow from all before it, as the state has them.
class LateDevice final : public Session {
public:
  LateDevice(bool chooses, bool ahead) : chooses(chooses), ahead(ahead) {}

  Status load(const WeightSource &, Progress &) override { return {}; }
  int64_t slots() const override { return ::slots; }
  bool choosesTokens() const override { return chooses; }
  bool runsAhead() const override { return ahead; }

  Status run(const program::FunctionT &, const Call &call) override {
    EXPECT_TRUE(underWay.empty());
    compute(call, false);
    return {};
  }
  Status start(const program::FunctionT &, const Call &call,
               bool follows) override {
    underWay.push_back({&call, follows});
    EXPECT_LE(underWay.size(), 2u);
    ++started;
    return {};
  }
  Status finish() override {
    EXPECT_FALSE(underWay.empty());
    auto [call, follows] = underWay.front();
    underWay.pop_front();
    compute(*call, follows);
    return {};
  }

  int started = 0;

private:
  void compute(const Call &call, bool follows) {
    auto given = call.inputs.at("tokens");
    std::vector<int32_t> tokens(given.begin(), given.end());
    if (follows)
      tokens = last;
    ASSERT_EQ(std::ssize(tokens), call.rows);
    std::vector<std::vector<float>> all;
    for (const Sequence &sequence : call.sequences)
      for (int64_t i = 0; i < sequence.count; ++i) {
        int64_t length = sequence.cached + i + 1;
        state.at(sequence.slot + length - 1) = tokens[sequence.begin + i];
        std::seed_seq seed(state.begin() + sequence.slot,
                           state.begin() + sequence.slot + length);
        std::mt19937 random(seed);
        std::vector<float> &logits = all.emplace_back(vocab);
        for (float &logit : logits)
          logit = static_cast<float>(random() >> 8) * 0x1p-21f;
      }
    if (auto asked = call.inputs.find("outputs"); asked != call.inputs.end()) {
      std::vector<std::vector<float>> some;
      for (int32_t row : asked->second)
        some.push_back(all.at(row));
      all = std::move(some);
    }
    if (auto to = call.outputs.find("logits"); to != call.outputs.end()) {
      ASSERT_EQ(to->second.size(), all.size() * vocab);
      for (size_t row = 0; row < all.size(); ++row)
        std::ranges::copy(all[row], to->second.begin() + row * vocab);
    }
    if (auto to = call.chosen.find("logits"); to != call.chosen.end()) {
      ASSERT_TRUE(chooses);
      ASSERT_EQ(to->second.size(), all.size());
      last.clear();
      for (size_t row = 0; row < all.size(); ++row) {
        bool draws = !call.drawings.empty() && call.drawings[row].draws;
        int32_t id =
            draws ? *drawToken(all[row], call.drawings[row])
                  : static_cast<int32_t>(std::ranges::max_element(all[row]) -
                                         all[row].begin());
        to->second[row] = {id, 0};
        last.push_back(id);
      }
    }
  }

  bool chooses, ahead;
  std::vector<int32_t> state = std::vector<int32_t>(::slots), last;
  struct Started {
    const Call *call;
    bool follows;
  };
  std::deque<Started> underWay;
};

/// Requests of every kind, which begin and end at different times; some are
/// cancelled.
std::vector<std::vector<int32_t>> texts(LateDevice &device, bool some,
                                        uint32_t seed, bool penalties) {
  program::ProgramT program = programOf(some);
  auto generator = execute::Generator::create(device, program);
  EXPECT_TRUE(generator);
  Engine engine(**generator, {.sequences = 3});
  std::mt19937 random(seed);
  std::vector<std::vector<int32_t>> texts(12);
  std::vector<Engine::Id> numbers(texts.size());
  for (size_t i = 0; i < texts.size(); ++i) {
    Request request;
    request.prompt.assign(1 + random() % 9, static_cast<int32_t>(i));
    request.maxNewTokens = 1 + random() % 12;
    request.stopTokens = {static_cast<int32_t>(random() % vocab)};
    Sampling &sampling = request.sampling;
    sampling.draw = random() % 3 != 0;
    sampling.seed = random() % 4;
    sampling.temperature = 2;
    sampling.topK = random() % 2 ? 20 : 0;
    sampling.topP = random() % 2 ? 0.9 : 1;
    if (random() % 5 == 0 && penalties)
      sampling.repetitionPenalty = 1.5;
    size_t most = random() % 4 == 0 ? random() % 5 : 100;
    Sink sink;
    sink.token = [&, i, most](const Choice &choice, std::string_view) {
      texts[i].push_back(choice.token.id);
      if (texts[i].size() == most)
        engine.cancel(numbers[i]);
    };
    auto number = engine.submit(std::move(request), std::move(sink));
    EXPECT_TRUE(number);
    numbers[i] = *number;
  }
  EXPECT_TRUE(engine.drain());
  return texts;
}

} // namespace

TEST(Generator, TextsAreTheSameWhereverTokensAreChosen) {
  int started = 0;
  for (uint32_t seed = 0; seed < 60; ++seed)
    for (bool some : {false, true}) {
      bool penalties = seed % 2 == 0;
      LateDevice host(false, false), device(true, false), late(true, true);
      auto expected = texts(host, some, seed, penalties);
      EXPECT_EQ(texts(device, some, seed, penalties), expected) << seed;
      EXPECT_EQ(texts(late, some, seed, penalties), expected) << seed;
      started += late.started;
    }
  EXPECT_GT(started, 1000);
}

TEST(Generator, WhatTheHostChoosesIsNotStartedAhead) {
  for (bool penalty : {false, true}) {
    LateDevice device(true, true);
    program::ProgramT program = programOf(true);
    auto generator = execute::Generator::create(device, program);
    ASSERT_TRUE(generator);
    Engine engine(**generator, {});
    for (int i = 0; i < 2; ++i) {
      Request request;
      request.prompt = {1, 2, 3};
      request.maxNewTokens = 8;
      request.sampling.draw = true;
      // One is enough.
      if (penalty && i == 0)
        request.sampling.repetitionPenalty = 1.2;
      ASSERT_TRUE(engine.submit(request, {}));
    }
    ASSERT_TRUE(engine.drain());
    EXPECT_EQ(device.started, penalty ? 0 : 7);
  }
}
