//===- LatentAttention.cpp - Attention over latents -----------------------===//

#include "test/Conformance/Conversation.h"
#include "test/Conformance/ProgramMaker.h"

#include <cmath>
#include <fmt/format.h>

namespace mbc::test {

using plan::DType;

namespace {

struct Sizes {
  uint32_t heads, nope, rope, latent, v;
};

/// `rounded`: keys and values, results, and what keys weigh may be rounded to
/// `type`, as tensor cores have it.
Case latentCase(const Sizes &s, const Conversation &conversation, DType type,
                bool absorbed, bool rounded = false) {
  uint32_t rows = conversation.rows(), slots = conversation.slots;
  ProgramMaker make(rows);
  uint32_t both = s.nope + s.rope;
  uint32_t widths[] = {s.heads * both, s.latent + s.rope};
  const char *names[] = {"q", "kv"};
  std::vector<float> values[2];
  uint32_t buffers[2];
  for (uint32_t i = 0; i < 2; ++i) {
    values[i] = numbers(size_t(slots) * widths[i], type, 20 + i, 1);
    buffers[i] = make.buffer(type, {rows, widths[i]});
    program::CopyT copy;
    copy.from = make.input(names[i], DType::F32, {rows, widths[i]});
    copy.to = buffers[i];
    make.add(copy);
  }
  double scale = 1 / std::sqrt(double(both));
  program::LatentAttentionT attention;
  // Side by side, as projections give them.
  attention.q_nope =
      make.window(buffers[0], 0, {rows, s.heads, s.nope}, {widths[0], both, 1});
  attention.q_rope = make.window(buffers[0], s.nope, {rows, s.heads, s.rope},
                                 {widths[0], both, 1});
  attention.latent =
      make.window(buffers[1], 0, {rows, s.latent}, {widths[1], 1});
  attention.k_rope =
      make.window(buffers[1], s.latent, {rows, s.rope}, {widths[1], 1});
  attention.up = make.experts("up", type, s.heads, s.nope + s.v, s.latent);
  uint32_t output = make.output({rows, s.heads, s.v});
  attention.out = rounded ? make.buffer(type, {rows, s.heads, s.v}) : output;
  attention.state = make.state(type, {s.latent, s.rope}, {});
  attention.scale = scale;
  attention.absorbed = absorbed;
  make.add(attention);
  if (rounded) {
    program::CopyT copy;
    copy.from = attention.out;
    copy.to = output;
    make.add(copy);
  }

  Case test;
  test.name =
      fmt::format("latent/{}/{}x{}+{}x{}x{}/{}{}{}", conversation.name, s.heads,
                  s.nope, s.rope, s.latent, s.v, nameOf(type),
                  absorbed ? "/absorbed" : "", rounded ? "/rounded" : "");
  test.slots = slots;
  std::vector<float> up = numbers(size_t(s.heads) * (s.nope + s.v) * s.latent,
                                  type, 22, rounded ? 0.1f : 1.0f);
  test.weights = {up};
  for (const std::vector<Part> &parts : conversation.calls) {
    CallOfCase call{0, parts, {}};
    for (uint32_t i = 0; i < 2; ++i)
      call.inputs[names[i]] = rowsOfParts(parts, values[i], widths[i]);
    for (const Part &part : parts) {
      call.rows += part.count;
      auto of = [&](int i, int64_t position, uint32_t index) {
        return double(values[i][(part.slot + position) * widths[i] + index]);
      };
      auto upOf = [&](uint32_t head, uint32_t row, uint32_t c) {
        return double(up[(size_t(head) * (s.nope + s.v) + row) * s.latent + c]);
      };
      for (int64_t p = part.cached; p < part.cached + part.count; ++p)
        for (uint32_t head = 0; head < s.heads; ++head) {
          std::vector<double> scores, sizes;
          for (int64_t t = 0; t <= p; ++t) {
            double dot = 0, size = 0;
            auto term = [&](double value) {
              dot += value;
              size += std::abs(value);
            };
            for (uint32_t i = 0; i < s.nope; ++i)
              for (uint32_t c = 0; c < s.latent; ++c)
                term(of(0, p, head * both + i) * upOf(head, i, c) *
                     of(1, t, c));
            for (uint32_t i = 0; i < s.rope; ++i)
              term(of(0, p, head * both + s.nope + i) * of(1, t, s.latent + i));
            scores.push_back(dot * scale);
            sizes.push_back(size * scale);
          }
          double highest = *std::ranges::max_element(scores), sum = 0;
          for (double &score : scores)
            sum += score = std::exp(score - highest);
          // A score is a sum of sums: it is off by the roundings of both, and
          // by those of a key, of which it is made.
          double largest = *std::ranges::max_element(sizes);
          double off = (double(s.nope) + s.latent + s.rope + 4) * largest;
          // Those, what keys weigh, values and results.
          double rounding =
              rounded ? 1.01 * (2 * largest + 3) * unitOf(type) : 0;
          for (uint32_t j = 0; j < s.v; ++j) {
            double value = 0, size = 0;
            for (int64_t t = 0; t <= p; ++t)
              for (uint32_t c = 0; c < s.latent; ++c) {
                double term =
                    scores[t] / sum * upOf(head, s.nope + j, c) * of(1, t, c);
                value += term;
                size += std::abs(term);
              }
            test.expected.push_back(value);
            // Tensor cores have queries against latents, and what keys weigh,
            // in 16 bits.
            if (absorbed && type != DType::F32)
              test.rounding.push_back(1.01 * (2 * largest + 1) * unitOf(type) *
                                      size);
            test.bound.push_back(
                ((2 * off + double(scores.size()) + s.latent + 16) * unit +
                 rounding) *
                size);
          }
        }
    }
    test.calls.push_back(std::move(call));
  }
  test.program = std::make_shared<program::ProgramT>(std::move(make.program));
  return test;
}

} // namespace

std::vector<Case> latentCases() {
  std::vector<Case> cases;
  for (DType type : {DType::F32, DType::BF16, DType::F16})
    for (const Conversation &conversation : conversations())
      for (const Sizes &sizes :
           {Sizes{1, 8, 4, 16, 8}, {3, 12, 6, 20, 5}, {18, 5, 2, 7, 3}})
        for (bool absorbed : {false, true})
          cases.push_back(latentCase(sizes, conversation, type, absorbed));
  // Widths that tensor cores take, fewer and more heads than they share a key
  // with.
  std::vector<Conversation> all = conversations();
  for (DType type : {DType::BF16, DType::F16}) {
    for (const Sizes &sizes : {Sizes{2, 8, 16, 48, 8}, {17, 4, 32, 80, 4}})
      cases.push_back(latentCase(sizes, all[2], type, true));
    cases.push_back(latentCase({37, 3, 80, 16, 5}, all[3], type, true));
    // The widths of DeepSeek-V3, late in a sequence.
    Conversation late{"late", 150, {{{0, 60, 0, 0}}, {{0, 1, 0, 60}}}};
    cases.push_back(latentCase({33, 2, 64, 512, 2}, late, type, true));
  }
  return cases;
}

std::vector<Case> latentPrefillCases() {
  // In another order than they come, with gaps; one that goes on, one that
  // begins.
  Conversation mixed{"mixed",
                     400,
                     {{{0, 70, 200, 0}, {70, 20, 0, 0}},
                      {{0, 9, 200, 70}, {9, 30, 100, 0}, {39, 40, 0, 20}}}};
  std::vector<Case> cases;
  for (DType type : {DType::BF16, DType::F16})
    for (const Sizes &sizes : {Sizes{2, 128, 64, 32, 128}, {3, 32, 32, 24, 64}})
      cases.push_back(latentCase(sizes, mixed, type, false, true));
  return cases;
}

} // namespace mbc::test
