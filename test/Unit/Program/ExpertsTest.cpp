//===- ExpertsTest.cpp - Views of the commands of experts and latents -----===//

#include "test/Conformance/ProgramMaker.h"

#include <functional>
#include <gtest/gtest.h>

using namespace mbc;
using namespace mbc::test;
using plan::DType;

namespace {

constexpr uint32_t rows = 4, experts = 6, topk = 2, hidden = 8, width = 10;

/// Every command of routed experts, and attention over latents.
struct Mixture {
  ProgramMaker make{rows};
  std::vector<program::BodyT *> bodies;

  Mixture() {
    ProgramMaker &m = make;
    uint32_t x = m.buffer(DType::BF16, {rows, hidden});
    program::RouteT route;
    route.logits = m.input("logits", DType::F32, {rows, experts});
    route.correction =
        static_cast<int32_t>(m.weight("c", DType::F32, 0, experts));
    route.weights = m.buffer(DType::F32, {rows, topk});
    route.ids = m.buffer(DType::I32, {rows, topk});
    route.score = program::Score::Sigmoid;
    route.method = program::Method::NoauxTc;
    route.groups = 3;
    route.group_topk = 2;
    m.add(route);
    program::GroupT group;
    group.ids = route.ids;
    group.place = m.buffer(DType::I32, {rows, topk});
    group.offsets = m.buffer(DType::I32, {experts + 1});
    m.add(group);
    program::ScatterT scatter;
    scatter.x = x;
    scatter.place = group.place;
    scatter.out = m.buffer(DType::BF16, {rows * topk, hidden});
    m.add(scatter);
    program::GroupedGemmT gemm;
    gemm.x = scatter.out;
    gemm.weight = m.experts("w", DType::BF16, experts, width, hidden);
    gemm.offsets = group.offsets;
    gemm.out = m.buffer(DType::BF16, {rows * topk, width});
    m.add(gemm);
    program::CombineT combine;
    combine.y = gemm.out;
    combine.weights = route.weights;
    combine.place = group.place;
    combine.out = m.output({rows, width});
    m.add(combine);
    program::LatentAttentionT attention;
    attention.q_nope = m.buffer(DType::BF16, {rows, 3, 5});
    attention.q_rope = m.buffer(DType::BF16, {rows, 3, 2});
    attention.latent = m.buffer(DType::BF16, {rows, 7});
    attention.k_rope = m.buffer(DType::BF16, {rows, 2});
    attention.up = m.experts("up", DType::BF16, 3, 9, 7);
    attention.out = m.buffer(DType::BF16, {rows, 3, 4});
    attention.state = m.state(DType::BF16, {7, 2}, {});
    m.add(attention);
  }

  program::OpUnion &op(size_t i) {
    return make.function->body->commands[i]->op;
  }
  Status parse() const {
    auto program = parseProgram(serializeProgram(make.program), "x.mbcp");
    return program ? Status() : Status(Failure(program.error()));
  }
};

/// Numbers of the views of a command, to be changed.
std::vector<uint32_t *> viewsOf(program::OpUnion &op) {
  if (auto *route = op.AsRoute())
    return {&route->logits, &route->weights, &route->ids};
  if (auto *group = op.AsGroup())
    return {&group->ids, &group->place, &group->offsets};
  if (auto *scatter = op.AsScatter())
    return {&scatter->x, &scatter->place, &scatter->out};
  if (auto *gemm = op.AsGroupedGemm())
    return {&gemm->x, &gemm->weight, &gemm->offsets, &gemm->out};
  if (auto *combine = op.AsCombine())
    return {&combine->y, &combine->weights, &combine->place, &combine->out};
  auto *attention = op.AsLatentAttention();
  return {&attention->q_nope, &attention->q_rope, &attention->latent,
          &attention->k_rope, &attention->up,     &attention->out};
}

} // namespace

TEST(MixtureProgram, IsAccepted) {
  Status status = Mixture().parse();
  EXPECT_TRUE(status) << status.error().message;
}

// P07, P08
TEST(MixtureProgram, EveryViewMustFit) {
  Mixture whole;
  size_t views = whole.make.function->views.size();
  int refused = 0;
  for (size_t i = 0; i < whole.make.function->body->commands.size(); ++i)
    for (size_t j = 0; j < viewsOf(whole.op(i)).size(); ++j)
      for (uint32_t other = 0; other <= views; ++other) {
        Mixture changed;
        uint32_t &number = *viewsOf(changed.op(i))[j];
        if (other < views) {
          const program::ViewT &a = *changed.make.function->views[number],
                               &b = *changed.make.function->views[other];
          // Of another type of float it computes as well.
          if (a.dims == b.dims)
            continue;
        }
        number = other;
        ++refused;
        EXPECT_FALSE(changed.parse())
            << "command " << i << ", view " << j << " is view " << other;
      }
  EXPECT_GT(refused, 200);
}

// P08
TEST(MixtureProgram, ChoicesMustBePossible) {
  auto refuses = [](const std::function<void(program::RouteT &)> &change) {
    Mixture mixture;
    change(*mixture.op(0).AsRoute());
    return !mixture.parse();
  };
  EXPECT_TRUE(refuses([](auto &route) { route.groups = 0; }));
  EXPECT_TRUE(refuses([](auto &route) { route.groups = 4; }));
  EXPECT_TRUE(refuses([](auto &route) { route.group_topk = 0; }));
  EXPECT_TRUE(refuses([](auto &route) { route.group_topk = 4; }));
  // A group of one holds no two experts.
  EXPECT_TRUE(refuses([](auto &route) {
    route.groups = 6;
    route.group_topk = 1;
  }));
  EXPECT_TRUE(refuses(
      [](auto &route) { route.score = static_cast<program::Score>(9); }));
  EXPECT_TRUE(refuses(
      [](auto &route) { route.method = static_cast<program::Method>(9); }));
  EXPECT_TRUE(refuses([](auto &route) { route.correction = 0; }));
}

// P07, P08
TEST(MixtureProgram, StatesMustFit) {
  Mixture other;
  other.op(5).AsLatentAttention()->state = 1;
  EXPECT_FALSE(other.parse());
  Mixture narrow;
  narrow.make.program.states[0]->widths = {7, 3};
  EXPECT_FALSE(narrow.parse());
  Mixture layered;
  layered.make.program.states[0]->layers = {0};
  EXPECT_FALSE(layered.parse());
}

// P08
TEST(MixtureProgram, TypesMustFit) {
  for (size_t i = 0; i < 6; ++i) {
    Mixture whole;
    for (size_t j = 0; j < viewsOf(whole.op(i)).size(); ++j) {
      Mixture changed;
      program::ViewT &view =
          *changed.make.function->views[*viewsOf(changed.op(i))[j]];
      if (view.space != program::Space::Arena)
        continue;
      // Of one size, so that the view still lies in the arena.
      if (view.dtype == DType::BF16)
        continue;
      view.dtype = view.dtype == DType::I32 ? DType::F32 : DType::I32;
      EXPECT_FALSE(changed.parse()) << "command " << i << ", view " << j;
    }
  }
}
