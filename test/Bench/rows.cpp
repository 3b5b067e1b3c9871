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
#include "test/Bench/RowKernels.h"
#include "test/Conformance/GeneratedCode.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <fmt/format.h>

using namespace mbc;
using namespace mbc::test;

namespace {

constexpr uint32_t rows = 512;

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

Status measure(RowBench &bench, plan::DType type) {
  addCommands(bench);
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
  }
  std::vector<const host::BoundView *> operands;
  for (const host::BoundView &view : views)
    operands.push_back(&view);
  auto bytes = static_cast<double>(bytesOf(bench));
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
    RowBench benches[] = {
        addNorm(type, rows, 576),   addNorm(type, rows, 4096),
        glu(type, rows, 1536),      glu(type, rows, 14336),
        rope(type, rows, 3, 3, 64), rope(type, rows, 8, 4, 128)};
    for (RowBench &bench : benches)
      if (Status status = measure(bench, type); !status) {
        fmt::print(stderr, "error: {}\n", status.error().message);
        return 2;
      }
  }
  return 0;
}
