#include "runtime/generate/Engine.h"
#include "runtime/generate/Drafts.h"
#include "test/Unit/TempFolder.h"

#include <algorithm>
#include <atomic>
#include <functional>
#include <gtest/gtest.h>
#include <set>
#include <thread>

using namespace mbc;
using namespace mbc::generate;

namespace {

/// Continues a text by its length so far, and keeps a state as a device does:
/// what a step needs of it must be there, written by whom it belongs to.
struct FakeExecutor final : Executor {
  FakeExecutor(int64_t rows, int64_t sequences, int64_t slots,
               int64_t length = 1000)
      : mostRows(rows), mostSequences(sequences), most(length),
        state(slots, -1) {}

  int64_t rows() const override { return mostRows; }
  int64_t sequences() const override { return mostSequences; }
  int64_t slots() const override { return static_cast<int64_t>(state.size()); }
  int64_t length() const override { return most; }
  int64_t vocabulary() const override { return 500; }
  bool sequencesAreIndependent() const override { return independent; }
  int64_t drafts() const override { return mostDrafts; }
  bool sees() const override { return seeing; }

  Expected<std::vector<Continuation>>
  step(std::span<const Part> parts) override {
    if (failing)
      return inputError("the device has failed");
    std::vector<Continuation> choices;
    int64_t count = 0;
    std::set<int64_t> places;
    for (const Part &part : parts) {
      EXPECT_FALSE(part.tokens.empty());
      EXPECT_TRUE(places.insert(part.slot).second);
      for (int64_t i = 0; i < static_cast<int64_t>(part.tokens.size()); ++i)
        state.at(part.slot + part.cached + i) = part.tokens[i];
      positions.insert(positions.end(), part.positions.begin(),
                       part.positions.end());
      for (const PlacedPicture &placed : part.pictures)
        pictures += placed.picture != nullptr;
      count += static_cast<int64_t>(part.tokens.size());
      computed += static_cast<int64_t>(part.tokens.size());
    }
    EXPECT_LE(count, mostRows);
    EXPECT_LE(static_cast<int64_t>(parts.size()), mostSequences);
    for (const Part &part : parts) {
      if (!part.choice.sampling)
        continue;
      // The state holds just this text, with what was guessed of it.
      int64_t length = part.cached + static_cast<int64_t>(part.tokens.size());
      EXPECT_EQ(length, static_cast<int64_t>(part.choice.text.size()));
      for (int64_t i = 0; i < length; ++i)
        EXPECT_EQ(state.at(part.slot + i), part.choice.text[i]);
      EXPECT_LE(part.drafts, mostDrafts);
      EXPECT_LT(part.drafts, part.left);
      Continuation &of = choices.emplace_back();
      int64_t place = length - part.drafts;
      for (;; ++place) {
        of.choices.push_back({{static_cast<int32_t>(place), 0}, {}});
        if (place == length || part.choice.text[place] != place)
          break;
      }
      // What comes next, or another token.
      int64_t wanted = wantedDrafts(*this, part, of.choices.size());
      while (wanted-- > 0)
        of.drafts.push_back(isRight(++place) ? int32_t(place) : 499);
    }
    sizes.push_back(count);
    return choices;
  }

  int64_t mostRows, mostSequences, most;
  std::vector<int32_t> state;
  std::vector<int64_t> sizes; ///< rows of each step
  int64_t computed = 0;
  std::vector<int32_t> positions; ///< of all steps
  int64_t pictures = 0;           ///< that parts had, of all steps
  bool independent = true, failing = false, seeing = false;
  int64_t mostDrafts = 0;
  /// Whether the guess of the token in this place is right.
  std::function<bool(int64_t)> isRight = [](int64_t) { return true; };
};

/// Token 12 is "12 ".
struct Numbers final : TokenText {
  std::string push(int32_t id) override { return std::to_string(id) + " "; }
  std::string finish() override { return "."; }
};

Request request(int64_t prompt, int64_t fresh, int32_t begin = 100) {
  Request request;
  for (int64_t i = 0; i < prompt; ++i)
    request.prompt.push_back(begin + static_cast<int32_t>(i));
  request.maxNewTokens = fresh;
  return request;
}

std::vector<int32_t> ids(const Result &result) {
  std::vector<int32_t> list;
  for (const Choice &choice : result.tokens)
    list.push_back(choice.token.id);
  return list;
}

/// An engine, and what came of its requests.
struct Scenario {
  explicit Scenario(FakeExecutor &executor, EngineOptions options = {})
      : engine(executor, std::move(options)) {}

