//===- tensorcores.cpp - Times of experts and attention on a GPU ----------===//
//
// What commands of mixtures and attention of many rows take on the GPU, with
// the sizes of Qwen3-30B-A3B; tensorcores.py times the same with PyTorch:
//
//   ninja -C build/release tensorcores_bench
//   build/release/bin/tensorcores_bench && test/Bench/tensorcores.py
//
// Beside a function there is one with more of a command, in the same program;
// the difference of their times is the command's.
//
//===----------------------------------------------------------------------===//

#include "runtime/cuda/Session.h"
#include "test/Conformance/ProgramMaker.h"
#include "test/Conformance/Values.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <fmt/format.h>

using namespace mbc;
using namespace mbc::test;

namespace {

void orExit(const Status &status) {
  if (!status) {
    fmt::print(stderr, "{}\n", status.error().message);
    std::exit(1);
  }
}

constexpr int more = 30;

class Bench {
public:
  explicit Bench(uint32_t rows) : make(rows) {
    ids = make.input("ids", plan::DType::I32, {rows});
  }

  /// Rows of a table of random numbers.
  uint32_t rowsOfTable(const char *name, uint32_t width) {
    program::EmbedT embed;
    embed.ids = ids;
    embed.table =
        make.weight(name, plan::DType::BF16, make.function->rows, width);
    embed.out = make.buffer(plan::DType::BF16, {make.function->rows, width});
    make.add(embed);
    return embed.out;
  }
  /// The first element of every row is what functions give.
  void finish(uint32_t view, uint32_t width) {
    uint32_t rows = make.function->rows;
    program::CopyT copy;
    copy.from = make.window(view, 0, {rows, 1}, {width, 1});
    copy.to = make.output({rows, 1});
    make.add(copy);
  }
  /// A function `name` that has `commands` in turn after command `place`.
  template <typename Command>
  void repeat(const char *name, size_t place,
              const std::vector<Command> &commands) {
    auto function = std::make_unique<program::FunctionT>(*make.function);
    function->name = name;
    for (int i = 0; i < more; ++i) {
      auto table = std::make_unique<program::CommandT>();
      table->op.Set(Command(commands[i % commands.size()]));
      auto &list = function->body->commands;
      list.insert(list.begin() + place + 1, std::move(table));
    }
    make.program.functions.push_back(std::move(function));
  }

  /// Microseconds of one more of the command that `name` has more of.
  double measure(const char *name, uint32_t rows) {
    if (!session)
      start();
    double once = run("f", rows);
    return (run(name, rows) - once) / more * 1e6;
  }

  ProgramMaker make;
  std::vector<float> logits;

private:
  void start() {
    auto created =
        cuda::Session::create(make.program, {.slots = make.function->rows});
    if (!created)
      orExit(Failure(created.error()));
    session = std::move(*created);
    for (size_t i = 0; i < make.program.weights.size(); ++i) {
      // Values between 1/2 and 1 of either sign, as bf16.
      std::vector<uint16_t> bits(elementsOf(*make.program.weights[i]));
      uint32_t state = 1;
      for (size_t j = 0; j < bits.size(); ++j) {
        state = state * 1664525 + 1013904223;
        bits[j] =
            j < 1 << 20 ? 0x3f00 | (state >> 16 & 0x807f) : bits[j - (1 << 20)];
      }
      orExit(session->setWeight(i, 0, bits.data()));
    }
  }

  /// Seconds of a call, the least of some.
  double run(const char *name, uint32_t rows) {
    std::vector<int32_t> numbers(rows);
    for (uint32_t i = 0; i < rows; ++i)
      numbers[i] = static_cast<int32_t>(i);
    std::vector<float> out(rows);
    Call call;
    call.rows = rows;
    call.sequences = {{0, rows, 0, 0}};
    call.inputs["ids"] = numbers;
    if (!logits.empty())
      call.floats["logits"] =
          std::span(logits).first(logits.size() / make.function->rows * rows);
    call.outputs["out"] = out;
    double least = 1e9;
    for (int i = 0; i < 5; ++i) {
      auto start = std::chrono::steady_clock::now();
      orExit(session->run(*findFunction(make.program, name), call));
      std::chrono::duration<double> time =
          std::chrono::steady_clock::now() - start;
      least = std::min(least, time.count());
    }
    return least;
  }

