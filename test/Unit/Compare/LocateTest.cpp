#include "runtime/compare/Locate.h"
#include "runtime/compare/Experts.h"

#include <gtest/gtest.h>

using namespace mbc::compare;

namespace {

Operation op(const std::string &name, std::vector<std::string> inputs,
             std::vector<std::string> parts = {}) {
  Operation result;
  result.name = result.kind = name;
  result.inputs = std::move(inputs);
  result.results.push_back({name, "", {{"width", 2, {}}}});
  for (const std::string &part : parts)
    result.results.push_back({name + "." + part, part, {{"width", 1, {}}}});
  return result;
}

/// A token with two numbers.
Array value(float x, float y) {
  Array array;
  array.rows = 1;
  array.width = 2;
  array.data = {x, y};
  return array;
}

/// x -> product (q, k) -> turn(q, k) -> sum(turn, x).
std::vector<Operation> layer() {
  return {op("product", {"before"}, {"q", "k"}),
          op("turn", {"product.q", "product.k"}),
          op("sum", {"turn", "before"})};
}

Values values(float product, float turn, float sum) {
  return {{"product", value(1, product)},
          {"product.q", value(1, 1)},
          {"product.k", value(product, 1)},
          {"turn", value(turn, 0)},
          {"sum", value(sum, 0)}};
}

std::vector<std::string>
guilty(const std::vector<OperationComparison> &operations) {
  std::vector<std::string> names;
  for (const OperationComparison &one : operations)
    if (one.guilty)
      names.push_back(one.operation.name);
  return names;
}

using Names = std::vector<std::string>;

TEST(Locate, NobodyIsGuiltyOfNothing) {
  auto all = compareOperations(layer(), layer(), values(1, 2, 3),
                               values(1, 2, 3), 0, 0, 0);
  EXPECT_EQ(guilty(all), Names());
  EXPECT_EQ(all[0].state, OperationState::Agrees);
}

TEST(Locate, TheFirstIsGuiltyAndWhatReadsItIsNot) {
  auto all = compareOperations(layer(), layer(), values(1, 2, 3),
                               values(5, 6, 7), 0, 0, 0);
  EXPECT_EQ(guilty(all), Names{"product"});
  ASSERT_EQ(all[0].parts.size(), 2u);
  EXPECT_TRUE(all[0].parts[0].second.within(0));
  EXPECT_FALSE(all[0].parts[1].second.within(0));
}

TEST(Locate, AnOperationWhoseInputsAgreeIsGuilty) {
  EXPECT_EQ(guilty(compareOperations(layer(), layer(), values(1, 2, 3),
                                     values(1, 6, 7), 0, 0, 0)),
            Names{"turn"});
  EXPECT_EQ(guilty(compareOperations(layer(), layer(), values(1, 2, 3),
                                     values(1, 2, 7), 0, 0, 0)),
            Names{"sum"});
}

TEST(Locate, APartThatAgreesExcusesNobody) {
  std::vector<Operation> operations = layer();
  operations.push_back(op("other", {"product.q"}));
  Values a = values(1, 2, 3), b = values(5, 6, 7);
  a["other"] = value(1, 1);
  b["other"] = value(2, 1);
  // The product differs in k alone, and `other` reads q.
  EXPECT_EQ(guilty(compareOperations(operations, operations, a, b, 0, 0, 0)),
            (Names{"product", "other"}));
}

TEST(Locate, ToleranceIsRelative) {
  auto all = compareOperations(layer(), layer(), values(1, 2, 3),
                               values(1, 2.0001f, 7), 0, 0, 1e-3);
  EXPECT_EQ(guilty(all), Names{"sum"});
}

TEST(Locate, AnOperationOfOneSideIsGuiltyWhereItsReaderDiffers) {
  std::vector<Operation> without = layer();
  without.erase(without.begin() + 1);
  without.back() = op("sum", {"product.q", "before"});
  Values b = values(1, 2, 7);
  b.erase("turn");
  auto all = compareOperations(layer(), without, values(1, 2, 3), b, 0, 0, 0);
  EXPECT_EQ(guilty(all), Names{"turn"});
  EXPECT_EQ(all[1].state, OperationState::OnlyA);
  all = compareOperations(without, layer(), b, values(1, 2, 3), 0, 0, 0);
  EXPECT_EQ(guilty(all), Names{"turn"});
  EXPECT_EQ(all[1].state, OperationState::OnlyB);
  // It changes nothing.
  b = values(1, 2, 3);
  b.erase("turn");
  all = compareOperations(layer(), without, values(1, 2, 3), b, 0, 0, 0);
  EXPECT_EQ(guilty(all), Names());
}

TEST(Locate, WhatIsNotSeenIsLookedThrough) {
  Values known{{"product", value(1, 1)}, {"sum", value(7, 0)}};
  auto all =
      compareOperations(layer(), layer(), values(1, 2, 3), known, 0, 0, 0);
  EXPECT_EQ(guilty(all), Names{"sum"});
  EXPECT_EQ(unseenBefore(all, 2), Names{"turn"});
  known["product"] = value(1, 5);
  all = compareOperations(layer(), layer(), values(1, 2, 3), known, 0, 0, 0);
  EXPECT_EQ(guilty(all), Names{"product"});
}

TEST(Locate, SettingsThatDifferAreNamed) {
  std::vector<Operation> a = layer(), b = layer();
  a[1].settings = {{"theta", "10000.0"}, {"scaling", "none"}};
  b[1].settings = {{"theta", "20000.0"}, {"scaling.factor", "2"}};
  auto all = compareOperations(a, b, values(1, 2, 3), values(1, 6, 7), 0, 0, 0);
  EXPECT_EQ(all[1].settings, (Names{"theta: 10000.0 in A, 20000.0 in B",
                                    "scaling: none in A, nothing in B",
                                    "scaling.factor: nothing in A, 2 in B"}));
}

TEST(Locate, OtherWidthsDiffer) {
  Values b = values(1, 2, 3);
  b["turn"].width = 1;
  b["turn"].data.resize(1);
  auto all = compareOperations(layer(), layer(), values(1, 2, 3), b, 0, 0, 9);
  EXPECT_EQ(guilty(all), Names{"turn"});
}

TEST(Locate, StepsGoByLayers) {
  Graph graph;
  Stage first, stack, last;
  first.operation = op("embedding", {"tokens"});
  stack.stack = "decoder";
  stack.depth = 2;
  last.operation = op("logits", {"decoder"});
  graph.stages = {first, stack, last};
  EXPECT_EQ(graph.outerTaps(), (Names{"embedding", "decoder", "logits"}));
  Array layers = value(1, 2);
  layers.layers = 2;
  layers.width = 1;
  Values a{
      {"embedding", value(1, 1)}, {"decoder", layers}, {"logits", value(1, 1)}};
  Values b = a;
  b["decoder"].data[1] = 3;
  std::vector<Step> steps = compareSteps(graph, a, b, 0);
  ASSERT_EQ(steps.size(), 4u);
  EXPECT_EQ(steps[2].name, "decoder 1");
  EXPECT_TRUE(steps[1].agrees);
  EXPECT_FALSE(steps[2].agrees);
  EXPECT_TRUE(steps[3].agrees);
  // A layer that a reference does not have.
  b["decoder"].known = {1, 0};
  steps = compareSteps(graph, a, b, 0);
  EXPECT_FALSE(steps[2].seen);
  EXPECT_TRUE(steps[2].agrees);
}

TEST(Locate, PlacesAreThoseOfAxes) {
  Result result{"x", "", {{"heads", 2, {}}, {"slot", 3, {{"q", 2}, {"k", 1}}}}};
  Array a, b;
  a.rows = b.rows = 2;
  a.width = b.width = 6;
  a.data.resize(12);
  b.data.resize(12);
  b.data[6 + 3] = 1; // token 1, head 1, the first of q
  EXPECT_EQ(placesOf(result, a, b, 0, 0, 0),
            (Names{"positions 1 of 2", "heads 1 of 2", "slot q"}));
  b.data.assign(12, 1);
  EXPECT_EQ(placesOf(result, a, b, 0, 0, 0), Names());
}

/// route -> its numbers, and a product of the rows of two experts a token.
std::vector<Operation> mixture() {
  Operation route = op("route", {"before"});
  route.results[0].tap = "route.1";
  route.results[0].integer = true;
  route.results[0].chosenBy = "route.1";
  route.results[0].experts = 9;
  Operation product = op("grouped", {"before", "route.1"});
  product.results[0].axes = {{"topk", 2, {}}};
  product.results[0].chosenBy = "route.1";
  product.results[0].experts = 9;
  return {route, product};
}

Values experts(float first, float second, float x, float y) {
  Values values{{"route.1", value(first, second)}, {"grouped", value(x, y)}};
  Graph graph;
  for (const Operation &operation : mixture())
    graph.stages.push_back({"", 0, {}, operation});
  sortByExpert(graph, values);
  return values;
}

TEST(Locate, ExpertsOfATokenHaveNoOrder) {
  Values a = experts(7, 3, 1, 2), b = experts(3, 7, 2, 1);
  EXPECT_EQ(a["route.1"].data, (std::vector<float>{3, 7}));
  EXPECT_EQ(a["grouped"].data, (std::vector<float>{2, 1}));
  EXPECT_EQ(guilty(compareOperations(mixture(), mixture(), a, b, 0, 0, 0)),
            Names());
}

TEST(Locate, NumbersOfExpertsAreNotNearEachOther) {
  // 7 and 8 are within the tolerance as numbers.
  Values a = experts(3, 7, 1, 2), b = experts(3, 8, 1, 9);
  auto all = compareOperations(mixture(), mixture(), a, b, 0, 0, 0.5);
  EXPECT_EQ(guilty(all), Names{"route"});
}

TEST(Locate, TheExpertIsNamed) {
  Values a = experts(7, 3, 1, 2), b = experts(3, 7, 2, 5);
  EXPECT_EQ(guilty(compareOperations(mixture(), mixture(), a, b, 0, 0, 0)),
            Names{"grouped"});
  EXPECT_EQ(placesOf(mixture()[1].results[0], a["grouped"], b["grouped"], 0, 0,
                     0, &a["route.1"]),
            Names{"experts 7 of 9"});
  // Where all differ that were chosen, none is to be named.
  b = experts(3, 7, 4, 5);
  EXPECT_EQ(placesOf(mixture()[1].results[0], a["grouped"], b["grouped"], 0, 0,
                     0, &a["route.1"]),
            Names());
}

TEST(Locate, OrderOfExpertsIsOfEachTokenAndLayer) {
  Graph graph;
  graph.stages.push_back({"decoder", 2, {{{0, 1}, mixture(), {}}}, {}});
  // Two tokens, two layers, two experts; each with two numbers in `grouped`.
  Array numbers{2, 2, 2, {1, 0, 0, 1, 5, 4, 2, 3}, {}, {}};
  Array grouped{
      2,  2, 4, {10, 11, 0, 1, 0, 1, 10, 11, 50, 51, 40, 41, 20, 21, 30, 31},
      {}, {}};
  Values values{{"route.1", numbers}, {"grouped", grouped}};
  sortByExpert(graph, values);
  EXPECT_EQ(values["route.1"].data,
            (std::vector<float>{0, 1, 0, 1, 4, 5, 2, 3}));
  EXPECT_EQ(values["grouped"].data,
            (std::vector<float>{0, 1, 10, 11, 0, 1, 10, 11, 40, 41, 50, 51, 20,
                                21, 30, 31}));
}

} // namespace