  /// The number of the request.
  size_t submit(Request what) {
    size_t number = results.size();
    results.emplace_back();
    shown.emplace_back();
    Sink sink;
    sink.token = [this, number](const Choice &, std::string_view text) {
      shown[number] += text;
      order.push_back(number);
    };
    sink.rest = [this, number](std::string_view text) {
      shown[number] += text;
    };
    sink.done = [this, number](Expected<Result> result) {
      EXPECT_FALSE(results[number]);
      results[number] = std::move(result);
    };
    auto id = engine.submit(std::move(what), std::move(sink));
    EXPECT_TRUE(id) << test::messageOf(id);
    numbers.push_back(*id);
    return number;
  }
  Result &result(size_t number) { return **results[number]; }

  Engine engine;
  std::vector<Engine::Id> numbers;
  std::vector<std::optional<Expected<Result>>> results;
  std::vector<std::string> shown;
  std::vector<size_t> order; ///< who got each token
};

EngineOptions withText() {
  return {.text = [] { return std::make_unique<Numbers>(); }};
}

} // namespace

TEST(Engine, ContinuesAPrompt) {
  FakeExecutor executor(8, 4, 100);
  Scenario run(executor);
  run.submit(request(3, 4));
  ASSERT_TRUE(run.engine.drain());
  EXPECT_EQ(ids(run.result(0)), (std::vector<int32_t>{3, 4, 5, 6}));
  EXPECT_EQ(run.result(0).finish, Finish::Length);
  EXPECT_EQ(executor.sizes, (std::vector<int64_t>{3, 1, 1, 1}));
  EXPECT_EQ(run.engine.pending(), 0u);
}

TEST(Engine, CutsLongPromptsIntoChunks) {
  FakeExecutor executor(8, 4, 100);
  Scenario run(executor);
  run.submit(request(20, 2));
  ASSERT_TRUE(run.engine.drain());
  EXPECT_EQ(ids(run.result(0)), (std::vector<int32_t>{20, 21}));
  EXPECT_EQ(executor.sizes, (std::vector<int64_t>{8, 8, 4, 1}));
}

TEST(Engine, WhoHasAPromptBehindItGetsATokenInEveryStep) {
  FakeExecutor executor(8, 4, 200);
  Scenario run(executor);
  run.submit(request(2, 10));
  ASSERT_TRUE(run.engine.step());
  run.submit(request(50, 2, 200));
  for (int i = 0; i < 7; ++i)
    ASSERT_TRUE(run.engine.step());
  EXPECT_EQ(run.order, (std::vector<size_t>(8, 0)));
  ASSERT_TRUE(run.engine.drain());
  EXPECT_EQ(ids(run.result(1)), (std::vector<int32_t>{50, 51}));
  EXPECT_EQ(executor.sizes[1], 8);
}

TEST(Engine, AnyNumberOfRequestsComesThrough) {
  FakeExecutor executor(16, 4, 60);
  Scenario run(executor);
  for (int32_t i = 0; i < 50; ++i)
    run.submit(request(1 + i * 7 % 23, 1 + i * 5 % 11, i));
  ASSERT_TRUE(run.engine.drain());
  for (int32_t i = 0; i < 50; ++i) {
    auto tokens = ids(run.result(i));
    ASSERT_EQ(static_cast<int32_t>(tokens.size()), 1 + i * 5 % 11);
    EXPECT_EQ(tokens.front(), 1 + i * 7 % 23);
  }
}

