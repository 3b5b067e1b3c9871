//===- Fusions.cpp - Products with what is around them --------------------===//

#include "test/Conformance/Fusions.h"
#include "test/Conformance/ProgramMaker.h"
#include "test/Conformance/Values.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

namespace mbc::test {

using plan::DType;
using program::RowKind;

namespace {

/// A call of `rows` in a function of `capacity`.
struct Rows {
  uint32_t rows, capacity;
};

/// Makes a program whose activations are windows of one block of memory.
class Maker {
public:
  Maker(std::string name, Rows rows, DType type)
      : make(rows.capacity), rows(rows), type(type),
        pool(make.buffer(type, {rows.capacity, 1 << 14})) {
    test.name = std::move(name);
  }

  /// Rows of `width` from element `at` on of each row's share of the memory.
  uint32_t at(uint32_t at, uint32_t width) {
    return make.window(pool, uint64_t(at) * rows.capacity,
                       {rows.capacity, width}, {width, 1});
  }
  /// Columns of a buffer.
  uint32_t part(uint32_t of, uint32_t first, uint32_t width) {
    return make.window(of, first, {rows.capacity, width},
                       {make.function->views[of]->strides[0], 1});
  }
  void input(uint32_t to, uint32_t width) {
    program::CopyT copy;
    copy.from = make.input("x", DType::F32, {rows.capacity, width});
    copy.to = to;
    make.add(copy);
    inputs["x"] = bitsOf(numbers(rows.rows * width, type, 1, 2));
  }
  void copy(uint32_t from, uint32_t to) {
    program::CopyT command;
    command.from = from;
    command.to = to;
    make.add(command, body);
  }
  uint32_t vector(uint32_t width) { return weight(0, width, 1); }
  uint32_t multiply(uint32_t x, uint32_t width, uint32_t out, uint32_t columns,
                    bool bias = false) {
    program::GemmT gemm;
    gemm.x = x;
    gemm.weight = weight(columns, width, 1 / std::sqrt(float(width)));
    if (bias)
      gemm.bias = static_cast<int32_t>(vector(columns));
    gemm.out = out;
    make.add(gemm, body);
    return out;
  }
  void steps(const std::vector<program::RowStepT> &steps,
             const std::vector<uint32_t> &operands) {
    program::RowsT command;
    command.kernel = make.kernel(steps, static_cast<uint16_t>(operands.size()));
    command.operands = operands;
    make.add(command, body);
  }
  uint32_t norm(uint32_t x, uint32_t width, uint32_t out) {
    steps({step(RowKind::Load, {}, 0, 1, width),
           step(RowKind::Load, {}, 1, 1, width),
           step(RowKind::RMSNorm, {0, 1}, 0, 1, width, 1e-5),
           step(RowKind::Store, {2}, 2, 1, width)},
          {x, vector(width), out});
    return out;
  }
  /// out = a + b
  uint32_t add(uint32_t a, uint32_t b, uint32_t width, uint32_t out) {
    steps({step(RowKind::Load, {}, 0, 1, width),
           step(RowKind::Load, {}, 1, 1, width),
           step(RowKind::Add, {0, 1}, 0, 1, width),
           step(RowKind::Store, {2}, 2, 1, width)},
          {a, b, out});
    return out;
  }
  uint32_t output(uint32_t width) {
    return make.output({rows.capacity, width});
  }

  /// What follows is the body of the layers.
  void beginLayers(uint32_t count) {
    layers = count;
    repeat.stack = "decoder";
    repeat.runs = {{0, 0, count}};
    repeat.bodies.push_back(std::make_unique<program::BodyT>());
    body = repeat.bodies.back().get();
  }
  void endLayers() {
    body = nullptr;
    layers = 0;
    make.add(std::move(repeat));
  }

