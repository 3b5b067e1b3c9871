// Rates of prefill and decode of a compiled program on a GPU, with random
// weights and tokens, beside the rate at which the device copies memory.
//
//   CudaBench PROGRAM.mbcp [--decode N] [--context N] [--sequences S]
//             [--prefill N] [--repeats R] [--profile] [--logits]
//             [--draw]
//
// N steps of decode of S sequences that have `context` tokens each; a prefill
// of N tokens. `--profile` adds the device's time for each kernel, launched
// one by one. A step gives the likeliest tokens, with `--draw`
// drawn ones (temperature 0.8, top-k 50, top-p 0.95), or with `--logits` all
// logits to the host. "weights" of a step: those that a product
// reads, of mixtures all.
#include "runtime/core/DType.h"
#include "runtime/core/Text.h"
#include "runtime/cuda/Session.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstring>
#include <fmt/format.h>
#include <random>
#include <set>

using namespace mbc;

static void need(const Status &status) {
  if (status)
    return;
  fmt::print(stderr, "error: {}\n", status.error().message);
  std::exit(2);
}
template <typename T> static T need(Expected<T> value) {
  if (!value)
    need(Status(Failure(value.error())));
  return std::move(*value);
}

static double now() {
  return std::chrono::duration<double>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

namespace {

struct Spread {
  double least, median, most;
};

struct Options {
  std::string program;
  int64_t decode = 0, context = 128, sequences = 1, prefill = 0;
  int repeats = 5;
  bool profile = false, logits = false, draw = false;
};

class Bench {
public:
  Bench(const program::ProgramT &program, const Options &options)
      : program(program), options(options),
        perSequence(
            std::max(options.context + options.decode, options.prefill)),
        session(need(cuda::Session::create(
            program, {.slots = perSequence * options.sequences}))),
        gpu(session->device()) {
    std::mt19937 random(1);
    tokens.resize(perSequence);
    for (int32_t &token : tokens)
      token = static_cast<int32_t>(random() % program.vocab);
    fillWeights();
  }

  void run() {
    printDevice();
    if (options.prefill > 0)
      benchPrefill();
    if (options.decode > 0)
      benchDecode();
  }

private:
  /// Values of a normal distribution of deviation 0.02, again and again.
  void fillWeights();
  void printDevice();
  void benchPrefill();
  /// A prefill of products and attention alone, on what the last one left.
  void benchCeiling(double seconds);
  void benchDecode();
  /// Logits of the last of `count` tokens from `from` on.
  void prefill(int64_t sequence, int64_t from, int64_t count) {
    prefill(program, sequence, from, count);
  }
  void prefill(const program::ProgramT &of, int64_t sequence, int64_t from,
               int64_t count);
  void step(int64_t cached);
  template <typename Run> Spread repeat(Run run);
  template <typename Run> void profile(const char *what, Run run);
  /// Keeps the device busy while launches gather, so that none waits for the
  /// host.
  void occupy();
  uint64_t multipliedBytes() const;

  const program::ProgramT &program;
  Options options;
  int64_t perSequence;
  std::unique_ptr<cuda::Session> session;
  const cuda::Device &gpu;
  std::vector<int32_t> tokens;
  std::vector<float> logits;
  std::vector<ChosenToken> chosen;
  cuda::Memory from, to;
  double copyRate = 0; ///< bytes a second, read and written
};

} // namespace

void Bench::fillWeights() {
  constexpr int64_t different = 8 << 20;
  std::mt19937 random(2);
  std::normal_distribution<float> values(0, 0.02f);
  std::vector<float> floats(different);
  for (float &value : floats)
    value = values(random);
  uint64_t most = 0;
  for (const auto &weight : program.weights)
    most = std::max(most, bytesOf(*weight));
  cuda::Memory pinned = need(gpu.allocatePinned(most));
  std::vector<std::byte> piece;
  std::set<plan::DType> types;
  for (const auto &weight : program.weights)
    types.insert(weight->dtype);
  for (plan::DType type : types) {
    auto dtype = static_cast<DType>(type);
    piece.resize(bytesOf(dtype, different));
    convertElements(DType::F32, floats.data(), dtype, piece.data(), different);
    for (uint64_t at = 0; at < most; at += piece.size())
      std::memcpy(pinned.data() + at, piece.data(),
                  std::min<uint64_t>(piece.size(), most - at));
    for (size_t w = 0; w < program.weights.size(); ++w)
      if (program.weights[w]->dtype == type)
        for (size_t i = 0; i < instancesOf(*program.weights[w]); ++i)
          need(session->setWeight(w, i, pinned.data()));
  }
}

uint64_t Bench::multipliedBytes() const {
  std::set<uint32_t> embedded, multiplied;
  auto look = [&](const program::FunctionT &function, uint32_t view,
                  std::set<uint32_t> &into) {
    if (function.views[view]->space == program::Space::Weight)
      into.insert(function.views[view]->index);
  };
  for (const auto &function : program.functions) {
    auto visit = [&](auto &self, const program::BodyT &body) -> void {
      for (const auto &command : body.commands) {
        if (const auto *embed = command->op.AsEmbed())
          look(*function, embed->table, embedded);
        else if (const auto *gemm = command->op.AsGemm())
          look(*function, gemm->weight, multiplied);
        else if (const auto *repeat = command->op.AsRepeat())
          for (const auto &inner : repeat->bodies)
            self(self, *inner);
      }
    };
    visit(visit, *function->body);
  }
  uint64_t bytes = 0;
  for (uint32_t w = 0; w < program.weights.size(); ++w)
    if (!embedded.contains(w) || multiplied.contains(w))
      bytes += bytesOf(*program.weights[w]) * instancesOf(*program.weights[w]);
  return bytes;
}

template <typename Run> Spread Bench::repeat(Run run) {
  std::vector<double> times;
  for (int i = 0; i < options.repeats; ++i) {
    double start = now();
    run();
    times.push_back(now() - start);
  }
  std::ranges::sort(times);
  return {times.front(), times[times.size() / 2], times.back()};
}

void Bench::occupy() {
  for (int i = 0; i < 8; ++i)
    need(cuda::checked(
        gpu.api().cuMemcpyDtoDAsync(reinterpret_cast<CUdeviceptr>(to.data()),
                                    reinterpret_cast<CUdeviceptr>(from.data()),
                                    to.size(), gpu.stream()),
        "copying"));
}

template <typename Run> void Bench::profile(const char *what, Run run) {
  if (!options.profile)
    return;
  cuda::Profile profile(gpu.api());
  session->keepProfile(&profile);
  occupy();
  run();
  session->keepProfile(nullptr);
  auto entries = need(profile.collect());
  std::vector<std::pair<std::string, cuda::Profile::Entry>> sorted(
      entries.begin(), entries.end());
  std::ranges::sort(sorted, [](const auto &a, const auto &b) {
    return a.second.milliseconds > b.second.milliseconds;
  });
  double sum = 0;
  for (const auto &[name, entry] : sorted)
    sum += entry.milliseconds;
  fmt::print("  {}, kernel by kernel: {:.3f} ms\n", what, sum);
  for (const auto &[name, entry] : sorted)
    fmt::print("    {:7.3f} ms {:5} x {:8.2f} us  {}\n", entry.milliseconds,
               entry.launches, 1e3 * entry.milliseconds / entry.launches, name);
}

void Bench::printDevice() {
  auto ask = [&](CUdevice_attribute attribute) {
    int value = 0;
    need(cuda::checked(
        gpu.api().cuDeviceGetAttribute(&value, attribute, gpu.facts().ordinal),
        "asking for clocks"));
    return value / 1000;
  };
  auto library = cuda::cublasLt();
  fmt::print("{}, {} processors, at most {} MHz, memory {} MHz; driver CUDA "
             "{}, cuBLASLt {}\n",
             gpu.facts().name, gpu.facts().processors,
             ask(CU_DEVICE_ATTRIBUTE_CLOCK_RATE),
             ask(CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE),
             cuda::versionText(gpu.api().version),
             library ? fmt::to_string((*library)->version) : "none");
  uint64_t bytes =
      std::min<uint64_t>(uint64_t(2) << 30, need(gpu.freeBytes()) / 8);
  from = need(gpu.allocate(bytes, "a copy"));
  to = need(gpu.allocate(bytes, "a copy"));
  auto copies = [&] {
    occupy();
    need(gpu.wait("copying"));
  };
  copies();
  Spread spread = repeat(copies);
  double moved = 16.0 * static_cast<double>(bytes);
  copyRate = moved / spread.median;
  fmt::print("copy of {}: {:.1f} GB/s read and written [{:.1f} to {:.1f}]\n",
             sizeText(bytes), copyRate / 1e9, moved / spread.most / 1e9,
             moved / spread.least / 1e9);
  fmt::print("{}: weights in products {}, slots {}\n", options.program,
             sizeText(multipliedBytes()), session->slots());
}

void Bench::prefill(const program::ProgramT &of, int64_t sequence, int64_t from,
                    int64_t count) {
  const program::FunctionT *function =
      findFunction(of, "prefill", static_cast<uint32_t>(count));
  if (!function)
    need(Status(inputError("the program has no prefill")));
  logits.resize(program.vocab);
  for (int64_t at = from; at < from + count;) {
    Call call;
    call.rows = std::min<int64_t>(function->rows, from + count - at);
    call.sequences = {{0, call.rows, sequence * perSequence, at}};
    call.inputs["tokens"] = std::span(tokens).subspan(at, call.rows);
    auto last = static_cast<int32_t>(call.rows - 1);
    call.inputs["outputs"] = std::span(&last, 1);
    call.outputs["logits"] = logits;
    need(session->run(*function, call));
    at += call.rows;
  }
}

void Bench::step(int64_t cached) {
  int64_t count = options.sequences;
  const program::FunctionT *function =
      findFunction(program, "decode", static_cast<uint32_t>(count));
  if (!function || function->rows < count)
    need(Status(inputError(fmt::format(
        "the program has no decode of {} sequences: compile with --sequences",
        count))));
  logits.resize(program.vocab * count);
  chosen.resize(count);
  Call call;
  call.rows = count;
  std::vector<int32_t> next(count, tokens[cached]);
  for (int64_t s = 0; s < count; ++s)
    call.sequences.push_back({s, 1, s * perSequence, cached});
  call.inputs["tokens"] = next;
  if (options.logits)
    call.outputs["logits"] = logits;
  else
    call.chosen["logits"] = chosen;
  std::vector<Drawing> drawings(count);
  for (int64_t s = 0; options.draw && s < count; ++s)
    drawings[s] = {.random = 0x9e3779b97f4a7c15u * (cached + s),
                   .mostRemoved = ~uint64_t(0) / 20,
                   .temperature = 0.8f,
                   .leastShare = 0,
                   .topK = 50,
                   .draws = 1};
  if (options.draw)
    call.drawings = drawings;
  need(session->run(*function, call));
}

void Bench::benchPrefill() {
  auto run = [&] { prefill(0, 0, options.prefill); };
  run();
  Spread spread = repeat(run);
  auto rate = [&](double seconds) {
    return static_cast<double>(options.prefill) / seconds;
  };
  fmt::print("prefill {}: {:.2f} ms [{:.2f} to {:.2f}], {:.0f} tok/s\n",
             options.prefill, 1e3 * spread.median, 1e3 * spread.least,
             1e3 * spread.most, rate(spread.median));
  profile("prefill", run);
  benchCeiling(spread.median);
}

static void leaveProducts(program::BodyT &body) {
  std::erase_if(body.commands, [](const auto &command) {
    const program::OpUnion &op = command->op;
    return !op.AsGemm() && !op.AsGroupedGemm() && !op.AsAttention() &&
           !op.AsLatentAttention() && !op.AsRepeat();
  });
  for (const auto &command : body.commands)
    if (auto *repeat = command->op.AsRepeat())
      for (const auto &inner : repeat->bodies)
        leaveProducts(*inner);
}

void Bench::benchCeiling(double seconds) {
  auto bare = need(readProgram(options.program));
  for (const auto &function : bare->functions)
    leaveProducts(*function->body);
  auto run = [&] { prefill(*bare, 0, 0, options.prefill); };
  run();
  Spread spread = repeat(run);
  fmt::print("  products and attention alone: {:.2f} ms [{:.2f} to {:.2f}], "
             "{:.1f}% of the time\n",
             1e3 * spread.median, 1e3 * spread.least, 1e3 * spread.most,
             100 * spread.median / seconds);
  profile("products and attention", run);
}

void Bench::benchDecode() {
  for (int64_t s = 0; options.context > 0 && s < options.sequences; ++s)
    prefill(s, 0, options.context);
  auto run = [&] {
    for (int64_t i = 0; i < options.decode; ++i)
      step(options.context + i);
  };
  run();
  Spread spread = repeat(run);
  auto steps = static_cast<double>(options.decode);
  uint64_t row = 0;
  for (const auto &state : program.states)
    for (uint32_t width : state->widths)
      row += bytesOf(static_cast<DType>(state->dtype), width) *
             state->layers.size();
  double weights = static_cast<double>(multipliedBytes());
  double state = static_cast<double>(row * options.sequences) *
                 (static_cast<double>(options.context) + steps / 2);
  double seconds = spread.median / steps;
  fmt::print("decode of {} after {} tokens: {:.3f} ms a step [{:.3f} to "
             "{:.3f}], {:.1f} tok/s, weights at {:.1f}% of the copy rate, with "
             "{} of state {:.1f}%\n",
             options.sequences, options.context, 1e3 * seconds,
             1e3 * spread.least / steps, 1e3 * spread.most / steps,
             static_cast<double>(options.sequences) / seconds,
             100 * weights / seconds / copyRate,
             sizeText(static_cast<uint64_t>(state)),
             100 * (weights + state) / seconds / copyRate);
  profile("a step", [&] { step(options.context); });
}

int main(int argc, char **argv) {
  Options options;
  CLI::App app("Rates of a compiled program on a GPU");
  app.add_option("program", options.program)->required();
  app.add_option("--decode", options.decode, "steps");
  app.add_option("--context", options.context, "tokens before them");
  app.add_option("--sequences", options.sequences);
  app.add_option("--prefill", options.prefill, "tokens");
  app.add_option("--repeats", options.repeats);
  app.add_flag("--profile", options.profile);
  app.add_flag("--logits", options.logits);
  app.add_flag("--draw", options.draw)->excludes("--logits");
  CLI11_PARSE(app, argc, argv);
  auto program = need(readProgram(options.program));
  Bench(*program, options).run();
}
