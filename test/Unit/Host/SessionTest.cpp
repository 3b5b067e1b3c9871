#include "runtime/host/Session.h"
#include "test/Conformance/ProgramMaker.h"
#include "test/Unit/TempFolder.h"

#include <cstring>

using namespace mbc;
using namespace mbc::test;

namespace {

/// A table of 9 rows of 2 looked up by "tokens", some of the rows of which are
/// what comes out.
struct Lookup {
  Lookup() : make(4) {
    make.program.vocab = 9;
    program::EmbedT embed;
    embed.ids = make.input("tokens", plan::DType::I32, {4});
    embed.table = make.weight("table", plan::DType::F32, 9, 2);
    embed.out = make.buffer(plan::DType::F32, {4, 2});
    make.add(embed);
    program::TakeT take;
    take.x = embed.out;
    take.rows = make.input("outputs", plan::DType::I32, {2});
    take.out = make.output({2, 2});
    make.add(take);
    auto place = std::make_unique<program::LocationT>();
    place->file = "model.mbc";
    place->line = 7;
    place->column = 3;
    make.program.locations.push_back(std::move(place));
    make.function->body->commands[0]->location = 1;
  }

  /// `tokens` as one sequence after `cached` ones.
  Status run(std::vector<int32_t> tokens, std::vector<int32_t> outputs = {0},
             int64_t cached = 0) {
    std::vector<Sequence> sequences{
        {0, static_cast<int64_t>(tokens.size()), 0, cached}};
    return run(tokens, outputs, sequences);
  }
  Status run(std::vector<int32_t> tokens, std::vector<int32_t> outputs,
             std::vector<Sequence> sequences) {
    MBC_ASSIGN(auto session,
               host::Session::create(make.program, {.threads = 1, .slots = 6}));
    for (int i = 0; i < 18; ++i)
      reinterpret_cast<float *>(session->weight(0, 0))[i] =
          static_cast<float>(i);
    Call call;
    call.rows = static_cast<int64_t>(tokens.size());
    call.sequences = std::move(sequences);
    call.inputs = {{"tokens", tokens}, {"outputs", outputs}};
    for (const char *name : dropped)
      call.inputs.erase(name);
    out.assign(2 * outputs.size() + extra, -1);
    call.outputs["out"] = out;
    return session->run(*make.function, call);
  }

  ProgramMaker make;
  std::vector<float> out;
  std::vector<const char *> dropped;
  size_t extra = 0;
};

} // namespace

TEST(Session, GivesTheRowsThatAreAskedFor) {
  Lookup lookup;
  Status status = lookup.run({8, 0, 3}, {2, 0});
  ASSERT_TRUE(status) << messageOf(status);
  EXPECT_EQ(lookup.out, (std::vector<float>{6, 7, 16, 17}));
}

TEST(Session, GivesOneLayerOfATapAlone) {
  // Each layer takes its token's row of its own table, which the tap shows.
  ProgramMaker make(3);
  make.program.vocab = 2;
  program::RepeatT repeat;
  repeat.stack = "decoder";
  repeat.runs = {{0, 0, 3}};
  repeat.bodies.push_back(std::make_unique<program::BodyT>());
  program::EmbedT embed;
  embed.ids = make.input("tokens", plan::DType::I32, {3});
  embed.table = make.weight("table", plan::DType::F32, 2, 2, {0, 1, 2});
  embed.out = make.buffer(plan::DType::F32, {3, 2});
  make.add(embed, repeat.bodies[0].get());
  program::TapT tap;
  tap.from = embed.out;
  tap.to = make.output({3, 3, 2});
  make.add(tap, repeat.bodies[0].get());
  make.add(std::move(repeat));
  auto session =
      host::Session::create(make.program, {.threads = 1, .slots = 3});
  ASSERT_TRUE(session);
  for (int layer = 0; layer < 3; ++layer)
    for (int i = 0; i < 4; ++i)
      reinterpret_cast<float *>((*session)->weight(0, layer))[i] =
          static_cast<float>(10 * layer + i);
  std::vector<int32_t> tokens{1, 0, 1};
  std::vector<float> all(18, -1), one(6, -1);
  Call call;
  call.rows = 3;
  call.sequences = {{0, 3, 0, 0}};
  call.inputs = {{"tokens", tokens}};
  call.outputs["out"] = all;
  ASSERT_TRUE((*session)->run(*make.function, call));
  EXPECT_EQ(all[2 * 1], 12); // token 0's row 1 of layer 1
  call.outputs["out"] = one;
  call.oneLayer["out"] = 1;
  ASSERT_TRUE((*session)->run(*make.function, call));
  EXPECT_EQ(one, (std::vector<float>{12, 13, 10, 11, 12, 13}));
  call.oneLayer["out"] = 3;
  EXPECT_REFUSED((*session)->run(*make.function, call),
                 "output 'out' of 'f' has no layer 3");
  call.oneLayer["out"] = 2;
  call.outputs["out"] = all;
  EXPECT_REFUSED((*session)->run(*make.function, call),
                 "output 'out' of 'f' needs room for 6 numbers");
}