TEST(Engine, FirstComeFirstServed) {
  // Room for one at a time: a small one does not overtake.
  FakeExecutor executor(16, 4, 20);
  Scenario run(executor);
  run.submit(request(10, 8));
  run.submit(request(10, 8, 200));
  run.submit(request(1, 1, 300));
  ASSERT_TRUE(run.engine.drain());
  EXPECT_TRUE(std::ranges::is_sorted(run.order.begin(), run.order.begin() + 9));
}

TEST(Engine, CancelFreesSlotsAtOnce) {
  FakeExecutor executor(8, 4, 20);
  Scenario run(executor);
  size_t first = run.submit(request(4, 16));
  size_t second = run.submit(request(4, 16, 200));
  size_t third = run.submit(request(4, 16, 300));
  ASSERT_TRUE(run.engine.step());
  ASSERT_TRUE(run.engine.step());
  run.engine.cancel(run.numbers[first]);
  run.engine.cancel(run.numbers[third]); // still waits
  run.engine.cancel(12345);              // nobody
  ASSERT_TRUE(run.engine.step());
  EXPECT_EQ(run.result(first).finish, Finish::Cancelled);
  EXPECT_EQ(ids(run.result(first)), (std::vector<int32_t>{4, 5}));
  EXPECT_TRUE(run.result(third).tokens.empty());
  EXPECT_EQ(run.order.back(), second);
  ASSERT_TRUE(run.engine.drain());
  EXPECT_EQ(run.result(second).tokens.size(), 16u);
  EXPECT_EQ(run.engine.pending(), 0u);
}

TEST(Engine, CancelFromACallback) {
  FakeExecutor executor(8, 4, 100);
  Engine engine(executor, {});
  Engine::Id id = 0;
  size_t tokens = 0, ends = 0;
  Sink sink;
  sink.token = [&](const Choice &, std::string_view) {
    if (++tokens == 3)
      engine.cancel(id);
  };
  sink.done = [&](Expected<Result> result) {
    ++ends;
    EXPECT_EQ(result->finish, Finish::Cancelled);
  };
  id = *engine.submit(request(2, 50), sink);
  ASSERT_TRUE(engine.drain());
  EXPECT_EQ(tokens, 3u);
  EXPECT_EQ(ends, 1u);
}

TEST(Engine, RefusesWhatCannotBeComputed) {
  FakeExecutor executor(8, 4, 100, 50);
  Engine engine(executor, {});
  EXPECT_REFUSED(engine.check(request(0, 5)), "the prompt is empty");
  EXPECT_REFUSED(engine.check(request(5, 0)), "0 new tokens");
  EXPECT_REFUSED(engine.check(request(40, 11)),
                 "has 40 tokens and 11 new ones are asked for; the context "
                 "holds 50");
  EXPECT_REFUSED(engine.check(request(60, 1)), "holds 50");
  EXPECT_REFUSED(engine.check(request(4, INT64_MAX)), "holds 50");
  EXPECT_REFUSED(engine.check(request(5, 5, 496)), "token 500");
  EXPECT_REFUSED(engine.check(request(1, 5, -1)), "token -1");
  Request wrong = request(5, 5);
  wrong.sampling.topP = 0;
  EXPECT_REFUSED(engine.check(wrong), "top_p is 0");
  wrong = request(5, 5);
  wrong.stop = {"x"};
  EXPECT_REFUSED(engine.check(wrong), "need a tokenizer");
  EXPECT_TRUE(engine.check(request(40, 10)));
  EXPECT_EQ(engine.pending(), 0u);
}

TEST(Engine, StopsAtTokensAndTexts) {
  FakeExecutor executor(8, 4, 100);
  Scenario run(executor, withText());
  Request byToken = request(3, 50), byText = request(7, 50, 200),
          byLength = request(5, 2, 300);
  byToken.stopTokens = {99, 6};
  byText.stop = {"0 11 1"}; // across three tokens
  byLength.stop = {"7"};
  run.submit(byToken);
  run.submit(byText);
  run.submit(byLength);
  ASSERT_TRUE(run.engine.drain());
  EXPECT_EQ(run.result(0).text, "3 4 5 .");
  EXPECT_EQ(run.result(0).finish, Finish::StopToken);
  EXPECT_EQ(ids(run.result(0)).back(), 6);
  EXPECT_EQ(run.result(1).text, "7 8 9 1");
  EXPECT_EQ(run.result(1).finish, Finish::StopString);
  EXPECT_EQ(ids(run.result(1)).back(), 12);
  EXPECT_EQ(run.result(2).text, "5 6 .");
  EXPECT_EQ(run.result(2).finish, Finish::Length);
  for (size_t i = 0; i < 3; ++i)
    EXPECT_EQ(run.shown[i], run.result(i).text);
}

