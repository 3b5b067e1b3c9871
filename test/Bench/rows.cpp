//===- rows.cpp - Generated and interpreted row kernels -------------------===//
//
// ninja -C build/release rows_bench && build/release/bin/rows_bench
//
// One thread, 512 rows, medians; GB/s of the bytes that a kernel reads and
// writes, each once.
//
//===----------------------------------------------------------------------===//

#include "runtime/core/DType.h"
#include "runtime/host/NativeCode.h"
#include "test/Conformance/GeneratedCode.h"
#include "test/Conformance/ProgramMaker.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <fmt/format.h>

using namespace mbc;
using namespace mbc::test;
using program::RowKind;

namespace {

constexpr uint32_t rows = 512;

struct Bench {
  std::string name;
  ProgramMaker make{rows};
  std::vector<uint32_t> operands;
  std::vector<program::RowStepT> steps;

  uint16_t operand(uint32_t view) {
    operands.push_back(view);
    return static_cast<uint16_t>(operands.size() - 1);
  }
  uint16_t load(uint32_t view, uint32_t count) {
    return add(RowKind::Load, {}, operand(view), 1, count);
  }
  void store(uint16_t value, uint32_t view, uint32_t count) {
    add(RowKind::Store, {value}, operand(view), 1, count);
  }
  uint16_t add(RowKind kind, std::vector<uint16_t> inputs, uint16_t operand,
               uint32_t vectors, uint32_t width) {
    steps.push_back(
        step(kind, std::move(inputs), operand, vectors, width, 1e-5));
    return static_cast<uint16_t>(steps.size() - 1);
  }
};

/// The sum before a norm, over the residual, and the norm.
Bench addNorm(plan::DType type, uint32_t width) {
  Bench b{fmt::format("add+rms_norm {}", width)};
  uint32_t x = b.make.buffer(type, {rows, width});
  uint16_t left = b.load(x, width),
           right = b.load(b.make.buffer(type, {rows, width}), width),
           weight = b.load(b.make.weight("w", type, 0, width), width);
  uint16_t sum = b.add(RowKind::Add, {left, right}, 0, 1, width);
  uint16_t norm = b.add(RowKind::RMSNorm, {sum, weight}, 0, 1, width);
  b.store(sum, x, width);
  b.store(norm, b.make.buffer(type, {rows, width}), width);
  return b;
}

Bench glu(plan::DType type, uint32_t width) {
  Bench b{fmt::format("silu(gate)*up {}", width)};
  uint32_t both = b.make.buffer(type, {rows, 2, width});
  uint16_t gate = b.load(b.make.window(both, 0, {rows, width}, {2 * width, 1}),
                         width),
           up =
               b.load(b.make.window(both, width, {rows, width}, {2 * width, 1}),
                      width);
  uint16_t act = b.add(RowKind::Silu, {gate}, 0, 1, width);
  uint16_t product = b.add(RowKind::Mul, {act, up}, 0, 1, width);
  b.store(product, b.make.buffer(type, {rows, width}), width);
  return b;
}

/// Norms of queries and keys, and their rotation.
Bench rope(plan::DType type, uint32_t groups, uint32_t queries, uint32_t dim) {
  Bench b{fmt::format("q/k norm+rope {}x{}x{}", groups, queries, dim)};
  uint32_t pitch = (queries + 2) * dim, row = groups * pitch;
  uint32_t qkv = b.make.buffer(type, {rows, groups, queries + 2, dim});
  uint32_t counts[] = {groups * queries * dim, groups * dim};
  uint16_t q = b.load(b.make.window(qkv, 0, {rows, groups, queries, dim},
                                    {row, pitch, dim, 1}),
                      counts[0]),
           k = b.load(b.make.window(qkv, uint64_t(queries) * dim,
                                    {rows, groups, dim}, {row, pitch, 1}),
                      counts[1]);
  uint16_t weights[] = {b.load(b.make.weight("q", type, 0, dim), dim),
                        b.load(b.make.weight("k", type, 0, dim), dim)};
  uint16_t angles = b.load(b.make.buffer(plan::DType::F32, {rows, dim}), dim);
  uint16_t turned[2];
  for (int i = 0; i < 2; ++i) {
    uint32_t heads = counts[i] / dim;
    uint16_t norm =
        b.add(RowKind::RMSNorm, {i == 0 ? q : k, weights[i]}, 0, heads, dim);
    turned[i] = b.add(RowKind::Rope, {norm, angles}, 0, heads, dim);
  }
  for (int i = 0; i < 2; ++i)
    b.store(turned[i], b.make.buffer(type, {rows, counts[i] / dim, dim}),
            counts[i]);
  return b;
}

template <typename Fn> double median(Fn run) {
  std::vector<double> times;
  for (int i = 0; i < 25; ++i) {
    auto start = std::chrono::steady_clock::now();
    run();
    times.push_back(
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start)
            .count());
  }
  std::ranges::sort(times);
  return times[times.size() / 2];
}

