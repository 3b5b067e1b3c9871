//===- RunLogits.cpp - mbc-run logits -------------------------------------===//
#include "runtime/commands/ComputeLogits.h"
#include "runtime/commands/RunCommandLine.h"

namespace mbc {

namespace {

struct RunLogitsOptions {
  std::string program, weights, tokens, target;
};

Expected<Outcome> runLogits(RunLogitsOptions &options,
                            const BaseOptions &common) {
  MBC_TRY(resolveInPlace(options.weights));
  MBC_ASSIGN(Tokens tokens, readTokens(options.tokens));
  MBC_ASSIGN(RunnableModel model,
             openModel(options.program, options.weights, common.threads));
  return computeLogits(model, tokens, options.target, common);
}

} // namespace

std::unique_ptr<BaseCommand> makeRunLogits(CLI::App &root) {
  auto command = std::make_unique<RunCommand>(
      root, "logits", "The logits of given tokens",
      "Loads the weights of a Hugging Face folder or a Megatron torch_dist "
      "checkpoint into a program, and writes float32 logits [batch, sequence, "
      "vocabulary]: the bytes that 'mbc logits' writes, for any --threads.");
  auto options = std::make_shared<RunLogitsOptions>();
  command
      ->argument("PROGRAM", options->program,
                 "The file that 'mbc compile' made")
      .option("--weights", options->weights, "DIR",
              "Hugging Face folder, or Megatron torch_dist checkpoint", true)
      .option("--tokens", options->tokens, "IDS|FILE",
              "Token ids 1,2,3, or a .npy file of integers [sequence] or "
              "[batch, sequence]",
              true)
      .option("-o,--output", options->target, "FILE", "The .npy file to write",
              true)
      .examples("  mbc-run logits llama.mbcp --weights Llama-3.2-1B --tokens "
                "1,2,3 -o out.npy\n"
                "  mbc-run logits llama.mbcp --weights megatron --tokens "
                "tokens.npy -o out.npy --json");
  command->run = [options, &common = command->common] {
    return runLogits(*options, common);
  };
  return command;
}

} // namespace mbc
