// Rates of prefill and decode of a compiled program on the host: random
// tokens, one sequence, medians of the repeats. A line of JSON.
//
//   generate_bench PROGRAM.mbcp DIR [THREADS [PROMPT [NEW [REPEATS]]]]
#include "runtime/host/Session.h"
#include "runtime/program/Program.h"
#include "runtime/program/WeightFolder.h"
#include "runtime/program/WeightSource.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fmt/format.h>
#include <random>

using namespace mbc;

static double now() {
  return std::chrono::duration<double>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

template <typename T> static T need(Expected<T> value) {
  if (value)
    return std::move(*value);
  fmt::print(stderr, "error: {}\n", value.error().message);
  std::exit(2);
}
static void need(Status status) {
  if (status)
    return;
  fmt::print(stderr, "error: {}\n", status.error().message);
  std::exit(2);
}

static double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

int main(int argc, char **argv) {
  if (argc < 3) {
    fmt::print(stderr, "usage: generate_bench PROGRAM.mbcp DIR [THREADS "
                       "[PROMPT [NEW [REPEATS]]]]\n");
    return 2;
  }
  auto number = [&](int i, int fallback) {
    return argc > i ? std::atoi(argv[i]) : fallback;
  };
  int threads = number(3, 2), prompt = number(4, 512), fresh = number(5, 64),
      repeats = number(6, 5);
  auto program = need(readProgram(argv[1]));
  WeightFolder folder = need(openWeights(argv[2], threads));
  auto source = need(
      WeightSource::create(*program, folder.format, *folder.set, folder.name));
  auto session = need(host::Session::create(
      *program, {static_cast<unsigned>(threads), prompt + fresh}));
  Progress progress("loading", source->bytes(), Progress::Mode::Quiet);
  need(session->load(*source, progress));

  const program::FunctionT *prefill = findFunction(*program, "prefill", prompt);
  const program::FunctionT *decode = findFunction(*program, "decode", 1);
  if (!prefill || !decode) {
    fmt::print(stderr, "error: {}: has no prefill or no decode\n", argv[1]);
    return 2;
  }
  std::mt19937 random(1);
  std::vector<int32_t> tokens(prompt);
  for (int32_t &token : tokens)
    token = static_cast<int32_t>(random() % program->vocab);
  std::vector<float> logits(program->vocab);
  std::vector<double> prefills, decodes;
  for (int repeat = 0; repeat < repeats; ++repeat) {
    double start = now();
    for (int at = 0; at < prompt;) {
      Call call;
      call.rows = std::min<int64_t>(prefill->rows, prompt - at);
      call.sequences = {{0, call.rows, 0, at}};
      call.inputs["tokens"] = std::span(tokens).subspan(at, call.rows);
      int32_t last = static_cast<int32_t>(call.rows) - 1;
      call.inputs["outputs"] = std::span(&last, 1);
      call.outputs["logits"] = logits;
      need(session->run(*prefill, call));
      at += static_cast<int>(call.rows);
    }
    prefills.push_back(now() - start);
    start = now();
    for (int i = 0; i < fresh; ++i) {
      auto best = static_cast<int32_t>(std::ranges::max_element(logits) -
                                       logits.begin());
      Call call;
      call.rows = 1;
      call.sequences = {{0, 1, 0, prompt + i}};
      call.inputs["tokens"] = std::span(&best, 1);
      call.outputs["logits"] = logits;
      need(session->run(*decode, call));
    }
    decodes.push_back((now() - start) / fresh);
  }
  fmt::print("{{\"isa\": \"{}\", \"threads\": {}, \"prefill_tokens\": {}, "
             "\"prefill_seconds\": {:.4f}, \"decode_tokens_per_second\": "
             "{:.2f}}}\n",
             host::kernels().isa, threads, prompt, median(prefills),
             1 / median(decodes));
}
