//===- Experts.cpp - Choosing experts, and going through them -------------===//

#include "test/Conformance/Case.h"
#include "test/Conformance/ProgramMaker.h"
#include "test/Conformance/Scaled.h"
#include "test/Conformance/Values.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <numeric>
#include <random>

namespace mbc::test {

using plan::DType;

namespace {

/// Experts of a row and their weights.
using Choice = std::vector<std::pair<uint32_t, double>>;

/// As the papers say it, by sorting; equal values stay in order.
Choice choose(const program::RouteT &how, const float *logits, uint32_t experts,
              const std::vector<float> &correction, uint32_t topk) {
  std::vector<double> scores(logits, logits + experts);
  if (how.score == program::Score::Sigmoid) {
    for (double &score : scores)
      score = 1 / (1 + std::exp(-score));
  } else {
    double sum = 0;
    for (double &score : scores)
      sum += score = std::exp(score);
    for (double &score : scores)
      score /= sum;
  }
  std::vector<double> wish(scores);
  for (uint32_t i = 0; i < correction.size(); ++i)
    wish[i] += correction[i];
  auto ordered = [](std::vector<double> values) {
    std::vector<uint32_t> order(values.size());
    std::iota(order.begin(), order.end(), 0);
    std::ranges::sort(order, [&](uint32_t a, uint32_t b) {
      return values[a] != values[b] ? values[a] > values[b] : a < b;
    });
    return order;
  };
  uint32_t size = experts / how.groups;
  std::vector<bool> open(experts, how.method == program::Method::Greedy);
  if (how.method != program::Method::Greedy) {
    std::vector<double> merits;
    for (uint32_t g = 0; g < how.groups; ++g) {
      std::vector<double> members(wish.begin() + g * size,
                                  wish.begin() + (g + 1) * size);
      std::ranges::sort(members, std::greater<>());
      bool two = how.method == program::Method::NoauxTc && size > 1;
      merits.push_back(members[0] + (two ? members[1] : 0));
    }
    std::vector<uint32_t> groups = ordered(merits);
    for (uint32_t g = 0; g < how.group_topk; ++g)
      std::fill_n(open.begin() + groups[g] * size, size, true);
  }
  Choice choice;
  double total = 0;
  for (uint32_t expert : ordered(wish))
    if (open[expert] && choice.size() < topk) {
      choice.emplace_back(expert, scores[expert]);
      total += scores[expert];
    }
  for (auto &[expert, weight] : choice)
    weight *= how.scale / (how.renorm ? total : 1);
  return choice;
}

struct Routing {
  const char *name;
  program::Score score;
  program::Method method;
  bool renorm, corrected;
  uint32_t experts, topk, groups, group_topk;
  double scale;
};

/// The command of a routing over logits and, if it is corrected, a weight; and
/// what it says of some rows.
struct Router {
  program::RouteT command;
  std::vector<float> logits, correction;
  std::vector<Choice> choices;

