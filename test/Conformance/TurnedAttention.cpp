//===- TurnedAttention.cpp - Norms and rotations before attention ---------===//

#include "test/Conformance/TurnedAttention.h"

#include "test/Conformance/Conversation.h"
#include "test/Conformance/ProgramMaker.h"

#include <cmath>
#include <fmt/format.h>

namespace mbc::test {

using plan::DType;
using program::RowKind;

namespace {

struct Heads {
  uint32_t kv, group, width;
};
struct Options {
  RowKind rope = RowKind::Rope;
  bool qNorm = false, kNorm = false;
  uint32_t window = 0, axes = 1;
  /// What keeps a row kernel from being left out.
  enum { Nothing, ReadAgain, InTheWay, MoreSteps } keeps = Nothing;
};

/// Numbers whose squares add up to the same in any order.
std::vector<float> quarters(size_t count, uint32_t seed) {
  std::vector<float> values = numbers(count, DType::F32, seed, 2);
  for (float &value : values)
    value = std::round(4 * value) / 4;
  return values;
}

/// Two layers: the second one's queries are what the first one attended. One
/// where these are normed: sums of their squares depend on an order.
TurnedCase turnedCase(const Heads &h, const Conversation &conversation,
                      DType type, const Options &options) {
  uint32_t rows = conversation.rows(), slots = conversation.slots;
  ProgramMaker make(rows);
  TurnedCase result;
  Case &test = result.test;
  uint32_t group = (h.group + 2) * h.width, all = h.kv * group;
  uint32_t whole = make.buffer(type, {rows, all});
  std::vector<float> values = quarters(size_t(slots) * all, 7);
  program::CopyT given;
  given.from = make.input("qkv", DType::F32, {rows, all});
  given.to = whole;
  make.add(given);

  auto rope = std::make_unique<program::RopeT>();
  for (uint32_t i = 0; i < h.width / 2; ++i) {
    rope->inv_freq.push_back(
        static_cast<float>(std::pow(1e4, -2.0 * i / h.width)));
    if (options.axes > 1)
      rope->axis.push_back(static_cast<uint8_t>(i % options.axes));
  }
  rope->axes = options.axes;
  rope->attention_factor = 1.25f;
  make.program.ropes.push_back(std::move(rope));
  program::AnglesT angles;
  angles.positions =
      make.input("positions", DType::I32,
                 options.axes > 1 ? ProgramMaker::Dims{rows, options.axes}
                                  : ProgramMaker::Dims{rows});
  angles.out = make.buffer(DType::F32, {rows, h.width});
  make.add(angles);

  ProgramMaker::Dims qDims{rows, h.kv, h.group, h.width},
      kDims{rows, h.kv, h.width};
  uint32_t q = make.window(whole, 0, qDims, {all, group, h.width, 1});
  uint32_t k = make.window(whole, h.group * h.width, kDims, {all, group, 1});
  uint32_t v =
      make.window(whole, (h.group + 1) * h.width, kDims, {all, group, 1});
  uint32_t turnedQ = make.buffer(type, qDims),
           turnedK = make.buffer(type, kDims);
  uint32_t seen =
      options.keeps == Options::InTheWay ? q : make.buffer(type, qDims);

  // Loads of q, k, angles and the norms' weights; what is done; stores.
  std::vector<program::RowStepT> steps;
  std::vector<uint32_t> operands;
  auto load = [&](uint32_t view, uint32_t width) {
    steps.push_back(step(RowKind::Load, {}, operands.size(), 1, width));
    operands.push_back(view);
    return uint16_t(steps.size() - 1);
  };
  auto apply = [&](RowKind kind, std::vector<uint16_t> inputs, uint32_t vectors,
                   double scalar = 0) {
    steps.push_back(step(kind, std::move(inputs), 0, vectors, h.width, scalar));
    return uint16_t(steps.size() - 1);
  };
  uint32_t queries = h.kv * h.group;
  uint16_t x = load(q, queries * h.width), y = load(k, h.kv * h.width),
           angle = load(angles.out, h.width);
  std::vector<uint32_t> layers{0};
  if (!options.qNorm)
    layers.push_back(1);
  auto norm = [&](const char *path, uint16_t of, uint32_t vectors) {
    uint16_t weight =
        load(make.weight(path, type, 0, h.width, layers), h.width);
    test.weights.push_back(
        numbers(layers.size() * h.width, type, 20 + test.weights.size()));
    return apply(RowKind::RMSNorm, {of, weight}, vectors, 1e-5);
  };
  if (options.qNorm)
    x = norm("q_norm", x, queries);
  if (options.kNorm)
    y = norm("k_norm", y, h.kv);
  if (options.keeps == Options::MoreSteps)
    x = apply(RowKind::MulScalar, {x}, queries, 0.5);
  x = apply(options.rope, {x, angle}, queries);
  y = apply(options.rope, {y, angle}, h.kv);
  for (auto [value, to, count] :
       {std::tuple(x, turnedQ, queries), {y, turnedK, h.kv}}) {
    steps.push_back(
        step(RowKind::Store, {value}, operands.size(), 1, count * h.width));
    operands.push_back(to);
  }
  program::RowsT turn;
  turn.kernel = make.kernel(steps, operands.size());
  turn.operands = operands;
  auto body = std::make_unique<program::BodyT>();
  make.add(turn, body.get());

  program::AttentionT attention;
  attention.q = turnedQ;
  attention.k = turnedK;
  attention.v = v;
  attention.out = seen;
  attention.state = static_cast<int32_t>(
      make.state(type, {h.kv * h.width, h.kv * h.width}, layers));
  attention.scale = 1 / std::sqrt(double(h.width));
  attention.causal = true;
  attention.window = options.window;
  make.add(attention, body.get());
  if (seen != q) {
    program::CopyT copy;
    copy.from = options.keeps == Options::ReadAgain ? turnedQ : seen;
    copy.to = q;
    make.add(copy, body.get());
  }
  program::RepeatT repeat;
  repeat.stack = "layers";
  repeat.runs.push_back({0, 0, uint32_t(layers.size())});
  repeat.bodies.push_back(std::move(body));
  make.add(repeat);
  program::CopyT out;
  out.from = seen;
  out.to = make.output(qDims);
  make.add(out);

  test.slots = slots;
  test.name = fmt::format(
      "turned/{}/{}x{}x{}/{}/{}{}{}{}{}{}", conversation.name, h.kv, h.group,
      h.width, nameOf(type), program::EnumNameRowKind(options.rope),
      options.qNorm ? "/q" : "", options.kNorm ? "/k" : "",
      options.window ? "/window" : "", options.axes > 1 ? "/axes" : "",
      options.keeps ? fmt::format("/kept{}", int(options.keeps)) : "");
  bool takes = options.keeps == Options::Nothing && type != DType::F32 &&
               (h.width == 64 || h.width == 128 || h.width == 256);
  for (const std::vector<Part> &parts : conversation.calls) {
    CallOfCase call{0, parts, {}};
    call.inputs["qkv"] = rowsOfParts(parts, values, all);
    int64_t most = 0;
    for (const Part &part : parts) {
      call.rows += part.count;
      most = std::max(most, part.count);
      for (int64_t i = 0; i < part.count; ++i)
        for (uint32_t axis = 0; axis < options.axes; ++axis)
          call.inputs["positions"].push_back(
              static_cast<int32_t>(part.cached + i + 3 * axis));
    }
    // Of a sequence as many rows as a block turns keys of; or, of many rows,
    // what goes to the state.
    if (takes && (call.rows > 64 || call.rows - std::ssize(parts) + 1 <= 8))
      result.turned += layers.size();
    test.calls.push_back(std::move(call));
  }
  test.program = std::make_shared<program::ProgramT>(std::move(make.program));
  return result;
}

} // namespace

std::vector<TurnedCase> turnedCases() {
  // Rows of nothing, of some tokens, of several sequences; more than are turned
  // at once, between others; the state's keys in several parts.
  Conversation steps{"steps",
                     150,
                     {{{0, 5, 0, 0}},
                      {{0, 8, 0, 5}},
                      {{0, 1, 0, 13}, {1, 1, 130, 0}, {2, 1, 100, 0}},
                      {{0, 3, 0, 14}, {3, 2, 130, 1}},
                      {{0, 20, 0, 17}},
                      {{0, 1, 0, 37}},
                      {{0, 30, 0, 38}},
                      {{0, 1, 0, 68}, {1, 7, 100, 1}},
                      {{0, 8, 0, 69}}}};
  Conversation many{"many",
                    160,
                    {{{0, 80, 0, 0}, {80, 21, 120, 0}},
                     {{0, 1, 0, 80}, {1, 1, 120, 21}},
                     {{0, 67, 0, 81}}}};
  std::vector<TurnedCase> cases;
  for (DType type : {DType::BF16, DType::F16}) {
    for (const Heads &heads :
         {Heads{2, 4, 64}, {1, 9, 64}, {2, 3, 128}, {1, 2, 256}}) {
      cases.push_back(turnedCase(heads, steps, type, {}));
      cases.push_back(
          turnedCase(heads, steps, type, {.qNorm = true, .kNorm = true}));
    }
    for (RowKind rope : {RowKind::Rope, RowKind::RopePairs}) {
      cases.push_back(turnedCase({1, 2, 64}, steps, type,
                                 {.rope = rope, .kNorm = true, .window = 20}));
      cases.push_back(turnedCase({3, 1, 128}, steps, type,
                                 {.rope = rope, .qNorm = true, .axes = 3}));
    }
    cases.push_back(turnedCase({1, 2, 256}, steps, type,
                               {.rope = RowKind::RopePairs, .kNorm = true}));
    cases.push_back(turnedCase({2, 3, 64}, many, type, {.kNorm = true}));
    cases.push_back(turnedCase({1, 2, 128}, many, type,
                               {.rope = RowKind::RopePairs, .qNorm = true}));
    cases.push_back(turnedCase({1, 1, 256}, many, type, {.axes = 3}));
  }
  cases.push_back(turnedCase({1, 3, 80}, steps, DType::BF16, {}));
  cases.push_back(turnedCase({1, 3, 80}, many, DType::BF16, {}));
  cases.push_back(turnedCase({2, 2, 64}, steps, DType::F32, {}));
  for (auto keeps : {Options::ReadAgain, Options::InTheWay, Options::MoreSteps})
    cases.push_back(
        turnedCase({2, 2, 64}, steps, DType::BF16, {.keeps = keeps}));
  return cases;
}

} // namespace mbc::test