  FusionCase finish(uint64_t fusedProducts) {
    test.name +=
        fmt::format("/{}of{}/{}", rows.rows, rows.capacity, nameOf(type));
    test.calls = {{rows.rows, {{0, rows.rows, 0, 0}}, inputs}};
    test.slots = rows.capacity;
    // Against the host; of 16 bits every value is rounded on its way.
    size_t count = make.function->outputs[0]->dims[1];
    test.bound.assign(rows.rows * count, type == DType::F32    ? 2e-4
                                         : type == DType::BF16 ? 0.15
                                                               : 2e-2);
    test.program = std::make_shared<program::ProgramT>(std::move(make.program));
    return {std::move(test), fusedProducts};
  }

  ProgramMaker make;

private:
  uint32_t weight(uint32_t count, uint32_t width, float scale) {
    ProgramMaker::Dims all;
    for (uint32_t layer = 0; layer < layers; ++layer)
      all.push_back(layer);
    auto seed = static_cast<uint32_t>(test.weights.size());
    test.weights.push_back(
        numbers(size_t(std::max(1u, layers)) * std::max(1u, count) * width,
                type, 100 + seed, scale));
    return make.weight(fmt::format("w{}", seed), type, count, width, all);
  }

  Rows rows;
  DType type;
  uint32_t pool;
  Case test;
  std::map<std::string, std::vector<int32_t>> inputs;
  program::RepeatT repeat;
  program::BodyT *body = nullptr;
  uint32_t layers = 0;
};

/// How a decoder's layer is made.
struct Layer {
  uint32_t width, inner;
  RowKind norm; ///< RMSNorm, with a weight that counts from one; LayerNorm
  RowKind activation;
  bool gated, bias;
  bool reused; ///< buffers lie on those that are no longer needed
};

/// Two layers as a dense decoder has them, without attention, then a head.
FusionCase decoder(const Layer &layer, Rows rows, DType type) {
  uint32_t width = layer.width, inner = layer.inner,
           columns = layer.gated ? 2 * inner : inner;
  bool centred = layer.norm == RowKind::LayerNorm;
  Maker m(fmt::format("fused/{}x{}/{}/{}{}{}{}", width, inner,
                      centred ? "layer" : "rms",
                      program::EnumNameRowKind(layer.activation),
                      layer.gated ? "/gated" : "", layer.bias ? "/bias" : "",
                      layer.reused ? "/reused" : ""),
          rows, type);
  // Those that live at one time are in two places by turns.
  uint32_t size = std::max(columns, width), next = 2 * size;
  auto buffer = [&](int turn, uint32_t columns) {
    if (layer.reused)
      return m.at(turn * size, columns);
    uint32_t at = next;
    next += columns;
    return m.at(at, columns);
  };
  uint32_t h = m.at(next, width), sum = m.at(next + width, width);
  next += 2 * width;

  // normed = norm(x), or of x + y, which is stored.
  auto norm = [&](uint32_t x, int64_t y, uint32_t normed) {
    std::vector<program::RowStepT> steps;
    std::vector<uint32_t> operands;
    auto push = [&](program::RowStepT of) {
      steps.push_back(std::move(of));
      return static_cast<uint16_t>(steps.size() - 1);
    };
    auto load = [&](uint32_t view) {
      operands.push_back(view);
      return push(step(RowKind::Load, {},
                       static_cast<uint16_t>(operands.size() - 1), 1, width));
    };
    uint16_t value = load(x);
    uint16_t other = y >= 0 ? load(static_cast<uint32_t>(y)) : 0;
    std::vector<uint16_t> inputs = {0, load(m.vector(width))};
    if (centred)
      inputs.push_back(load(m.vector(width)));
    if (y >= 0)
      value = push(step(RowKind::Add, {value, other}, 0, 1, width));
    if (!centred)
      inputs[1] = push(step(RowKind::AddScalar, {inputs[1]}, 0, 1, width, 1.0));
    inputs[0] = value;
    uint16_t result = push(step(layer.norm, inputs, 0, 1, width, 1e-5));
    if (y >= 0) {
      operands.push_back(sum);
      push(step(RowKind::Store, {value},
                static_cast<uint16_t>(operands.size() - 1), 1, width));
    }
    operands.push_back(normed);
    push(step(RowKind::Store, {result},
              static_cast<uint16_t>(operands.size() - 1), 1, width));
    m.steps(steps, operands);
    return normed;
  };

  m.input(h, width);
  m.beginLayers(2);
  uint32_t n = norm(h, -1, buffer(1, width));
  uint32_t a = m.multiply(n, width, buffer(0, width), width, layer.bias);
  uint32_t o = m.multiply(a, width, buffer(1, width), width);
  uint32_t x = norm(h, o, buffer(0, width));
  uint32_t up = m.multiply(x, width, buffer(1, columns), columns, layer.bias);
  uint32_t f = buffer(0, inner);
  if (layer.gated)
    m.steps({step(RowKind::Load, {}, 0, 1, inner),
             step(RowKind::Load, {}, 1, 1, inner),
             step(layer.activation, {0}, 0, 1, inner),
             step(RowKind::Mul, {2, 1}, 0, 1, inner),
             step(RowKind::Store, {3}, 2, 1, inner)},
            {m.part(up, 0, inner), m.part(up, inner, inner), f});
  else
    m.steps({step(RowKind::Load, {}, 0, 1, inner),
             step(layer.activation, {0}, 0, 1, inner),
             step(RowKind::Store, {1}, 1, 1, inner)},
            {up, f});
  uint32_t down = m.multiply(f, inner, buffer(1, width), width, layer.bias);
  m.add(sum, down, width, h);
  m.endLayers();
  m.multiply(norm(h, -1, buffer(1, width)), width, m.output(19), 19);

  uint32_t piece = type == DType::F32 ? 4 : 8;
  bool whole = width % piece == 0 && inner % piece == 0;
  // Of several rows the first product of the feed-forward reads the norm, whose
  // memory its own result may have.
  uint64_t fused = rows.rows == 1 ? 9 : layer.reused ? 2 : 4;
  return m.finish(!whole || rows.rows > 8 ? 0 : fused);
}

/// One product whose output goes through many steps, two of which are kept.
FusionCase manySteps(Rows rows, DType type) {
  constexpr uint32_t width = 40, columns = 24;
  Maker m("fused/steps", rows, type);
  uint32_t x = m.at(0, width), y = m.at(104, columns), z = m.at(200, columns),
           one = m.at(304, columns), two = m.at(400, columns);
  m.input(x, width);
  m.multiply(x, width, z, columns);
  // The row is read once more later on.
  m.multiply(x, width, y, columns, true);
  m.steps({step(RowKind::Load, {}, 0, 1, columns),
           step(RowKind::Load, {}, 1, 3, 8),
           step(RowKind::Load, {}, 2, 1, columns),
           step(RowKind::Sigmoid, {1}, 0, 3, 8),
           step(RowKind::Sub, {0, 3}, 0, 1, columns),
           step(RowKind::Mul, {4, 2}, 0, 1, columns),
           step(RowKind::MulScalar, {5}, 0, 1, columns, 0.75),
           step(RowKind::AddScalar, {6}, 0, 1, columns, -0.25),
           step(RowKind::Gelu, {7}, 0, 1, columns),
           step(RowKind::Store, {7}, 3, 1, columns),
           step(RowKind::Add, {8, 0}, 0, 1, columns),
           step(RowKind::Store, {10}, 4, 1, columns)},
          {y, z, m.vector(columns), one, two});
  uint32_t out = m.output(4 * columns);
  m.copy(y, m.part(out, 0, columns));
  m.copy(z, m.part(out, columns, columns));
  m.copy(one, m.part(out, 2 * columns, columns));
  m.copy(two, m.part(out, 3 * columns, columns));
  return m.finish(rows.rows <= 8);
}

/// Several products take one norm, of what a product made; what is normed lies
/// in its place.
FusionCase severalTakers(Rows rows, DType type) {
  constexpr uint32_t width = 64;
  Maker m("fused/takers", rows, type);
  uint32_t x = m.at(0, width), y = m.at(104, width);
  m.input(x, width);
  m.multiply(x, width, y, width);
  uint32_t n = m.norm(y, width, y);
  uint32_t out = m.output(3 * width);
  for (uint32_t i = 0; i < 3; ++i)
    m.multiply(n, width, m.part(out, i * width, width), width);
  return m.finish(rows.rows == 1 ? 3 : 0);
}

/// A product takes what one before it hands over, and hands over itself.
FusionCase chain(Rows rows, DType type) {
  constexpr uint32_t width = 64;
  Maker m("fused/chain", rows, type);
  uint32_t sum = m.at(0, width);
  m.input(sum, width);
  uint32_t x = sum;
  for (uint32_t i = 0; i < 4; ++i) {
    uint32_t y = m.multiply(x, width, m.at((3 * i + 1) * width, width), width),
             next = m.at((3 * i + 2) * width, width);
    x = m.at((3 * i + 3) * width, width);
    m.steps({step(RowKind::Load, {}, 0, 1, width),
             step(RowKind::Load, {}, 1, 1, width),
             step(RowKind::Load, {}, 2, 1, width),
             step(RowKind::Add, {0, 1}, 0, 1, width),
             step(RowKind::RMSNorm, {3, 2}, 0, 1, width, 1e-5),
             step(RowKind::Store, {3}, 3, 1, width),
             step(RowKind::Store, {4}, 4, 1, width)},
            {sum, y, m.vector(width), next, x});
    sum = next;
  }
  uint32_t out = m.output(2 * width);
  m.multiply(x, width, m.part(out, 0, width), width);
  m.copy(sum, m.part(out, width, width));
  return m.finish(rows.rows == 1 ? 5 : 0);
}

/// What no product may do: `wrong` says why.
enum class Wrong {
  ResultOnNorm,   ///< the product's row lies on the one that is normed
  SecondOnNorm,   ///< that of the first of two does
  SumOnInput,     ///< steps write over the product's input
  SumOnNorm,      ///< steps write over the row that the product norms
  SumBesideLoad,  ///< steps write over another part of what they read
  SumOnKeptRow,   ///< steps write over the product's row, which is kept
  NormIsRead,     ///< somebody else reads the norm
  NormIsReadNext, ///< in the next layer
  PartOfRow,      ///< steps take a part of the product's row alone
  OtherRows,      ///< the value in between is no product's
};
constexpr const char *names[] = {
    "result-on-norm", "second-on-norm", "sum-on-input", "sum-on-norm",
    "sum-beside",     "sum-on-kept",    "norm-is-read", "norm-is-read-next",
    "part-of-row",    "other-rows"};

FusionCase wrongCase(Wrong wrong, Rows rows, DType type) {
  constexpr uint32_t width = 64;
  Maker m(fmt::format("fused/not/{}", names[int(wrong)]), rows, type);
  uint32_t x = m.at(0, width), y = m.at(104, width), z = m.at(200, width),
           out = m.output(2 * width), first = m.part(out, 0, width),
           second = m.part(out, width, width);
  uint64_t fused = 0;
  m.input(x, width);
  switch (wrong) {
  case Wrong::ResultOnNorm:
    m.norm(x, width, y);
    m.multiply(y, width, m.at(8, width), width);
    m.copy(m.at(8, width), first);
    m.copy(y, second);
    break;
  case Wrong::SecondOnNorm:
    m.norm(x, width, y);
    m.multiply(y, width, m.at(0, width), width);
    m.multiply(y, width, z, width);
    m.copy(x, first);
    m.copy(z, second);
    break;
  case Wrong::SumOnInput:
    m.multiply(x, width, y, width);
    m.add(y, y, width, m.at(8, width));
    m.copy(m.at(8, width), first);
    m.copy(y, second);
    break;
  case Wrong::SumOnNorm:
    m.norm(x, width, y);
    m.multiply(y, width, z, width);
    m.add(z, z, width, x);
    m.copy(x, first);
    m.copy(z, second);
    // Of one row the norm is the product's; of more the steps are.
    fused = rows.rows <= 8;
    break;
  case Wrong::SumBesideLoad:
    m.multiply(x, width, y, width);
    m.copy(x, z);
    m.multiply(x, width, y, width);
    m.add(y, z, width, m.at(208, width));
    m.copy(m.at(208, width), first);
    m.copy(x, second);
    break;
  case Wrong::SumOnKeptRow:
    m.multiply(x, width, y, width);
    m.add(y, x, width, m.at(104 + width / 2, width));
    m.copy(m.at(104 + width / 2, width), first);
    // Half of the row is left.
    m.copy(m.at(104, width / 2), m.part(out, width, width / 2));
    m.copy(m.at(0, width / 2), m.part(out, width + width / 2, width / 2));
    break;
  case Wrong::NormIsRead:
    m.norm(x, width, y);
    m.multiply(y, width, z, width);
    m.copy(z, first);
    m.copy(y, second);
    break;
  case Wrong::NormIsReadNext:
    m.copy(x, y);
    m.beginLayers(2);
    m.add(x, y, width, x);
    m.norm(x, width, y);
    m.multiply(y, width, z, width);
    m.endLayers();
    m.copy(z, first);
    m.copy(x, second);
    break;
  case Wrong::PartOfRow: {
    uint32_t wide = m.at(200, 3 * width);
    m.multiply(x, width, wide, 3 * width);
    m.add(m.part(wide, 0, width), m.part(wide, 2 * width, width), width, y);
    m.copy(y, first);
    m.copy(m.part(wide, width, width), second);
    break;
  }
  case Wrong::OtherRows:
    m.multiply(x, width, y, width);
    m.add(x, x, width, z);
    m.copy(y, first);
    m.copy(z, second);
    break;
  }
  return m.finish(fused);
}

} // namespace

std::vector<FusionCase> fusionCases() {
  std::vector<FusionCase> cases;
  constexpr RowKind rms = RowKind::RMSNorm, layer = RowKind::LayerNorm;
  const Rows calls[] = {{1, 1}, {1, 4}, {3, 8}, {8, 8}, {9, 12}};
  for (DType type : {DType::F32, DType::BF16, DType::F16})
    for (Rows rows : calls) {
      for (bool reused : {false, true}) {
        cases.push_back(decoder(
            {64, 40, rms, RowKind::Silu, true, false, reused}, rows, type));
        cases.push_back(decoder(
            {40, 136, layer, RowKind::Gelu, false, true, reused}, rows, type));
      }
      cases.push_back(manySteps(rows, type));
      cases.push_back(severalTakers(rows, type));
      cases.push_back(chain(rows, type));
      for (int wrong = 0; wrong <= int(Wrong::OtherRows); ++wrong)
        cases.push_back(wrongCase(Wrong(wrong), rows, type));
    }
  // Rows of more than a block's threads have at once, of less than a warp's,
  // and of no whole pieces.
  for (auto [width, inner] : {std::pair(2056u, 24u), {8u, 2064u}, {33u, 31u}})
    cases.push_back(
        decoder({width, inner, rms, RowKind::Gelu, true, true, true}, {1, 1},
                DType::BF16));
  for (Rows rows : {Rows{1, 2}, {5, 5}})
    cases.push_back(
        decoder({24, 1032, layer, RowKind::Sigmoid, true, true, true}, rows,
                DType::F32));
  return cases;
}

} // namespace mbc::test