  Router(const Routing &of, ProgramMaker &make, uint32_t rows,
         uint32_t capacity) {
    command.logits = make.input("logits", DType::F32, {capacity, of.experts});
    if (of.corrected)
      command.correction = static_cast<int32_t>(
          make.weight("correction", DType::F32, 0, of.experts));
    command.score = of.score;
    command.method = of.method;
    command.renorm = of.renorm;
    command.groups = of.groups;
    command.group_topk = of.group_topk;
    command.scale = of.scale;
    command.weights = make.buffer(DType::F32, {capacity, of.topk});
    command.ids = make.buffer(DType::I32, {capacity, of.topk});
    // Coarse numbers: many are equal, the others well apart.
    logits = numbers(size_t(rows) * of.experts, DType::F32, 5, 24);
    for (float &logit : logits)
      logit = std::round(logit) / 8;
    if (of.corrected) {
      correction = numbers(of.experts, DType::F32, 6, 8);
      for (float &value : correction)
        value = std::round(value) / 16;
    }
    for (uint32_t row = 0; row < rows; ++row)
      choices.push_back(choose(command, logits.data() + row * of.experts,
                               of.experts, correction, of.topk));
  }
};

/// The weights that a router gives.
Case routeCase(const Routing &of) {
  constexpr uint32_t rows = 37, capacity = 40;
  ProgramMaker make(capacity);
  Router router(of, make, rows, capacity);
  make.add(router.command);
  program::CopyT copy;
  copy.from = router.command.weights;
  copy.to = make.output({capacity, of.topk});
  make.add(copy);
  Case test;
  test.name = fmt::format("route/{}", of.name);
  if (of.corrected)
    test.weights = {router.correction};
  test.calls = {{rows, {{0, rows, 0, 0}}, {{"logits", bitsOf(router.logits)}}}};
  for (const Choice &choice : router.choices)
    for (auto [expert, weight] : choice) {
      test.expected.push_back(weight);
      // An exponential, a sum over experts, one over the chosen, and quotients.
      test.bound.push_back((of.experts + of.topk + 16) * unit * weight);
    }
  test.slots = capacity;
  test.program = std::make_shared<program::ProgramT>(std::move(make.program));
  return test;
}

/// The input "x" to its experts, through the weight "w", and back in one sum,
/// which is the output: `ids` and `weights` are [capacity, topk].
void addExperts(ProgramMaker &make, uint32_t ids, uint32_t weights,
                uint32_t capacity, uint32_t topk, uint32_t experts, uint32_t n,
                uint32_t k, DType type, DType outType) {
  uint32_t routed = capacity * topk;
  program::CopyT copy;
  copy.from = make.input("x", DType::F32, {capacity, k});
  copy.to = make.buffer(type, {capacity, k});
  make.add(copy);
  program::GroupT group;
  group.ids = ids;
  group.place = make.buffer(DType::I32, {capacity, topk});
  group.offsets = make.buffer(DType::I32, {experts + 1});
  make.add(group);
  program::ScatterT scatter;
  scatter.x = copy.to;
  scatter.place = group.place;
  scatter.out = make.buffer(type, {routed, k});
  make.add(scatter);
  program::GroupedGemmT gemm;
  gemm.x = scatter.out;
  gemm.weight = make.experts("w", type, experts, n, k);
  gemm.offsets = group.offsets;
  gemm.out = make.buffer(outType, {routed, n});
  make.add(gemm);
  program::CombineT combine;
  combine.y = gemm.out;
  combine.weights = weights;
  combine.place = group.place;
  combine.out = make.output({capacity, n});
  make.add(combine);
}

/// Rows to their experts, through a product, and back in one sum.
Case mixtureCase(const Routing &of, uint32_t rows, uint32_t capacity,
                 uint32_t n, uint32_t k, DType type) {
  ProgramMaker make(capacity);
  Router router(of, make, rows, capacity);
  make.add(router.command);
  addExperts(make, router.command.ids, router.command.weights, capacity,
             of.topk, of.experts, n, k, type, DType::F32);

  Case test;
  test.name = fmt::format("experts/{}/{}of{}x{}x{}/{}", of.name, rows, capacity,
                          n, k, nameOf(type));
  std::vector<float> xs = numbers(size_t(rows) * k, type, 1),
                     ws = numbers(size_t(of.experts) * n * k, type, 2);
  if (of.corrected)
    test.weights.push_back(router.correction);
  test.weights.push_back(ws);
  test.calls = {{rows,
                 {{0, rows, 0, 0}},
                 {{"logits", bitsOf(router.logits)}, {"x", bitsOf(xs)}}}};
  for (uint32_t row = 0; row < rows; ++row)
    for (uint32_t j = 0; j < n; ++j) {
      double sum = 0, size = 0;
      for (auto [expert, weight] : router.choices[row])
        for (uint32_t t = 0; t < k; ++t) {
          double term =
              weight * xs[row * k + t] * ws[(size_t(expert) * n + j) * k + t];
          sum += term;
          size += std::abs(term);
        }
      test.expected.push_back(sum);
      test.bound.push_back((k + of.experts + 2 * of.topk + 16) * unit * size);
    }
  test.slots = capacity;
  test.program = std::make_shared<program::ProgramT>(std::move(make.program));
  return test;
}

/// Rows to given experts, one each, through a product, and back; `block`: with
/// FP8 weights, that wide and high.
Case groupedCase(const char *name, const std::vector<int32_t> &ids,
                 uint32_t experts, uint32_t n, uint32_t k, DType type,
                 DType outType, uint32_t block = 0) {
  auto rows = static_cast<uint32_t>(ids.size()), capacity = rows + 7;
  ProgramMaker make(capacity);
  uint32_t chosen = make.input("ids", DType::I32, {capacity, 1}),
           weights = make.input("weights", DType::F32, {capacity, 1});
  addExperts(make, chosen, weights, capacity, 1, experts, n, k, type, outType);

  Case test;
  test.name = fmt::format("grouped/{}/{}x{}x{}/{}to{}", name, rows, n, k,
                          nameOf(type), nameOf(outType));
  std::vector<float> xs = numbers(size_t(rows) * k, type, 1),
                     ws = numbers(size_t(experts) * n * k, type, 2);
  test.weights = {ws};
  test.calls = {{rows,
                 {{0, rows, 0, 0}},
                 {{"x", bitsOf(xs)},
                  {"ids", ids},
                  {"weights", bitsOf(std::vector<float>(rows, 1))}}}};
  test.program = std::make_shared<program::ProgramT>(std::move(make.program));
  std::vector<double> values(ws.begin(), ws.end());
  if (block) {
    values = makeScaled(test, block, block);
    test.name += "/fp8";
  }
  double stored = outType == DType::BF16  ? 0x1p-8
                  : outType == DType::F16 ? 0x1p-11
                                          : unit;
  for (uint32_t row = 0; row < rows; ++row)
    for (uint32_t j = 0; j < n; ++j) {
      double sum = 0, size = 0;
      for (uint32_t t = 0; t < k; ++t) {
        double term =
            xs[row * k + t] * values[(size_t(ids[row]) * n + j) * k + t];
        sum += term;
        size += std::abs(term);
      }
      test.expected.push_back(sum);
      // Of FP8 a product with a scale for each of k at most.
      test.bound.push_back((block ? 2 * k + 1 : k + 1) * unit * size +
                           1.01 * stored * std::abs(sum));
      if (block)
        test.rounding.push_back(roundingOf(type, size));
    }
  test.slots = capacity;
  return test;
}

} // namespace

std::vector<Case> expertCases() {
  using program::Method;
  using program::Score;
  const Routing routings[] = {
      {"softmax", Score::Softmax, Method::Greedy, false, false, 16, 3, 1, 1, 1},
      {"renorm", Score::Softmax, Method::Greedy, true, false, 13, 4, 1, 1, 1},
      {"scaled", Score::Softmax, Method::Greedy, false, false, 8, 2, 1, 1, 16},
      {"all", Score::Softmax, Method::Greedy, true, false, 5, 5, 1, 1, 1},
      {"one", Score::Softmax, Method::Greedy, true, false, 1, 1, 1, 1, 1},
      {"groups", Score::Softmax, Method::GroupLimitedGreedy, false, false, 24,
       5, 8, 3, 2},
      {"groups_of_one", Score::Softmax, Method::GroupLimitedGreedy, false,
       false, 6, 2, 6, 3, 1},
      {"noaux", Score::Sigmoid, Method::NoauxTc, true, true, 32, 6, 8, 4, 2.5},
      {"noaux_of_one", Score::Sigmoid, Method::NoauxTc, true, true, 6, 3, 6, 4,
       1},
      {"noaux_one_group", Score::Sigmoid, Method::NoauxTc, false, true, 9, 4, 1,
       1, 1},
  };
  std::vector<Case> cases;
  for (const Routing &routing : routings) {
    cases.push_back(routeCase(routing));
    for (DType type : {DType::F32, DType::BF16, DType::F16}) {
      cases.push_back(mixtureCase(routing, 1, 1, 33, 17, type));
      cases.push_back(mixtureCase(routing, 29, 64, 17, 40, type));
    }
  }
  // Experts of more columns than a block, and of more rows than a tile.
  cases.push_back(mixtureCase(routings[3], 100, 128, 210, 64, DType::F32));
  cases.push_back(mixtureCase(routings[3], 100, 128, 210, 64, DType::BF16));
  // Groups of no, one and many rows, fewer and more than a tile has; all rows
  // in one; widths that fill tiles, those that end within, and odd ones.
  std::vector<int32_t> uneven;
  for (auto [expert, count] : {std::pair(1, 1), {3, 9}, {4, 131}, {6, 200}})
    uneven.insert(uneven.end(), count, expert);
  std::ranges::shuffle(uneven, std::mt19937(7));
  std::vector<int32_t> many;
  for (auto [expert, count] : {std::pair(0, 9), {1, 131}, {2, 200}})
    many.insert(many.end(), count, expert);
  std::ranges::shuffle(many, std::mt19937(8));
  std::vector<int32_t> one(150, 2), few = {5, 0, 5, 39, 7, 5, 12, 39, 33};
  for (DType type : {DType::BF16, DType::F16}) {
    for (DType outType : {DType::F32, type})
      cases.push_back(groupedCase("uneven", uneven, 8, 144, 72, type, outType));
    cases.push_back(groupedCase("many", many, 3, 140, 264, type, type));
    cases.push_back(groupedCase("one", one, 4, 129, 200, type, type));
    cases.push_back(groupedCase("one", one, 4, 33, 35, type, type));
    cases.push_back(groupedCase("few", few, 40, 50, 328, type, type));
    cases.push_back(groupedCase("few", {few[0]}, 40, 16, 64, type, DType::F32));
    // Twenty rows of each: more than one pass over columns takes.
    std::vector<int32_t> even;
    for (int i = 0; i < 60; ++i)
      even.push_back(i % 3);
    cases.push_back(groupedCase("even", even, 3, 40, 96, type, type));
    cases.push_back(groupedCase("spread", even, 6, 24, 48, type, type));
    for (uint32_t block : {128u, 64u}) {
      cases.push_back(
          groupedCase("uneven", uneven, 8, 144, 80, type, type, block));
      cases.push_back(
          groupedCase("many", many, 3, 140, 272, type, type, block));
      cases.push_back(
          groupedCase("few", few, 40, 50, 336, type, DType::F32, block));
      cases.push_back(
          groupedCase("even", even, 3, 40, 96, type, DType::F32, block));
    }
    cases.push_back(groupedCase("one", one, 4, 33, 35, type, type, 128));
  }
  cases.push_back(
      groupedCase("uneven", uneven, 8, 50, 80, DType::F32, DType::F32, 64));
  return cases;
}

} // namespace mbc::test