Status measure(Bench &bench, plan::DType type) {
  program::RowsT command;
  command.kernel = bench.make.kernel(
      bench.steps, static_cast<uint16_t>(bench.operands.size()));
  command.operands = bench.operands;
  bench.make.add(command);
  program::ProgramT &program = bench.make.program;
  auto start = std::chrono::steady_clock::now();
  MBC_TRY(generateCode(program, std::string(host::codeTarget())));
  double compiled =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start)
          .count();
  MBC_ASSIGN(auto native, host::NativeCode::load(program));

  const program::FunctionT &function = *program.functions[0];
  std::vector<std::byte> arena(function.arena), weights(1 << 20);
  std::vector<host::BoundView> views;
  size_t bytes = 0;
  for (uint32_t number : bench.operands) {
    const program::ViewT &view = *function.views[number];
    host::BoundView &bound = views.emplace_back();
    bound.shared = view.space == program::Space::Weight;
    bound.data = (bound.shared ? weights : arena).data() + view.offset;
    bound.elem = view.dtype == plan::DType::BF16  ? host::Elem::BF16
                 : view.dtype == plan::DType::F16 ? host::Elem::F16
                                                  : host::Elem::F32;
    bound.dims.assign(view.dims.begin(), view.dims.end());
    bound.strides.assign(view.strides.begin(), view.strides.end());
    size_t elements = 1;
    for (int64_t dim : bound.dims)
      elements *= static_cast<size_t>(dim);
    bytes += elements * host::sizeOf(bound.elem);
  }
  std::vector<const host::BoundView *> operands;
  for (const host::BoundView &view : views)
    operands.push_back(&view);
  host::ThreadPool pool(1);
  double made = median([&] { native->runRows(0, operands, rows, pool); }),
         interpreted = median(
             [&] { runRows(*program.kernels[0], operands, rows, pool); });
  fmt::print("{:<28} {:<5} {:>8.1f} {:>12.1f} {:>6.1f}x {:>9.1f} {:>8}\n",
             bench.name, type == plan::DType::BF16 ? "bf16" : "f32",
             bytes / made * 1e-9, bytes / interpreted * 1e-9,
             interpreted / made, compiled * 1e3, program.code[0]->image.size());
  return {};
}

} // namespace

int main() {
  fmt::print("code for {}, interpreter of {}\n", host::codeTarget(),
             host::kernels().isa);
  fmt::print("{:<28} {:<5} {:>8} {:>12} {:>7} {:>9} {:>8}\n", "kernel", "type",
             "GB/s", "interpreted", "", "compile ms", "bytes");
  for (plan::DType type : {plan::DType::F32, plan::DType::BF16}) {
    Bench benches[] = {addNorm(type, 576),   addNorm(type, 4096),
                       glu(type, 1536),      glu(type, 14336),
                       rope(type, 3, 3, 64), rope(type, 8, 4, 128)};
    for (Bench &bench : benches)
      if (Status status = measure(bench, type); !status) {
        fmt::print(stderr, "error: {}\n", status.error().message);
        return 2;
      }
  }
  return 0;
}
