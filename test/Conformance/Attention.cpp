//===- Attention.cpp - Grouped queries over a state -----------------------===//

#include "test/Conformance/Conversation.h"
#include "test/Conformance/ProgramMaker.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

namespace mbc::test {

using plan::DType;

namespace {

struct Heads {
  uint32_t kv, group, d, dv;
};

/// `remembers`: over a state; else the parts of a call are those of one call
/// alone, which `ends` tells apart. `rounded`: results, and what keys weigh,
/// may be rounded to `type`, as tensor cores have it.
Case attentionCase(const Heads &h, const Conversation &conversation, DType type,
                   bool causal, uint32_t window, bool remembers = true,
                   bool rounded = false) {
  uint32_t rows = conversation.rows();
  ProgramMaker make(rows);
  uint32_t slots = conversation.slots;
  uint32_t widths[] = {h.kv * h.group * h.d, h.kv * h.d, h.kv * h.dv};
  const char *names[] = {"q", "k", "v"};
  // q, k and v lie side by side, as a projection gives them.
  uint32_t all = widths[0] + widths[1] + widths[2];
  uint32_t whole = make.buffer(type, {rows, all});
  std::vector<float> values[3];
  for (uint32_t i = 0, at = 0; i < 3; at += widths[i++]) {
    values[i] = numbers(size_t(slots) * widths[i], type, 10 + i, 2);
    program::CopyT copy;
    copy.from = make.input(names[i], DType::F32, {rows, widths[i]});
    copy.to = make.window(whole, at, {rows, widths[i]}, {all, 1});
    make.add(copy);
  }
  double scale = 1 / std::sqrt(double(h.d));
  program::AttentionT attention;
  attention.q = make.window(whole, 0, {rows, h.kv, h.group, h.d},
                            {all, h.group * h.d, h.d, 1});
  attention.k = make.window(whole, widths[0], {rows, h.kv, h.d}, {all, h.d, 1});
  attention.v = make.window(whole, widths[0] + widths[1], {rows, h.kv, h.dv},
                            {all, h.dv, 1});
  uint32_t out = make.output({rows, h.kv, h.group, h.dv});
  attention.out =
      rounded ? make.buffer(type, {rows, h.kv, h.group, h.dv}) : out;
  if (remembers)
    attention.state =
        static_cast<int32_t>(make.state(type, {widths[1], widths[2]}, {}));
  else if (conversation.calls[0].size() > 1)
    attention.ends =
        static_cast<int32_t>(make.input("ends", DType::I32, {rows}));
  attention.scale = scale;
  attention.causal = causal;
  attention.window = window;
  make.add(attention);
  if (rounded) {
    program::CopyT copy;
    copy.from = attention.out;
    copy.to = out;
    make.add(copy);
  }

  Case test;
  test.name =
      fmt::format("attention/{}/{}x{}x{}x{}/{}{}{}{}{}", conversation.name,
                  h.kv, h.group, h.d, h.dv, nameOf(type), causal ? "" : "/all",
                  window ? fmt::format("/window{}", window) : "",
                  remembers ? "" : "/alone", rounded ? "/rounded" : "");
  test.slots = slots;
  for (const std::vector<Part> &parts : conversation.calls) {
    CallOfCase call{0, parts, {}};
    for (uint32_t i = 0; i < 3; ++i)
      call.inputs[names[i]] = rowsOfParts(parts, values[i], widths[i]);
    for (const Part &part : parts) {
      call.rows += part.count;
      int64_t total = part.cached + part.count;
      for (int64_t p = part.cached; p < total; ++p)
        for (uint32_t head = 0; head < h.kv; ++head)
          for (uint32_t g = 0; g < h.group; ++g) {
            auto at = [&](int i, int64_t position, uint32_t index) {
              return double(
                  values[i][(part.slot + position) * widths[i] + index]);
            };
            int64_t end = causal ? p + 1 : total;
            int64_t begin = window ? std::max<int64_t>(0, p + 1 - window) : 0;
            std::vector<double> scores;
            for (int64_t t = begin; t < end; ++t) {
              double dot = 0;
              for (uint32_t j = 0; j < h.d; ++j)
                dot += at(0, p, (head * h.group + g) * h.d + j) *
                       at(1, t, head * h.d + j);
              scores.push_back(dot * scale);
            }
            double highest = *std::ranges::max_element(scores), sum = 0;
            for (double &score : scores)
              sum += score = std::exp(score - highest);
            for (uint32_t j = 0; j < h.dv; ++j) {
              double value = 0, size = 0, magnitudes = 0;
              for (int64_t t = begin; t < end; ++t) {
                double term =
                    scores[t - begin] / sum * at(2, t, head * h.dv + j);
                value += term;
                size += std::abs(term);
                magnitudes += std::abs(at(2, t, head * h.dv + j));
              }
              test.expected.push_back(value);
              // Half a unit of the type, of those that are below its least
              // normal number half of its least one.
              test.rounding.push_back(
                  type == DType::BF16  ? 0x1p-8 * size
                  : type == DType::F16 ? 0x1p-11 * size + 0x1p-25 * magnitudes
                                       : 0);
              // A score is off by d roundings of values up to 4 * sqrt(d), and
              // so is what it weighs; the weights and the result are rounded.
              test.bound.push_back(
                  ((4 * std::sqrt(h.d) * (h.d + 2.0) + scores.size() + 16) *
                       unit +
                   (rounded ? 2.01 * unitOf(type) : 0)) *
                  size);
            }
          }
    }
    if (!remembers) {
      call.parts.clear();
      std::vector<int32_t> ends;
      for (const Part &part : parts)
        ends.insert(ends.end(), part.count,
                    static_cast<int32_t>(part.begin + part.count));
      if (parts.size() > 1)
        call.inputs["ends"] = std::move(ends);
    }
    test.calls.push_back(std::move(call));
  }
  test.program = std::make_shared<program::ProgramT>(std::move(make.program));
  return test;
}

} // namespace

std::vector<Case> attentionCases() {
  std::vector<Case> cases;
  for (DType type : {DType::F32, DType::BF16, DType::F16})
    for (const Conversation &conversation : conversations())
      for (const Heads &heads :
           {Heads{1, 5, 8, 8}, {3, 1, 16, 16}, {2, 3, 20, 12}, {1, 1, 2, 1}})
        for (uint32_t window : {0u, 7u})
          cases.push_back(
              attentionCase(heads, conversation, type, true, window));
  Conversation whole = conversations()[1], packed = conversations()[3];
  // More heads in a group than rows of a tile; all rows see all.
  cases.push_back(attentionCase({1, 50, 8, 8}, packed, DType::F32, true, 0));
  cases.push_back(attentionCase({2, 2, 8, 8}, whole, DType::F32, false, 0));
  cases.push_back(attentionCase({2, 2, 64, 64}, whole, DType::BF16, true, 70));
  // Every width of the kernels for many rows, and sequences of which some begin
  // and end within a tile of 64 or 128 queries, after tokens that are cached.
  Conversation many{"many",
                    330,
                    {{{0, 40, 0, 0}, {40, 30, 120, 0}, {70, 64, 200, 0}},
                     {{0, 20, 0, 40}, {20, 90, 120, 30}, {110, 1, 200, 64}}}};
  for (DType type : {DType::BF16, DType::F16}) {
    for (const Heads &heads : {Heads{2, 3, 16, 16},
                               {1, 8, 64, 64},
                               {1, 2, 80, 80},
                               {2, 1, 128, 128},
                               {1, 1, 192, 128},
                               {1, 2, 256, 256},
                               {1, 2, 24, 200}})
      cases.push_back(attentionCase(heads, many, type, true, 0));
    for (const Heads &heads : {Heads{1, 5, 32, 32}, {1, 2, 144, 64}}) {
      cases.push_back(attentionCase(heads, many, type, true, 33));
      cases.push_back(attentionCase(heads, many, type, false, 0));
    }
  }
  // Few rows, whose keys are in several parts, in the state and in the call.
  Conversation steps{"steps",
                     270,
                     {{{0, 44, 0, 0}, {44, 20, 240, 0}},
                      {{0, 64, 0, 44}},
                      {{0, 60, 0, 108}, {60, 3, 240, 20}},
                      {{0, 1, 240, 23}, {1, 2, 0, 168}},
                      {{0, 1, 0, 170}}}};
  for (DType type : {DType::BF16, DType::F16}) {
    for (const Heads &heads :
         {Heads{1, 9, 64, 64}, {2, 3, 128, 128}, {1, 2, 256, 256}})
      cases.push_back(attentionCase(heads, steps, type, true, 0));
    cases.push_back(attentionCase({1, 4, 64, 64}, steps, type, true, 50));
    cases.push_back(attentionCase({1, 1, 128, 128}, steps, type, false, 0));
  }
  // Rows of one call: all of them, and parts of which some end at each other's
  // blocks of keys; fewer rows than the function's.
  Conversation alone{"alone", 150, {{{0, 150, 0, 0}}, {{0, 3, 20, 0}}}};
  Conversation parts{"parts",
                     160,
                     {{{0, 64, 0, 0}, {64, 1, 64, 0}, {65, 70, 70, 0}},
                      {{0, 4, 0, 0}, {4, 4, 9, 0}, {8, 1, 30, 0}}}};
  for (DType type : {DType::F32, DType::BF16, DType::F16})
    for (const Conversation &conversation : {alone, parts})
      for (bool causal : {false, true}) {
        cases.push_back(attentionCase({3, 1, 20, 12}, conversation, type,
                                      causal, 0, false));
        cases.push_back(
            attentionCase({2, 3, 8, 8}, conversation, type, causal, 0, false));
      }
  return cases;
}

std::vector<Case> prefillCases() {
  std::vector<Case> cases;
  // Sequences that lie in another order than they come, with gaps; what goes on
  // and what begins, together; more of them than places of a first plan.
  Conversation mixed{
      "mixed",
      700,
      {{{0, 130, 400, 0}, {130, 30, 0, 0}, {160, 1, 300, 0}},
       {{0, 70, 400, 130}, {70, 64, 0, 30}, {134, 3, 300, 1}, {137, 5, 610, 0}},
       {{0, 2, 300, 4}},
       {{0, 1, 400, 200}, {1, 128, 0, 94}}}};
  Conversation many{"many", 400, {{}}};
  for (int64_t i = 0; i < 20; ++i)
    many.calls[0].push_back({5 * i, 5, 20 * (19 - i), 0});
  Conversation alone{"alone", 150, {{{0, 150, 0, 0}}, {{0, 3, 20, 0}}}};
  for (DType type : {DType::BF16, DType::F16}) {
    for (const Heads &heads : {Heads{2, 4, 64, 64},
                               {2, 1, 96, 96},
                               {2, 3, 128, 128},
                               {1, 2, 256, 256},
                               {3, 1, 72, 72},
                               {2, 1, 192, 128}})
      cases.push_back(attentionCase(heads, mixed, type, true, 0, true, true));
    for (uint32_t window : {1u, 50u, 128u})
      cases.push_back(attentionCase({2, 2, 128, 128}, mixed, type, true, window,
                                    true, true));
    cases.push_back(
        attentionCase({2, 2, 64, 64}, many, type, true, 0, true, true));
    for (bool causal : {false, true})
      cases.push_back(
          attentionCase({4, 1, 80, 80}, alone, type, causal, 0, false, true));
  }
  return cases;
}

} // namespace mbc::test
