//===- RunGenerate.cpp - mbc-run generate ---------------------------------===//
#include "runtime/commands/GenerateText.h"
#include "runtime/commands/ProgramArguments.h"

namespace mbc {

namespace {

struct RunGenerateOptions {
  ProgramArguments program;
  GenerateTexts texts;
};

Expected<Outcome> runGenerate(const RunGenerateOptions &options,
                              const BaseOptions &common) {
  MBC_ASSIGN(GenerateOptions what,
             GenerateOptions::parse(options.texts, common));
  MBC_ASSIGN(RunnableModel model, options.program.open(common));
  return generateText(std::move(model), what, common, Json::object());
}

} // namespace

std::unique_ptr<BaseCommand> makeRunGenerate(CLI::App &root) {
  auto command = std::make_unique<RunCommand>(
      root, "generate", "Text that continues a prompt",
      "Loads the weights of a Hugging Face folder or a Megatron torch_dist "
      "checkpoint into a program, and continues prompts: the text that 'mbc "
      "generate' makes. Only the text goes to stdout.");
  auto options = std::make_shared<RunGenerateOptions>();
  options->program.declare(*command);
  options->texts.declare(*command);
  command->examples(
      "  mbc-run generate llama.mbcp --weights DIR --chat --prompt \"What is "
      "the capital\n      of France?\"\n"
      "  mbc-run generate llama.mbcp --weights DIR --chat       # a "
      "conversation\n"
      "  mbc-run generate llama.mbcp --weights DIR --prompts-file in.jsonl -o "
      "out.jsonl");
  command->run = [options, &common = command->common]() {
    return runGenerate(*options, common);
  };
  return command;
}

} // namespace mbc