  uint32_t ids;
  std::unique_ptr<cuda::Session> session;
};

void mixture(uint32_t n, uint32_t k, bool others) {
  constexpr uint32_t most = 4096, experts = 128, topk = 8;
  Bench bench(most);
  ProgramMaker &make = bench.make;
  uint32_t x = bench.rowsOfTable("x", k);
  program::RouteT route;
  route.logits = make.input("logits", plan::DType::F32, {most, experts});
  bench.logits = numbers(size_t(most) * experts, plan::DType::F32, 3);
  route.renorm = true;
  route.weights = make.buffer(plan::DType::F32, {most, topk});
  route.ids = make.buffer(plan::DType::I32, {most, topk});
  make.add(route);
  program::GroupT group;
  group.ids = route.ids;
  group.place = make.buffer(plan::DType::I32, {most, topk});
  group.offsets = make.buffer(plan::DType::I32, {experts + 1});
  make.add(group);
  program::ScatterT scatter;
  scatter.x = x;
  scatter.place = group.place;
  scatter.out = make.buffer(plan::DType::BF16, {most * topk, k});
  make.add(scatter);
  // Of several layers, so that no matrix is still in the cache.
  std::vector<program::GroupedGemmT> products(3);
  uint32_t y = make.buffer(plan::DType::BF16, {most * topk, n});
  for (program::GroupedGemmT &product : products) {
    product.x = scatter.out;
    product.offsets = group.offsets;
    product.weight = make.experts("w", plan::DType::BF16, experts, n, k);
    product.out = y;
  }
  make.add(products[0]);
  program::CombineT combine;
  combine.y = y;
  combine.weights = route.weights;
  combine.place = group.place;
  combine.out = make.buffer(plan::DType::BF16, {most, n});
  make.add(combine);
  bench.finish(combine.out, n);
  bench.repeat<program::RouteT>("route", 1, {route});
  bench.repeat<program::GroupT>("group", 2, {group});
  bench.repeat<program::ScatterT>("scatter", 3, {scatter});
  bench.repeat("product", 4, products);
  bench.repeat<program::CombineT>("combine", 5, {combine});

  for (uint32_t tokens : {4096u, 512u, 256u, 128u, 64u, 32u, 8u, 1u}) {
    double time = bench.measure("product", tokens);
    double macs = double(tokens) * topk * n * k;
    // Of the experts' matrices as many are used as chance leaves.
    double used = experts * (1 - std::pow(1 - double(topk) / experts, tokens));
    double bytes = 2 * (used * n * k + double(tokens) * topk * (n + k));
    fmt::print("product of {:4} tokens x {}, {:4} x {:4}: {:8.1f} us {:6.1f} "
               "TFLOP/s {:5.0f} GB/s\n",
               tokens, topk, n, k, time, 2 * macs / time / 1e6,
               bytes / time / 1e3);
  }
  if (others)
    for (uint32_t tokens : {4096u, 32u, 1u})
      for (const char *what : {"route", "group", "scatter", "combine"})
        fmt::print("{:8} of {:4} tokens, width {:4}: {:8.1f} us\n", what,
                   tokens, what == std::string_view("combine") ? n : k,
                   bench.measure(what, tokens));
}

void attention(uint32_t rows, uint32_t kv, uint32_t group, uint32_t width) {
  Bench bench(rows);
  ProgramMaker &make = bench.make;
  uint32_t heads = kv * group;
  ProgramMaker::Dims dims = {rows, kv, group, width},
                     strides = {heads * width, group * width, width, 1};
  auto keys = [&](const char *name) {
    return make.window(bench.rowsOfTable(name, kv * width), 0,
                       {rows, kv, width}, {kv * width, width, 1});
  };
  program::AttentionT attention;
  attention.q =
      make.window(bench.rowsOfTable("q", heads * width), 0, dims, strides);
  attention.k = keys("k");
  attention.v = keys("v");
  uint32_t out = make.buffer(plan::DType::BF16, {rows, heads * width});
  attention.out = make.window(out, 0, dims, strides);
  attention.state = static_cast<int32_t>(
      make.state(plan::DType::BF16, {kv * width, kv * width}, {}));
  attention.scale = 1 / std::sqrt(double(width));
  attention.causal = true;
  make.add(attention);
  bench.finish(out, heads * width);
  bench.repeat<program::AttentionT>("attention", 3, {attention});
  double time = bench.measure("attention", rows);
  double flop = 2.0 * rows * rows * heads * width;
  fmt::print("attention of {} rows, {} heads of {}, {} of keys: {:8.1f} us "
             "{:6.1f} TFLOP/s\n",
             rows, heads, width, kv, time, flop / time / 1e6);
}

} // namespace

int main() {
  mixture(1536, 2048, false);
  mixture(2048, 768, true);
  attention(4096, 8, 4, 128);
  attention(1024, 8, 4, 128);
  attention(4096, 8, 4, 64);
  attention(4096, 8, 2, 256);
}