TEST(Session, GivesIntegersAsNumbers) {
  ProgramMaker make(3);
  make.program.vocab = 200;
  program::TapT tap;
  tap.from = make.input("tokens", plan::DType::I32, {3});
  tap.to = make.output({3, 1});
  make.add(tap);
  auto session =
      host::Session::create(make.program, {.threads = 1, .slots = 3});
  ASSERT_TRUE(session);
  std::vector<int32_t> tokens{101, 0, 199};
  std::vector<float> seen(3, -1);
  Call call;
  call.rows = 3;
  call.sequences = {{0, 3, 0, 0}};
  call.inputs = {{"tokens", tokens}};
  call.outputs["out"] = seen;
  Status status = (*session)->run(*make.function, call);
  ASSERT_TRUE(status) << messageOf(status);
  EXPECT_EQ(seen, (std::vector<float>{101, 0, 199}));
}

TEST(Session, RefusesCallsThatDoNotFit) {
  Lookup lookup;
  EXPECT_REFUSED(lookup.run({}), "'f' takes 1 to 4 rows, found 0");
  EXPECT_REFUSED(lookup.run({1, 1, 1, 1, 1}), "'f' takes 1 to 4 rows, found 5");
  EXPECT_REFUSED(lookup.run({9}), "token 9 is outside of the vocabulary of 9");
  EXPECT_REFUSED(lookup.run({-1}),
                 "token -1 is outside of the vocabulary of 9");
  EXPECT_REFUSED(lookup.run({1, 2}, {2}), "output row 2 of 2");
  EXPECT_REFUSED(lookup.run({1, 2}, {-1}), "output row -1 of 2");
  EXPECT_REFUSED(lookup.run({1, 2}, {0, 0, 0}),
                 "input 'outputs' of 'f' has 3 numbers, expected at most 2");
  EXPECT_REFUSED(lookup.run({1, 2}, {0}, 5),
                 "a sequence of 7 tokens does not fit the 6 that the state "
                 "holds");
  EXPECT_REFUSED(lookup.run({1, 2}, {0}, {{0, 1, 0, 0}}),
                 "the sequences of a call to 'f' have 1 tokens, expected 2");
  EXPECT_REFUSED(lookup.run({1, 2}, {0}, {{0, 1, 0, 0}, {0, 1, 1, 0}}),
                 "the sequences of a call to 'f' have a gap");
  EXPECT_REFUSED(lookup.run({1, 2}, {0}, {{0, 2, -1, 0}}), "does not fit");
  lookup.extra = 1;
  EXPECT_REFUSED(lookup.run({1}),
                 "output 'out' of 'f' needs room for 2 numbers");
  lookup.extra = 0;
  lookup.dropped = {"tokens"};
  EXPECT_REFUSED(lookup.run({1}), "'f' needs the input 'tokens'");
}

