//===- Rows.cpp - Row kernels ---------------------------------------------===//

#include "test/Conformance/Case.h"
#include "test/Conformance/ProgramMaker.h"
#include "test/Conformance/Values.h"

#include <cmath>
#include <fmt/format.h>

namespace mbc::test {

using plan::DType;
using program::RowKind;

namespace {

/// An element of the reference, and how far off it may be.
struct Element {
  double value, bound;
};

/// One kind of step on two rows and up to two weights of `width`.
struct RowOp {
  RowKind kind;
  const char *name;
  int rowInputs, weights;
  double scalar;
  /// x, y: rows of `width` each, w, b: weights; i: the element.
  Element (*element)(const std::vector<double> &x, const std::vector<double> &y,
                     const std::vector<double> &w, const std::vector<double> &b,
                     size_t i, double scalar);
};

#define ROW_ARGS                                                               \
  [[maybe_unused]] const std::vector<double> &x,                               \
      [[maybe_unused]] const std::vector<double> &y,                           \
      [[maybe_unused]] const std::vector<double> &w,                           \
      [[maybe_unused]] const std::vector<double> &b,                           \
      [[maybe_unused]] size_t i, [[maybe_unused]] double scalar

/// One operation rounds once; sums of a row in float32 lose little more; the
/// functions of exp are good to some units.
Element exact(double value) { return {value, unit * std::abs(value)}; }

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

const RowOp ops[] = {
    {RowKind::Add, "add", 2, 0, 0, [](ROW_ARGS) { return exact(x[i] + y[i]); }},
    {RowKind::Sub, "sub", 2, 0, 0, [](ROW_ARGS) { return exact(x[i] - y[i]); }},
    {RowKind::Mul, "mul", 2, 0, 0, [](ROW_ARGS) { return exact(x[i] * y[i]); }},
    {RowKind::AddScalar, "add_scalar", 1, 0, 1.5,
     [](ROW_ARGS) { return exact(x[i] + scalar); }},
    {RowKind::MulScalar, "mul_scalar", 1, 0, 1.5,
     [](ROW_ARGS) { return exact(x[i] * scalar); }},
    {RowKind::Sigmoid, "sigmoid", 1, 0, 0,
     [](ROW_ARGS) {
       return Element{sigmoid(x[i]), 8 * unit * sigmoid(x[i]) + 1e-38};
     }},
    {RowKind::Silu, "silu", 1, 0, 0,
     [](ROW_ARGS) {
       double v = x[i] * sigmoid(x[i]);
       return Element{v, 8 * unit * std::abs(v) + 1e-36};
     }},
    {RowKind::Gelu, "gelu", 1, 0, 0,
     [](ROW_ARGS) {
       // Of the error function to 3e-7.
       double v = 0.5 * x[i] * (1 + std::erf(x[i] / std::sqrt(2.0)));
       return Element{v, 5e-7 * std::abs(x[i])};
     }},
    {RowKind::RMSNorm, "rms_norm", 1, 1, 1e-5,
     [](ROW_ARGS) {
       double squares = 0;
       for (double v : x)
         squares += v * v;
       double v = x[i] * w[i] / std::sqrt(squares / x.size() + scalar);
       return Element{v, (8 + x.size() / 8.0) * unit * std::abs(v)};
     }},
    {RowKind::LayerNorm, "layer_norm", 1, 2, 1e-5,
     [](ROW_ARGS) {
       double mean = 0, squares = 0, largest = 0;
       for (double v : x)
         mean += v / x.size();
       for (double v : x) {
         squares += (v - mean) * (v - mean);
         largest = std::max(largest, std::abs(v));
       }
       double factor = 1 / std::sqrt(squares / x.size() + scalar);
       double v = (x[i] - mean) * factor * w[i] + b[i];
       return Element{v,
                      (8 + x.size() / 8.0) * unit *
                          (largest * factor * std::abs(w[i]) + std::abs(b[i]))};
     }},
    {RowKind::Rope, "rope", 2, 0, 0,
     [](ROW_ARGS) {
       size_t half = x.size() / 2, pair = i % half;
       double a = x[pair], c = x[pair + half], cosine = y[pair],
              sine = y[pair + half];
       double v = i < half ? a * cosine - c * sine : c * cosine + a * sine;
       return Element{v, 3 * unit * (std::abs(a) + std::abs(c)) *
                             std::max(std::abs(cosine), std::abs(sine))};
     }},
    {RowKind::RopePairs, "rope_pairs", 2, 0, 0,
     [](ROW_ARGS) {
       size_t half = x.size() / 2, pair = i / 2;
       double a = x[2 * pair], c = x[2 * pair + 1], cosine = y[pair],
              sine = y[pair + half];
       double v = i % 2 == 0 ? a * cosine - c * sine : c * cosine + a * sine;
       return Element{v, 3 * unit * (std::abs(a) + std::abs(c)) *
                             std::max(std::abs(cosine), std::abs(sine))};
     }},
};

std::vector<double> slice(const std::vector<float> &values, size_t first,
                          size_t count) {
  return {values.begin() + static_cast<ptrdiff_t>(first),
          values.begin() + static_cast<ptrdiff_t>(first + count)};
}

/// The op on `rows` rows of `vectors` x `width`, given in `type`; x is the
/// second of two parts of what it was split from.
Case rowCase(const RowOp &op, uint32_t rows, uint32_t vectors, uint32_t width,
             DType type, float scale) {
  bool angles = op.kind == RowKind::Rope || op.kind == RowKind::RopePairs;
  ProgramMaker make(rows);
  uint32_t count = vectors * width, yCount = angles ? width : count;
  std::vector<uint32_t> views;
  std::vector<program::RowStepT> steps;
  Case test;
  test.name = fmt::format("rows/{}/{}x{}x{}/{}/{}", op.name, rows, vectors,
                          width, nameOf(type), scale);
  std::vector<float> xs = numbers(rows * count, type, 1, scale),
                     ys = numbers(rows * yCount, type, 2, scale),
                     ws = numbers(width, type, 3), bs = numbers(width, type, 4);
  std::map<std::string, std::vector<int32_t>> inputs;
  auto given = [&](const char *name, const std::vector<float> &values,
                   uint32_t vectors) {
    uint32_t from = make.input(name, DType::F32, {rows, vectors, width});
    uint32_t whole = make.buffer(type, {rows, 2 * vectors, width});
    uint32_t part = make.window(whole, vectors * width, {rows, vectors, width},
                                {2 * vectors * width, width, 1});
    program::CopyT copy;
    copy.from = from;
    copy.to = part;
    make.add(copy);
    inputs[name] = bitsOf(values);
    steps.push_back(step(RowKind::Load, {}, views.size(), vectors, width));
    views.push_back(part);
  };
  given("x", xs, vectors);
  if (op.rowInputs == 2)
    given("y", ys, angles ? 1 : vectors);
  for (int i = 0; i < op.weights; ++i) {
    steps.push_back(step(RowKind::Load, {}, views.size(), 1, width));
    views.push_back(make.weight(i == 0 ? "w" : "b", type, 0, width));
    test.weights.push_back(i == 0 ? ws : bs);
  }
  std::vector<uint16_t> operands;
  for (size_t i = 0; i < steps.size(); ++i)
    operands.push_back(i);
  steps.push_back(step(op.kind, operands, 0, vectors, width, op.scalar));
  steps.push_back(step(RowKind::Store, {uint16_t(steps.size() - 1)},
                       views.size(), vectors, width));
  views.push_back(make.output({rows, vectors, width}));
  program::RowsT command;
  command.kernel = make.kernel(steps, views.size());
  command.operands = views;
  make.add(command);
  test.calls = {{rows, {{0, rows, 0, 0}}, inputs}};
  for (uint32_t row = 0; row < rows; ++row)
    for (uint32_t vector = 0; vector < vectors; ++vector) {
      std::vector<double> x = slice(xs, row * count + vector * width, width),
                          y = slice(
                              ys, row * yCount + (angles ? 0 : vector * width),
                              width),
                          w = slice(ws, 0, width), b = slice(bs, 0, width);
      for (uint32_t i = 0; i < width; ++i) {
        Element element = op.element(x, y, w, b, i, op.scalar);
        test.expected.push_back(element.value);
        test.bound.push_back(element.bound);
      }
    }
  test.slots = rows;
  test.program = std::make_shared<program::ProgramT>(std::move(make.program));
  return test;
}

} // namespace

/// silu(gate) * up and the sum before a norm, as nn-fuse makes them: several
/// steps, two results, one over what it reads.
static Case fusedCase(DType type) {
  constexpr uint32_t rows = 9, width = 37;
  ProgramMaker make(rows);
  uint32_t given = make.input("x", DType::F32, {rows, 2, width});
  uint32_t both = make.buffer(type, {rows, 2, width});
  uint32_t gate = make.window(both, 0, {rows, width}, {2 * width, 1}),
           up = make.window(both, width, {rows, width}, {2 * width, 1});
  program::CopyT copy;
  copy.from = given;
  copy.to = both;
  make.add(copy);
  program::RowsT command;
  command.kernel = make.kernel({step(RowKind::Load, {}, 0, 1, width),
                                step(RowKind::Load, {}, 1, 1, width),
                                step(RowKind::Silu, {0}, 0, 1, width),
                                step(RowKind::Mul, {2, 1}, 0, 1, width),
                                step(RowKind::Store, {3}, 2, 1, width),
                                step(RowKind::Store, {2}, 3, 1, width)},
                               4);
  command.operands = {gate, up, gate, up};
  make.add(command);
  copy.from = both;
  copy.to = make.output({rows, 2, width});
  make.add(copy);
  Case test;
  test.name = fmt::format("rows/glu/{}", nameOf(type));
  std::vector<float> xs = numbers(rows * 2 * width, type, 5, 4);
  test.calls = {{rows, {{0, rows, 0, 0}}, {{"x", bitsOf(xs)}}}};
  double stored = type == DType::BF16  ? 0x1p-8
                  : type == DType::F16 ? 0x1p-11
                                       : unit;
  for (uint32_t row = 0; row < rows; ++row)
    for (bool product : {true, false})
      for (uint32_t i = 0; i < width; ++i) {
        double g = xs[row * 2 * width + i], u = xs[row * 2 * width + width + i],
               v = g * sigmoid(g) * (product ? u : 1);
        test.expected.push_back(v);
        // Small values of float16 have fewer digits.
        test.bound.push_back((9 * unit + 1.01 * stored) * std::abs(v) +
                             (type == DType::F16 ? 0x1p-25 : 1e-36));
      }
  test.slots = rows;
  test.program = std::make_shared<program::ProgramT>(std::move(make.program));
  return test;
}

std::vector<Case> rowCases() {
  std::vector<Case> cases;
  for (const RowOp &op : ops)
    for (DType type : {DType::F32, DType::BF16, DType::F16})
      for (auto [rows, vectors, width] : {std::tuple(1u, 1u, 2u),
                                          {3u, 2u, 6u},
                                          {5u, 3u, 64u},
                                          {2u, 1u, 34u},
                                          {70u, 1u, 18u},
                                          {2u, 1u, 1026u},
                                          {3u, 1u, 15u},
                                          {2u, 3u, 1u}}) {
        if (width % 2 == 1 &&
            (op.kind == RowKind::Rope || op.kind == RowKind::RopePairs))
          continue;
        // Small values, and those at which functions of exp saturate.
        for (float scale : {1.0f, 120.0f})
          if (scale == 1.0f || width == 34u)
            cases.push_back(rowCase(op, rows, vectors, width, type, scale));
      }
  for (DType type : {DType::F32, DType::BF16, DType::F16})
    cases.push_back(fusedCase(type));
  return cases;
}

} // namespace mbc::test