TEST(Engine, TheEndOfTheTextMayBeAStopString) {
  FakeExecutor executor(8, 4, 100);
  Scenario run(executor, withText());
  Request what = request(3, 2);
  what.stop = {" ."};
  run.submit(what);
  ASSERT_TRUE(run.engine.drain());
  EXPECT_EQ(run.result(0).text, "3 4");
  EXPECT_EQ(run.shown[0], "3 4");
  EXPECT_EQ(run.result(0).finish, Finish::StopString);
}

TEST(Engine, AConversationGoesOnWhereItWas) {
  FakeExecutor executor(64, 2, 200);
  Scenario run(executor);
  Request turn = request(30, 5);
  run.submit(turn);
  ASSERT_TRUE(run.engine.drain());
  int64_t before = executor.computed;
  for (int32_t id : ids(run.result(0)))
    turn.prompt.push_back(id);
  turn.prompt.push_back(7);
  run.submit(turn);
  ASSERT_TRUE(run.engine.drain());
  // The last token of an answer was never computed.
  EXPECT_EQ(run.result(1).reusedTokens, 34);
  EXPECT_EQ(executor.computed - before, 2 + 4);
}

TEST(Engine, DependentSequencesComeOneAfterAnother) {
  FakeExecutor executor(64, 4, 200);
  executor.independent = false;
  Scenario run(executor);
  for (int i = 0; i < 3; ++i)
    run.submit(request(10, 3));
  ASSERT_TRUE(run.engine.drain());
  EXPECT_TRUE(std::ranges::is_sorted(run.order));
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(run.result(i).reusedTokens, 0);
}

TEST(Engine, RightDraftsSaveSteps) {
  FakeExecutor executor(12, 4, 100);
  executor.mostDrafts = 2;
  Scenario run(executor);
  run.submit(request(3, 8));
  ASSERT_TRUE(run.engine.drain());
  EXPECT_EQ(ids(run.result(0)),
            (std::vector<int32_t>{3, 4, 5, 6, 7, 8, 9, 10}));
  // The last token can have no draft behind it.
  EXPECT_EQ(executor.sizes, (std::vector<int64_t>{3, 3, 3, 1}));
  EXPECT_EQ(run.result(0).drafts.tried, 4);
  EXPECT_EQ(run.result(0).drafts.accepted, 4);
  EngineStatistics sums = run.engine.statistics();
  EXPECT_EQ(sums.drafts.rate(), 1);
  EXPECT_EQ(sums.decodeTokens, 7);
  EXPECT_DOUBLE_EQ(sums.tokensPerStep(), 7.0 / 3);
}

TEST(Engine, WrongDraftsChangeNothing) {
  FakeExecutor executor(12, 4, 100);
  executor.mostDrafts = 2;
  executor.isRight = [](int64_t) { return false; };
  Scenario run(executor);
  run.submit(request(3, 5));
  ASSERT_TRUE(run.engine.drain());
  EXPECT_EQ(ids(run.result(0)), (std::vector<int32_t>{3, 4, 5, 6, 7}));
  EXPECT_EQ(executor.sizes, (std::vector<int64_t>{3, 3, 3, 2, 1}));
  EXPECT_EQ(run.result(0).drafts.tried, 5);
  EXPECT_EQ(run.result(0).drafts.accepted, 0);
  EXPECT_EQ(run.engine.statistics().tokensPerStep(), 1);
}

