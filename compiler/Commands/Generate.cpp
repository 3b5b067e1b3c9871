//===- Generate.cpp - mbc generate ----------------------------------------===//
#include "compiler/Commands/GenerationProgram.h"
#include "compiler/Commands/ProgramOptions.h"
#include "runtime/commands/GenerateText.h"

namespace mbc {

namespace {

struct GenerateCommandOptions {
  GenerationProgram program;
  GenerateTexts texts;
};

Expected<Outcome> runGenerate(const GenerateCommandOptions &options,
                              const CommonOptions &common) {
  MBC_ASSIGN(GenerateOptions what,
             GenerateOptions::parse(options.texts, common));
  MBC_ASSIGN(CompiledModel model,
             options.program.open(
                 what.programSequences(), what.length.value_or(0), what.drafts,
                 [&](const std::filesystem::path &sideFiles) {
                   return what.preparePictures(what.tokenizer.empty()
                                                   ? sideFiles.string()
                                                   : what.tokenizer,
                                               defaultPatches, common.threads);
                 },
                 what.device, common));
  Json details = Json::object(
      {{"compile_seconds", model.seconds}, {"cached", model.cached}});
  return generateText(std::move(model), what, common, std::move(details));
}

} // namespace

void addGenerate(CLI::App &root, CommandList &commands) {
  auto &command = *commands.emplace_back(std::make_unique<Command>(
      root, "generate", "Text that continues a prompt, from either format",
      "Compiles the model for the processor at hand, loads the weights of a "
      "Hugging Face folder or a Megatron checkpoint, and continues prompts: "
      "with the most probable token each time, or drawing. Only the text goes "
      "to stdout, as it is made. The same text from either format, alone and "
      "among other prompts, and for any --threads."));
  auto options = std::make_shared<GenerateCommandOptions>();
  options->program.declare(command);
  options->texts.declare(command);
  command.configOptions().examples(
      "  mbc generate SmolLM2-135M-Instruct --chat --prompt \"What is the "
      "capital of\n      France?\"\n"
      "  mbc generate megatron --chat                    # a conversation\n"
      "  mbc generate DIR --prompt \"Once upon a time\" --temperature 0.8 "
      "--top-p 0.95 --seed 7\n"
      "  mbc generate DIR --prompts-file in.jsonl -o out.jsonl --sequences 16\n"
      "  mbc generate Qwen2.5-VL-3B-Instruct --chat --image a.png --prompt "
      "\"What is this?\"\n"
      "  mbc generate DIR --tokens 1,2,3 --max-new-tokens 20 --json");
  command.run = [options, &common = command.common] {
    return runGenerate(*options, common);
  };
}

} // namespace mbc
