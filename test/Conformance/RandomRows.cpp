//===- RandomRows.cpp - Row kernels of random steps -----------------------===//

#include "test/Conformance/Case.h"
#include "test/Conformance/ProgramMaker.h"
#include "test/Conformance/Values.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <random>

namespace mbc::test {

using program::RowKind;

Case randomRowCase(uint32_t seed) {
  std::mt19937 random(seed);
  auto below = [&](uint32_t count) {
    return static_cast<uint32_t>(random() % count);
  };
  constexpr plan::DType types[] = {plan::DType::F32, plan::DType::BF16,
                                   plan::DType::F16};
  plan::DType type = types[below(3)];
  constexpr uint32_t widths[] = {2, 6, 8, 10, 24, 34, 64, 96, 130, 256, 640};
  uint32_t width = widths[below(std::size(widths))], vectors = 1 + below(4),
           count = vectors * width, rows = 3, stride = 5 * count + 7;
  ProgramMaker make(rows);
  uint32_t given = make.input("x", plan::DType::F32, {rows, stride});
  uint32_t memory = make.buffer(type, {rows, stride});
  auto copy = [&](uint32_t from, uint32_t to) {
    program::CopyT command;
    command.from = from;
    command.to = to;
    make.add(command);
  };
  copy(given, memory);
  std::vector<uint32_t> views;
  auto window = [&](uint32_t elements) {
    uint32_t parts = elements == count ? vectors : 1, part = elements / parts;
    if (below(6) == 0 && part % 3 == 0) {
      parts *= 3;
      part /= 3;
    }
    uint32_t step = 1 + (below(5) == 0),
             gap = below(3) ? below(2) * part : below(4);
    uint32_t pitch = part * step + gap;
    while (pitch * parts > stride)
      pitch = part, step = 1;
    uint32_t room = stride - pitch * parts;
    views.push_back(make.window(memory, below(3) ? below(room + 1) : room / 2,
                                {rows, parts, part}, {stride, pitch, step}));
    return static_cast<uint16_t>(views.size() - 1);
  };
  // Values by their size; shared ones of a segment come last.
  std::vector<program::RowStepT> steps;
  std::vector<uint16_t> whole, segments;
  for (uint32_t i = 0, loads = 1 + below(3); i < loads; ++i) {
    whole.push_back(static_cast<uint16_t>(steps.size()));
    steps.push_back(step(RowKind::Load, {}, window(count), 1, count));
  }
  for (int i = 0; i < 2; ++i) {
    segments.push_back(static_cast<uint16_t>(steps.size()));
    steps.push_back(step(RowKind::Load, {}, window(width), 1, width));
  }
  auto pick = [&](const std::vector<uint16_t> &of) {
    return of[below(static_cast<uint32_t>(of.size()))];
  };
  uint32_t stores = 0;
  for (uint32_t i = 0, more = 2 + below(7); i < more || stores == 0; ++i) {
    auto kind = static_cast<RowKind>(below(14));
    auto number = static_cast<uint16_t>(steps.size());
    // Sometimes over the whole row.
    bool wholeRow = below(4) == 0;
    switch (kind) {
    case RowKind::Load:
      steps.push_back(step(kind, {}, window(count), 1, count));
      whole.push_back(number);
      break;
    case RowKind::Store:
      ++stores;
      steps.push_back(step(kind, {pick(whole)}, window(count), 1, count));
      break;
    case RowKind::Add:
    case RowKind::Sub:
      steps.push_back(step(kind, {pick(whole), pick(whole)}, 0, 1, count));
      whole.push_back(number);
      break;
    case RowKind::Mul: {
      // By a value of at most one.
      steps.push_back(step(RowKind::Sigmoid, {pick(whole)}, 0, 1, count));
      steps.push_back(step(kind, {pick(whole), number}, 0, 1, count));
      whole.push_back(number + 1);
      break;
    }
    case RowKind::RMSNorm:
    case RowKind::LayerNorm:
    case RowKind::Rope:
    case RowKind::RopePairs: {
      std::vector<uint16_t> inputs{pick(whole), pick(segments), pick(segments)};
      inputs.resize(kind == RowKind::LayerNorm ? 3 : 2);
      if (wholeRow) {
        for (size_t n = 1; n < inputs.size(); ++n)
          inputs[n] = pick(whole);
        steps.push_back(step(kind, inputs, 0, 1, count, 0.5));
      } else {
        steps.push_back(step(kind, inputs, 0, vectors, width, 0.5));
      }
      whole.push_back(number);
      break;
    }
    default:
      steps.push_back(step(kind, {pick(whole)}, 0, 1, count, 0.75));
      whole.push_back(number);
      if (below(4) == 0) {
        segments.push_back(static_cast<uint16_t>(steps.size()));
        steps.push_back(step(kind, {segments[0]}, 0, 1, width, 0.75));
      }
    }
  }
  program::RowsT command;
  command.kernel = make.kernel(steps, static_cast<uint16_t>(views.size()));
  command.operands = views;
  make.add(command);
  copy(memory, make.output({rows, stride}));
  Case test;
  test.name = fmt::format("random/{}", seed);
  test.calls = {{rows,
                 {{0, rows, 0, 0}},
                 {{"x", bitsOf(numbers(rows * stride, type, seed + 1, 2))}}}};
  test.slots = rows;
  // Values are near one; those of 16 bits may round apart at every store.
  double bound = type == plan::DType::F32    ? 2e-4
                 : type == plan::DType::BF16 ? 0.15
                                             : 2e-2;
  test.bound.assign(rows * stride, bound);
  test.program = std::make_shared<program::ProgramT>(std::move(make.program));
  return test;
}

std::string fileNameOf(const Case &test) {
  std::string name = test.name + ".mbcp";
  std::ranges::replace(name, '/', '_');
  return name;
}

void expectNear(const Case &test, const std::vector<float> &found,
                const std::vector<float> &expected) {
  ASSERT_EQ(found.size(), expected.size());
  for (size_t i = 0; i < found.size(); ++i) {
    double off = std::abs(found[i] - expected[i]);
    double most = test.bound[i] * std::max(1.0f, std::abs(expected[i]));
    ASSERT_TRUE(off <= most) << "element " << i << " is " << found[i]
                             << ", expected " << expected[i];
  }
}

} // namespace mbc::test