TEST(Engine, SequencesAreRightAboutTheirOwnDrafts) {
  FakeExecutor executor(24, 4, 90);
  executor.mostDrafts = 3;
  executor.isRight = [](int64_t place) { return place % 5 != 0; };
  Scenario run(executor);
  for (int32_t i = 0; i < 50; ++i)
    run.submit(request(1 + i * 7 % 23, 1 + i * 5 % 11, i));
  ASSERT_TRUE(run.engine.drain());
  DraftCounts drafts;
  for (int32_t i = 0; i < 50; ++i) {
    auto tokens = ids(run.result(i));
    ASSERT_EQ(static_cast<int32_t>(tokens.size()), 1 + i * 5 % 11);
    for (size_t k = 0; k < tokens.size(); ++k)
      EXPECT_EQ(tokens[k], 1 + i * 7 % 23 + static_cast<int32_t>(k));
    drafts.add(run.result(i).drafts);
  }
  EngineStatistics sums = run.engine.statistics();
  EXPECT_EQ(drafts.tried, sums.drafts.tried);
  EXPECT_EQ(drafts.accepted, sums.drafts.accepted);
  EXPECT_LT(0, drafts.accepted);
  EXPECT_LT(drafts.accepted, drafts.tried);
}

TEST(Engine, EndsLieWithinDrafts) {
  for (int64_t drafts : {0, 1, 2, 3, 8})
    for (int32_t end = 4; end < 10; ++end) {
      FakeExecutor executor(40, 4, 100);
      executor.mostDrafts = drafts;
      Scenario run(executor, withText());
      Request token = request(4, 20), text = request(4, 20, 300);
      token.stopTokens = {end};
      text.stop = {" " + std::to_string(end) + " "};
      run.submit(token);
      run.submit(text);
      ASSERT_TRUE(run.engine.drain());
      EXPECT_EQ(run.result(0).finish, Finish::StopToken);
      EXPECT_EQ(ids(run.result(0)).back(), end);
      EXPECT_EQ(run.result(0).tokens.size(), end - 3u);
      if (end == 4)
        continue; // " 4 " never comes
      EXPECT_EQ(run.result(1).finish, Finish::StopString);
      EXPECT_EQ(run.result(1).tokens.size(), end - 3u);
      EXPECT_EQ(run.shown[1], run.result(1).text);
      // What was guessed behind the end was tried for nothing, and is not told.
      EXPECT_EQ(run.result(0).drafts.tried, run.result(0).drafts.accepted);
      EXPECT_LT(run.result(0).drafts.tried, end - 3);
      EXPECT_EQ(executor.drafts() > 0, run.result(1).drafts.tried > 0);
    }
}

TEST(Engine, RejectedDraftsAreNotRemembered) {
  for (bool right : {true, false}) {
    FakeExecutor executor(40, 1, 100);
    executor.mostDrafts = 4;
    executor.isRight = [&](int64_t) { return right; };
    Scenario run(executor);
    run.submit(request(20, 9));
    ASSERT_TRUE(run.engine.drain());
    Request turn = request(20, 3);
    for (int32_t id : ids(run.result(0)))
      turn.prompt.push_back(id);
    turn.prompt.push_back(7);
    run.submit(turn);
    ASSERT_TRUE(run.engine.drain());
    // As without drafts: all but the last token of the answer.
    EXPECT_EQ(run.result(1).reusedTokens, 28);
    EXPECT_EQ(ids(run.result(1)), (std::vector<int32_t>{30, 31, 32}));
  }
}

TEST(Engine, CancelsAmongDrafts) {
  FakeExecutor executor(16, 2, 100);
  executor.mostDrafts = 3;
  Scenario run(executor);
  size_t first = run.submit(request(4, 30));
  size_t second = run.submit(request(4, 9, 200));
  ASSERT_TRUE(run.engine.step());
  ASSERT_TRUE(run.engine.step());
  run.engine.cancel(run.numbers[first]);
  ASSERT_TRUE(run.engine.drain());
  EXPECT_EQ(ids(run.result(first)), (std::vector<int32_t>{4, 5, 6, 7, 8}));
  EXPECT_EQ(run.result(second).tokens.size(), 9u);
}