/// What a program says of its vocabulary does not decide what memory is read;
/// errors of a command say where it was declared.
TEST(Session, RefusesIdsBehindTheTable) {
  Lookup lookup;
  lookup.make.program.vocab = 1000;
  EXPECT_REFUSED(lookup.run({9}),
                 "model.mbc:7:3: id 9 is outside of a table of 9 rows");
  lookup.make.function->inputs[1]->name = "list";
  EXPECT_FALSE(lookup.run({1}));
}

namespace {

/// Parts of 4 rows, two of which become one, and features in their places.
struct Seeing {
  Seeing() : make(4) {
    program::CopyT copy;
    copy.from = make.input("pixels", plan::DType::F32, {4, 1, 1, 2});
    copy.to = make.buffer(plan::DType::F32, {4, 1, 1, 2});
    make.add(copy);
    program::AttentionT attention;
    attention.q = attention.out = copy.to;
    attention.k = attention.v = make.window(copy.to, 0, {4, 1, 2}, {2, 2, 1});
    attention.ends =
        static_cast<int32_t>(make.input("ends", plan::DType::I32, {4}));
    attention.scale = 1;
    make.add(attention);
    program::PlaceT place;
    place.features = make.input("features", plan::DType::F32, {4, 2});
    place.places = make.input("place", plan::DType::I32, {4});
    place.out = make.window(copy.to, 0, {4, 2}, {2, 1});
    make.add(place);
    copy.from = make.window(copy.to, 0, {2, 4}, {4, 1});
    copy.to = make.output({2, 4});
    make.add(copy);
  }

  Status run(std::vector<int32_t> ends, std::vector<int32_t> places,
             size_t features, size_t pixels) {
    MBC_ASSIGN(auto session, host::Session::create(make.program, {1, 0}));
    std::vector<float> rows(pixels * 2, 1), given(features * 2, 7);
    Call call;
    call.rows = static_cast<int64_t>(ends.size());
    call.inputs["ends"] = ends;
    call.inputs["place"] = places;
    call.floats["pixels"] = rows;
    call.floats["features"] = given;
    out.assign(ends.size() * 2, 0);
    call.outputs["out"] = out;
    return session->run(*make.function, call);
  }

  ProgramMaker make;
  std::vector<float> out;
};

} // namespace

TEST(Session, PlacesFeaturesInRowsOfNoSequence) {
  Seeing seeing;
  Status status = seeing.run({1, 2}, {-1, 0}, 1, 2);
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_EQ(seeing.out, (std::vector<float>{1, 1, 7, 7}));
}

TEST(Session, RefusesPartsAndPlacesThatAreNone) {
  Seeing s;
  EXPECT_REFUSED(s.run({2, 2, 3}, {-1, -1, -1}, 0, 3),
                 "'f' takes rows in groups of 2, found 3");
  for (std::vector<int32_t> ends :
       {std::vector<int32_t>{3, 3}, {0, 2}, {1, 1}, {2, 1}, {-1, -1}})
    EXPECT_FALSE(s.run(ends, {-1, -1}, 0, 2)) << ends[0] << " " << ends[1];
  EXPECT_REFUSED(s.run({2, 1}, {-1, -1}, 0, 2),
                 "the part of row 0 ends at 2 of 2 rows");
  EXPECT_REFUSED(s.run({1, 2}, {-1, 1}, 1, 2), "row 1 of 1 features is placed");
  EXPECT_REFUSED(s.run({1, 2}, {-2, -1}, 1, 2),
                 "row -2 of 1 features is placed");
  EXPECT_REFUSED(s.run({1, 2}, {-1, -1}, 5, 2),
                 "input 'features' of 'f' has 10 numbers, expected at most 8");
  EXPECT_REFUSED(s.run({1, 2}, {-1, -1}, 0, 3),
                 "input 'pixels' of 'f' has 6 numbers, expected 4");
  EXPECT_REFUSED(s.run({1, 2}, {-1}, 0, 2),
                 "input 'place' of 'f' has 1 numbers, expected 2");
}
