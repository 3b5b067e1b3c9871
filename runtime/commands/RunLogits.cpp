//===- RunLogits.cpp - mbc-run logits -------------------------------------===//
#include "runtime/commands/ComputeLogits.h"
#include "runtime/commands/ProgramArguments.h"

namespace mbc {

namespace {

struct RunLogitsOptions {
  ProgramArguments program;
  LogitsTexts texts;
  PictureOptions pictures;
};

Expected<Outcome> runLogits(const RunLogitsOptions &options,
                            const BaseOptions &common) {
  MBC_ASSIGN(execute::Device device,
             execute::Device::parse(options.texts.device));
  MBC_ASSIGN(Tokens tokens, readTokens(options.texts.tokens));
  MBC_ASSIGN(Pixels pixels, readPixels(options.pictures));
  MBC_ASSIGN(RunnableModel model, options.program.open(common));
  return computeLogits(model, tokens, pixels, options.texts.target, device,
                       common);
}

} // namespace

std::unique_ptr<BaseCommand> makeRunLogits(CLI::App &root) {
  auto command = std::make_unique<RunCommand>(
      root, "logits", "The logits of given tokens",
      "Loads the weights of a Hugging Face folder or a Megatron torch_dist "
      "checkpoint into a program, and writes float32 logits [batch, sequence, "
      "vocabulary]: the bytes that 'mbc logits' writes, for any --threads.");
  auto options = std::make_shared<RunLogitsOptions>();
  options->program.declare(*command);
  options->texts.declare(*command);
  options->pictures.declare(*command);
  command->examples(
      "  mbc-run logits llama.mbcp --weights Llama-3.2-1B --tokens "
      "1,2,3 -o out.npy\n"
      "  mbc-run logits llama.mbcp --weights megatron --tokens "
      "tokens.npy -o out.npy --json");
  command->run = [options, &common = command->common] {
    return runLogits(*options, common);
  };
  return command;
}

} // namespace mbc
