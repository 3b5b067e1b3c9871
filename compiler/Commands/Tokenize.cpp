//===- Tokenize.cpp - mbc tokenize ----------------------------------------===//
#include "runtime/commands/Tokenize.h"

#include "compiler/Commands/Command.h"

namespace mbc {

void addTokenize(CLI::App &root, CommandList &commands) {
  auto &command = *commands.emplace_back(std::make_unique<Command>(
      root, "tokenize", tokenizeSummary, tokenizeDetails));
  declareTokenize(
      command,
      "  mbc tokenize SmolLM2-135M-Instruct --text \"Hello\"   # 19556\n"
      "  mbc tokenize megatron --file prompt.txt --json\n"
      "  mbc tokenize DIR --text 19556,28 --decode\n"
      "  mbc tokenize DIR --lines texts.jsonl > ids.jsonl");
}

} // namespace mbc
