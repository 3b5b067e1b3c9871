//===- tokenize.cpp - How fast a tokenizer takes files apart --------------===//
//
//   tokenize_bench DIR FILE...
//
// A line for each file: its name, bytes, tokens, and the seconds of the fastest
// of five runs on one thread. test/Bench/tokenize_text.py sets it beside the
// library `tokenizers`.

#include "runtime/core/File.h"
#include "runtime/text/Tokenizer.h"

#include <algorithm>
#include <chrono>
#include <cstdio>

int main(int argc, char **argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: tokenize_bench DIR FILE...\n");
    return 2;
  }
  auto tokenizer = mbc::text::Tokenizer::open(argv[1]);
  if (!tokenizer) {
    std::fprintf(stderr, "error: %s\n", tokenizer.error().message.c_str());
    return 2;
  }
  for (int i = 2; i < argc; ++i) {
    auto text = mbc::readWholeFile(argv[i]);
    if (!text) {
      std::fprintf(stderr, "error: %s\n", text.error().message.c_str());
      return 2;
    }
    double best = 1e9;
    size_t tokens = 0;
    for (int run = 0; run < 5; ++run) {
      auto start = std::chrono::steady_clock::now();
      auto ids = (*tokenizer)->encode(*text, /*addSpecial=*/false);
      std::chrono::duration<double> seconds =
          std::chrono::steady_clock::now() - start;
      if (!ids) {
        std::fprintf(stderr, "error: %s\n", ids.error().message.c_str());
        return 2;
      }
      tokens = ids->size();
      best = std::min(best, seconds.count());
    }
    std::printf("%s %zu %zu %.6f\n", argv[i], text->size(), tokens, best);
  }
}
