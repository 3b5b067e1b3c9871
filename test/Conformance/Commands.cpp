//===- Commands.cpp - What moves data, angles, and layers -----------------===//

#include "test/Conformance/Case.h"
#include "test/Conformance/ProgramMaker.h"
#include "test/Conformance/Values.h"

#include <cmath>
#include <fmt/format.h>

namespace mbc::test {

using plan::DType;

namespace {

void finish(Case &test, ProgramMaker &make) {
  test.bound.resize(test.expected.size(), 0);
  if (test.slots == 0)
    test.slots = make.function->rows;
  test.program = std::make_shared<program::ProgramT>(std::move(make.program));
}

/// out = table[ids], of a call of fewer rows; nothing is rounded.
Case embedCase(DType type) {
  constexpr uint32_t rows = 5, vocab = 11, width = 13;
  ProgramMaker make(rows);
  program::EmbedT embed;
  embed.ids = make.input("ids", DType::I32, {rows});
  embed.table = make.weight("table", type, vocab, width);
  embed.out = make.output({rows, width});
  make.add(embed);
  Case test;
  test.name = fmt::format("embed/{}", nameOf(type));
  test.weights = {numbers(vocab * width, type, 1)};
  std::vector<int32_t> ids{10, 0, 3, 3};
  test.calls = {{4, {{0, 4, 0, 0}}, {{"ids", ids}}}};
  for (int32_t id : ids)
    for (uint32_t i = 0; i < width; ++i)
      test.expected.push_back(test.weights[0][id * width + i]);
  finish(test, make);
  return test;
}

/// Rows of a value by a list that may be shorter than its port.
Case takeCase(DType type) {
  constexpr uint32_t rows = 6, width = 9;
  ProgramMaker make(rows);
  program::CopyT copy;
  copy.from = make.input("x", DType::F32, {rows, width});
  copy.to = make.buffer(type, {rows, width});
  make.add(copy);
  program::TakeT take;
  take.x = copy.to;
  take.rows = make.input("outputs", DType::I32, {3});
  take.out = make.buffer(type, {3, width});
  make.add(take);
  copy.from = take.out;
  copy.to = make.output({3, width});
  make.add(copy);
  Case test;
  test.name = fmt::format("take/{}", nameOf(type));
  std::vector<float> xs = numbers(rows * width, type, 1);
  std::vector<int32_t> list{5, 2};
  test.calls = {
      {rows, {{0, rows, 0, 0}}, {{"x", bitsOf(xs)}, {"outputs", list}}}};
  for (int32_t row : list)
    for (uint32_t i = 0; i < width; ++i)
      test.expected.push_back(xs[row * width + i]);
  finish(test, make);
  return test;
}

/// Rows that features take the places of, of calls with some, one and none.
Case placeCase(DType type) {
  constexpr uint32_t rows = 5, width = 9;
  ProgramMaker make(rows);
  program::CopyT copy;
  copy.from = make.input("x", DType::F32, {rows, width});
  copy.to = make.buffer(type, {rows, width});
  make.add(copy);
  program::PlaceT place;
  place.features = make.input("features", DType::F32, {rows, width});
  place.places = make.input("place", DType::I32, {rows});
  place.out = copy.to;
  make.add(place);
  copy.from = copy.to;
  copy.to = make.output({rows, width});
  make.add(copy);
  Case test;
  test.name = fmt::format("place/{}", nameOf(type));
  std::vector<float> xs = numbers(rows * width, type, 1),
                     features = numbers(2 * width, DType::F32, 2);
  std::vector<std::vector<int32_t>> calls{{-1, 1, -1, 0, 1}, {0, -1, -1}, {}};
  for (const std::vector<int32_t> &places : calls) {
    // Without features nothing is said of places.
    auto count = static_cast<int64_t>(places.empty() ? rows : places.size());
    CallOfCase call{count,
                    {{0, count, 0, 0}},
                    {{"x", bitsOf({xs.begin(), xs.begin() + count * width})}}};
    if (!places.empty()) {
      call.inputs["place"] = places;
      call.inputs["features"] = bitsOf(features);
    }
    for (int64_t row = 0; row < count; ++row)
      for (uint32_t i = 0; i < width; ++i) {
        int32_t at = places.empty() ? -1 : places[row];
        test.expected.push_back(at < 0
                                    ? xs[row * width + i]
                                    : roundTo(type, features[at * width + i]));
      }
    test.calls.push_back(std::move(call));
  }
  finish(test, make);
  return test;
}

/// Three neighbouring rows are one that is three times as wide; what is made of
/// them comes in another order.
Case mergeCase(DType type) {
  constexpr uint32_t rows = 12, count = 3, width = 5, out = 7;
  ProgramMaker make(rows);
  program::CopyT copy;
  copy.from = make.input("x", DType::F32, {rows, width});
  copy.to = make.buffer(type, {rows, width});
  make.add(copy);
  program::GemmT gemm;
  gemm.x = make.window(copy.to, 0, {rows / count, count * width},
                       {count * width, 1});
  gemm.weight = make.weight("w", type, out, count * width);
  gemm.out = make.buffer(DType::F32, {rows / count, out});
  make.add(gemm);
  program::TakeT take;
  take.x = gemm.out;
  take.rows = make.input("order", DType::I32, {rows / count});
  take.out = make.output({rows / count, out});
  make.add(take);
  Case test;
  test.name = fmt::format("merge/{}", nameOf(type));
  std::vector<float> xs = numbers(rows * width, type, 1);
  test.weights = {numbers(out * count * width, type, 2)};
  for (const std::vector<int32_t> &order :
       {std::vector<int32_t>{2, 0, 3, 1}, {1, 0}}) {
    auto used = static_cast<int64_t>(order.size() * count);
    test.calls.push_back(
        {used,
         {},
         {{"x", bitsOf({xs.begin(), xs.begin() + used * width})},
          {"order", order}}});
    for (int32_t row : order)
      for (uint32_t n = 0; n < out; ++n) {
        double sum = 0, size = 0;
        for (uint32_t k = 0; k < count * width; ++k) {
          double term = double(xs[row * count * width + k]) *
                        test.weights[0][n * count * width + k];
          sum += term;
          size += std::abs(term);
        }
        test.expected.push_back(sum);
        test.bound.push_back((count * width + 1) * unit * size);
      }
  }
  finish(test, make);
  return test;
}

/// Through 16 bits and back: rounded to nearest, ties to even, as the type's
/// definition says; overflow is infinite, small values keep their digits.
Case copyCase(DType type) {
  std::vector<float> xs{
      0.0f,        -0.0f,          1.0f,           1.00390625f,
      1.01171875f, 65504.0f,       -3.0e38f,       1.0e-30f,
      6.1e-5f,     3.0e-8f,        -2.99e-8f,      0.33333334f,
      65519.0f,    1.00048828125f, 1.00146484375f, 5.9604645e-8f};
  std::vector<float> more = numbers(37 - xs.size(), DType::F32, 3, 100);
  xs.insert(xs.end(), more.begin(), more.end());
  ProgramMaker make(1);
  program::CopyT copy;
  copy.from = make.input("x", DType::F32, {1, 37});
  copy.to = make.buffer(type, {1, 37});
  make.add(copy);
  copy.from = copy.to;
  copy.to = make.output({1, 37});
  make.add(copy);
  Case test;
  test.name = fmt::format("copy/{}", nameOf(type));
  test.calls = {{1, {{0, 1, 0, 0}}, {{"x", bitsOf(xs)}}}};
  for (float x : xs)
    test.expected.push_back(roundTo(type, x));
  finish(test, make);
  return test;
}

/// [a, b, c] to [b, a, c] by strides.
Case transposeCase() {
  constexpr uint32_t rows = 3, a = 4, b = 5;
  ProgramMaker make(rows);
  uint32_t x = make.input("x", DType::F32, {rows, a, b});
  program::CopyT copy;
  copy.from = make.window(x, 0, {rows, b, a}, {a * b, 1, b});
  copy.to = make.output({rows, b, a});
  make.add(copy);
  Case test;
  test.name = "copy/strides";
  std::vector<float> xs = numbers(rows * a * b, DType::F32, 1);
  test.calls = {{rows, {{0, rows, 0, 0}}, {{"x", bitsOf(xs)}}}};
  for (uint32_t row = 0; row < rows; ++row)
    for (uint32_t j = 0; j < b; ++j)
      for (uint32_t i = 0; i < a; ++i)
        test.expected.push_back(xs[row * a * b + i * b + j]);
  finish(test, make);
  return test;
}

/// Cosines and sines at some positions; with `axis`, of two numbers each.
Case anglesCase(const char *name, const std::vector<float> &invFreq,
                const std::vector<uint8_t> &axis, float factor,
                const std::vector<std::vector<int32_t>> &calls,
                const std::vector<double> &lengths, double original) {
  uint32_t rows = 4, pairs = invFreq.size(), axes = axis.empty() ? 1 : 2;
  ProgramMaker make(rows);
  auto rope = std::make_unique<program::RopeT>();
  rope->inv_freq = invFreq;
  rope->attention_factor = factor;
  rope->axis = axis;
  rope->axes = axes;
  rope->dynamic = original > 0;
  rope->theta = 10000;
  rope->factor = 2;
  rope->original = static_cast<uint32_t>(original);
  make.program.ropes.push_back(std::move(rope));
  program::AnglesT angles;
  angles.positions = make.input("positions", DType::I32,
                                axes == 1 ? ProgramMaker::Dims{rows}
                                          : ProgramMaker::Dims{rows, axes});
  angles.out = make.output({rows, 2 * pairs});
  make.add(angles);
  Case test;
  test.name = fmt::format("angles/{}", name);
  test.slots = 1 << 20;
  for (size_t c = 0; c < calls.size(); ++c) {
    const std::vector<int32_t> &at = calls[c];
    auto count = static_cast<int64_t>(at.size() / axes);
    test.calls.push_back({count, {{0, count, 0, at[0]}}, {{"positions", at}}});
    for (int64_t row = 0; row < count; ++row)
      for (bool sines : {false, true})
        for (uint32_t i = 0; i < pairs; ++i) {
          double frequency = invFreq[i];
          if (lengths[c] > original && original > 0) {
            // Dynamic NTK: theta grows with the length.
            double dim = 2.0 * pairs, grown = 2 * lengths[c] / original - 1;
            frequency = std::pow(10000 * std::pow(grown, dim / (dim - 2)),
                                 -2.0 * i / dim);
          }
          double angle =
              at[row * axes + (axis.empty() ? 0 : axis[i])] * frequency;
          test.expected.push_back(factor *
                                  (sines ? std::sin(angle) : std::cos(angle)));
          // The angle is a float32, and a computed frequency is off by some
          // units itself.
          test.bound.push_back((std::abs(angle) * (original > 0 ? 16 : 1) + 2) *
                               unit * factor);
        }
  }
  finish(test, make);
  return test;
}

/// What each of three layers of two kinds, rotating columns by a product with a
/// permutation, leaves in 16 bits.
Case tapCase() {
  constexpr uint32_t rows = 5, width = 7, layers = 3;
  ProgramMaker make(rows);
  program::CopyT copy;
  copy.from = make.input("x", DType::F32, {rows, width});
  copy.to = make.buffer(DType::BF16, {rows, width});
  make.add(copy);
  program::RepeatT repeat;
  repeat.stack = "decoder";
  repeat.runs = {{0, 0, 1}, {1, 1, 2}};
  Case test;
  test.name = "tap";
  uint32_t x = copy.to, y = make.buffer(DType::BF16, {rows, width});
  uint32_t seen = make.output({rows, layers, width});
  for (uint32_t kind = 0; kind < 2; ++kind) {
    repeat.bodies.push_back(std::make_unique<program::BodyT>());
    program::BodyT *body = repeat.bodies.back().get();
    program::GemmT gemm;
    gemm.x = x;
    gemm.weight = make.weight(kind == 0 ? "a" : "b", DType::BF16, width, width,
                              kind == 0 ? ProgramMaker::Dims{0}
                                        : ProgramMaker::Dims{1, 2});
    gemm.out = y;
    make.add(gemm, body);
    copy.from = y;
    copy.to = x;
    make.add(copy, body);
    program::TapT tap;
    tap.from = x;
    tap.to = seen;
    make.add(tap, body);
    std::vector<float> turn;
    for (uint32_t layer = 0; layer < kind + 1; ++layer)
      for (uint32_t i = 0; i < width; ++i)
        for (uint32_t j = 0; j < width; ++j)
          turn.push_back(j == (i + 1) % width ? 1.0f : 0.0f);
    test.weights.push_back(std::move(turn));
  }
  make.add(std::move(repeat));
  std::vector<float> xs = numbers(rows * width, DType::BF16, 1);
  test.calls = {{rows, {{0, rows, 0, 0}}, {{"x", bitsOf(xs)}}}};
  for (uint32_t row = 0; row < rows; ++row)
    for (uint32_t layer = 0; layer < layers; ++layer)
      for (uint32_t i = 0; i < width; ++i)
        test.expected.push_back(xs[row * width + (i + layer + 1) % width]);
  finish(test, make);
  return test;
}

/// x = x W_l^T over four layers of two kinds; both kinds read their own weights
/// of the layer, and layers of one kind do not lie side by side.
Case layersCase() {
  constexpr uint32_t rows = 3, width = 6;
  ProgramMaker make(rows);
  program::CopyT copy;
  copy.from = make.input("x", DType::F32, {rows, width});
  copy.to = make.buffer(DType::F32, {rows, width});
  make.add(copy);
  uint32_t x = copy.to, y = make.buffer(DType::F32, {rows, width});
  program::RepeatT repeat;
  repeat.stack = "decoder";
  repeat.runs = {{0, 0, 1}, {1, 1, 1}, {0, 2, 2}};
  Case test;
  test.name = "repeat";
  for (int kind = 0; kind < 2; ++kind) {
    repeat.bodies.push_back(std::make_unique<program::BodyT>());
    program::GemmT gemm;
    gemm.x = x;
    gemm.weight = make.weight(kind == 0 ? "a" : "b", DType::F32, width, width,
                              kind == 0 ? ProgramMaker::Dims{0, 2, 3}
                                        : ProgramMaker::Dims{1});
    gemm.out = y;
    make.add(gemm, repeat.bodies.back().get());
    program::CopyT back;
    back.from = y;
    back.to = x;
    make.add(back, repeat.bodies.back().get());
    test.weights.push_back(
        numbers((kind == 0 ? 3 : 1) * width * width, DType::F32, 20 + kind));
  }
  make.add(std::move(repeat));
  copy.from = x;
  copy.to = make.output({rows, width});
  make.add(copy);
  std::vector<float> xs = numbers(rows * width, DType::F32, 1);
  test.calls = {{rows, {{0, rows, 0, 0}}, {{"x", bitsOf(xs)}}}};
  std::vector<double> value(xs.begin(), xs.end()), size(value.size());
  for (size_t i = 0; i < value.size(); ++i)
    size[i] = std::abs(value[i]);
  for (auto [weight, instance] : {std::pair(0, 0), {1, 0}, {0, 1}, {0, 2}}) {
    std::vector<double> next(value.size(), 0), nextSize(value.size(), 0);
    for (uint32_t row = 0; row < rows; ++row)
      for (uint32_t n = 0; n < width; ++n)
        for (uint32_t k = 0; k < width; ++k) {
          double w = test.weights[weight][(instance * width + n) * width + k];
          next[row * width + n] += w * value[row * width + k];
          nextSize[row * width + n] += std::abs(w) * size[row * width + k];
        }
    value = next;
    size = nextSize;
  }
  test.expected = value;
  for (double s : size)
    test.bound.push_back(4 * (width + 2) * unit * s);
  finish(test, make);
  return test;
}

} // namespace

std::vector<Case> commandCases() {
  std::vector<Case> cases;
  for (DType type : {DType::F32, DType::BF16, DType::F16}) {
    cases.push_back(embedCase(type));
    cases.push_back(takeCase(type));
    cases.push_back(copyCase(type));
    cases.push_back(placeCase(type));
    cases.push_back(mergeCase(type));
  }
  cases.push_back(transposeCase());
  cases.push_back(layersCase());
  cases.push_back(tapCase());
  std::vector<float> table{1.0f, 0.1f, 0.01f};
  cases.push_back(
      anglesCase("plain", table, {}, 1, {{0, 1, 1000, 131071}}, {0}, 0));
  cases.push_back(anglesCase("scaled", table, {}, 1.25f, {{3, 2, 1}}, {0}, 0));
  cases.push_back(
      anglesCase("axes", table, {0, 1, 0}, 1, {{5, 7, 0, 100, 9, 9}}, {0}, 0));
  // Grown for a longer call, kept for the next token, grown anew for another
  // sequence, and the original again once a call is short.
  std::vector<float> dynamic;
  for (int i = 0; i < 4; ++i)
    dynamic.push_back(static_cast<float>(std::pow(10000.0, -i / 4.0)));
  cases.push_back(anglesCase("dynamic", dynamic, {}, 1,
                             {{0, 7}, {0, 15}, {10}, {0, 11}, {0, 3}},
                             {8, 16, 16, 12, 4}, 8));
  return cases;
}

std::vector<Case> allCases() {
  std::vector<Case> cases;
  for (auto part : {productCases, rowCases, attentionCases, latentCases,
                    expertCases, commandCases})
    for (Case &test : part())
      cases.push_back(std::move(test));
  return cases;
}

} // namespace mbc::test