TEST(Engine, AFailureIsToldToWhoRuns) {
  FakeExecutor executor(8, 1, 100);
  Scenario run(executor);
  run.submit(request(3, 4));
  run.submit(request(3, 4, 200));
  executor.failing = true;
  EXPECT_REFUSED(run.engine.step(), "the device has failed");
  ASSERT_TRUE(run.results[0]);
  EXPECT_REFUSED(*run.results[0], "the device has failed");
  executor.failing = false;
  ASSERT_TRUE(run.engine.drain());
  EXPECT_EQ(run.result(1).tokens.size(), 4u);
}

TEST(Engine, ManyThreadsSubmitAndCancel) {
  FakeExecutor executor(32, 8, 400);
  Engine engine(executor, {});
  std::jthread loop([&](std::stop_token stop) { engine.run(stop); });
  std::atomic<int> ends = 0;
  {
    std::vector<std::jthread> clients;
    for (int client = 0; client < 4; ++client)
      clients.emplace_back([&, client] {
        for (int i = 0; i < 50; ++i) {
          Sink sink;
          sink.done = [&](Expected<Result>) { ++ends; };
          auto id =
              engine.submit(request(1 + i % 9, 1 + i % 13, client * 50), sink);
          ASSERT_TRUE(id);
          if (i % 5 == 0)
            engine.cancel(*id);
        }
      });
  }
  // Whatever is left when it stops is told so.
  while (engine.pending() > 10)
    std::this_thread::yield();
  loop.request_stop();
  loop.join();
  EXPECT_EQ(ends, 200);
  EXPECT_EQ(engine.pending(), 0u);
}

namespace {

/// A prompt of 6 tokens, of which 1 to 4 are a picture's.
Request seeingRequest(const char *digest) {
  Request result = request(6, 3);
  auto picture = std::make_shared<vision::PreparedPicture>();
  picture->digest = digest;
  result.pictures.list = {{std::move(picture), 1, 4}};
  result.pictures.positions = {0, 0, 0, 1, 1, 1, 1, 1, 2,
                               1, 2, 1, 1, 2, 2, 3, 3, 3};
  result.pictures.next = 4;
  return result;
}

} // namespace

TEST(Engine, PicturesHavePlacesAndGoOnceTheyAreSeen) {
  FakeExecutor executor(4, 4, 100);
  executor.seeing = true;
  Scenario run(executor);
  Request what = seeingRequest("a");
  std::vector<int32_t> expected = what.pictures.positions;
  std::weak_ptr<const vision::PreparedPicture> picture =
      what.pictures.list[0].picture;
  run.submit(std::move(what));
  ASSERT_TRUE(run.engine.step());
  EXPECT_FALSE(picture.expired());
  ASSERT_TRUE(run.engine.step());
  EXPECT_TRUE(picture.expired());
  ASSERT_TRUE(run.engine.drain());
  EXPECT_EQ(executor.pictures, 2); // of the two steps of the prompt
  // Text goes on from `next`, whatever the number of tokens.
  for (int32_t position : {4, 5})
    expected.insert(expected.end(), 3, position);
  EXPECT_EQ(executor.positions, expected);
}

TEST(Engine, AnotherPictureIsComputedAnew) {
  FakeExecutor executor(8, 1, 100);
  executor.seeing = true;
  Scenario run(executor);
  for (const char *digest : {"a", "a", "b", "a"})
    run.submit(seeingRequest(digest));
  ASSERT_TRUE(run.engine.drain());
  EXPECT_EQ(run.result(1).reusedTokens, 5);
  EXPECT_EQ(run.result(2).reusedTokens, 0);
  EXPECT_EQ(ids(run.result(2)), ids(run.result(0)));
}

TEST(Engine, PicturesAreForModelsThatSee) {
  FakeExecutor executor(8, 1, 100);
  Engine engine(executor, {});
  EXPECT_REFUSED(engine.check(seeingRequest("a")), "sees no pictures");
  executor.seeing = true;
  EXPECT_TRUE(engine.check(seeingRequest("a")));
  Request wrong = seeingRequest("a");
  wrong.pictures.positions.pop_back();
  EXPECT_REFUSED(engine.check(wrong), "three numbers");
}
