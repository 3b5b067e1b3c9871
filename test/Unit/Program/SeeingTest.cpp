//===- SeeingTest.cpp - Programs that see ---------------------------------===//

#include "test/Conformance/ProgramMaker.h"

#include <functional>
#include <gtest/gtest.h>

using namespace mbc;
using namespace mbc::test;
using plan::DType;

namespace {

constexpr uint32_t rows = 6;

/// Attention over parts of rows, and features in some of their places.
struct Seeing {
  ProgramMaker make{rows};

  Seeing() {
    program::AttentionT attention;
    attention.q = make.buffer(DType::F32, {rows, 2, 1, 4});
    attention.k = make.buffer(DType::F32, {rows, 2, 4});
    attention.v = make.buffer(DType::F32, {rows, 2, 3});
    attention.out = make.output({rows, 2, 1, 3});
    attention.ends =
        static_cast<int32_t>(make.input("ends", DType::I32, {rows}));
    make.add(attention);
    program::PlaceT place;
    place.features = make.input("features", DType::F32, {3, 8});
    place.places = make.input("place", DType::I32, {rows});
    place.out = make.buffer(DType::BF16, {rows, 8});
    make.add(place);
    auto vision = std::make_unique<program::VisionT>();
    vision->channels = vision->frames = vision->patch = vision->fold =
        vision->window = 2;
    make.program.vision = std::move(vision);
  }

  program::AttentionT &attention() {
    return *make.function->body->commands[0]->op.AsAttention();
  }
  program::PlaceT &place() {
    return *make.function->body->commands[1]->op.AsPlace();
  }
  bool parses() const {
    return bool(parseProgram(serializeProgram(make.program), "x.mbcp"));
  }
};

bool refuses(const std::function<void(Seeing &)> &change) {
  Seeing seeing;
  change(seeing);
  return !seeing.parses();
}

} // namespace

TEST(SeeingProgram, IsAccepted) { EXPECT_TRUE(Seeing().parses()); }

// P07, P08
TEST(SeeingProgram, PartsMustBeOfTheRows) {
  EXPECT_TRUE(refuses([](Seeing &s) { s.attention().ends = 99; }));
  EXPECT_TRUE(refuses([](Seeing &s) {
    s.attention().ends = static_cast<int32_t>(s.attention().k);
  }));
  EXPECT_TRUE(refuses([](Seeing &s) {
    s.attention().ends =
        static_cast<int32_t>(s.make.input("few", DType::I32, {rows - 1}));
  }));
  // A state has sequences, and they their own.
  EXPECT_TRUE(refuses([](Seeing &s) {
    s.attention().state =
        static_cast<int32_t>(s.make.state(DType::F32, {8, 6}, {}));
  }));
}

// P07, P08
TEST(SeeingProgram, FeaturesMustFitTheirPlaces) {
  EXPECT_TRUE(refuses([](Seeing &s) { s.place().features = 99; }));
  EXPECT_TRUE(refuses([](Seeing &s) {
    s.place().features = s.make.input("wide", DType::F32, {3, 9});
  }));
  EXPECT_TRUE(refuses([](Seeing &s) {
    s.place().features = s.make.input("ids", DType::I32, {3, 8});
  }));
  EXPECT_TRUE(refuses([](Seeing &s) {
    s.place().features = s.make.weight("w", DType::F32, 3, 8);
  }));
  EXPECT_TRUE(refuses([](Seeing &s) {
    s.place().places = s.make.input("few", DType::I32, {rows - 1});
  }));
  EXPECT_TRUE(refuses([](Seeing &s) {
    s.place().places = s.make.input("floats", DType::F32, {rows});
  }));
  EXPECT_TRUE(refuses(
      [](Seeing &s) { s.place().out = s.make.buffer(DType::I32, {rows, 8}); }));
}

// P14
TEST(SeeingProgram, PicturesAreCutIntoSomething) {
  for (auto size : {&program::VisionT::channels, &program::VisionT::frames,
                    &program::VisionT::patch, &program::VisionT::fold,
                    &program::VisionT::window})
    for (uint32_t wrong : {0u, 1u << 17})
      EXPECT_TRUE(
          refuses([&](Seeing &s) { (*s.make.program.vision).*size = wrong; }));
}
