//===- Generate.cpp - mbc generate ----------------------------------------===//
#include "compiler/Bridge/CompiledModel.h"
#include "compiler/Commands/Command.h"
#include "compiler/Commands/ProgramOptions.h"
#include "compiler/Commands/ReferenceOptions.h"
#include "runtime/commands/GenerateText.h"

#include <fmt/format.h>

namespace mbc {

namespace {

struct GenerateCommandOptions {
  std::string folder, dtype, chunk;
  ReferenceOptions reference;
  GenerateTexts texts;
  bool noCache = false;
};

Expected<Outcome> runGenerate(const GenerateCommandOptions &options,
                              const CommonOptions &common) {
  MBC_ASSIGN(GenerateOptions what,
             GenerateOptions::parse(options.texts, common));
  MBC_ASSIGN(ProgramCache cache, ProgramCache::fromEnvironment());
  MBC_ASSIGN(std::optional<DType> dtype, parseDType("--dtype", options.dtype));
  CompileOptions compile;
  compile.sequences = {what.programSequences()};
  // The same for every prompt, so that few programs do for all.
  uint64_t chunk = defaultChunk;
  if (!options.chunk.empty()) {
    MBC_ASSIGN(chunk, parseCount("--chunk", options.chunk, 1, mostRows));
    if (chunk < compile.sequences.front())
      return inputError(fmt::format(
          "option '--chunk' is {}, expected at least the {} sequences that are "
          "computed at a time",
          chunk, compile.sequences.front()));
  }
  compile.chunks = {chunk};
  compile.length = what.length.value_or(0);
  ModelLibrary library;
  MBC_TRY(common.load(library));
  OpenOptions open;
  open.config = common.config;
  MBC_TRY(options.reference.addTo(open));
  open.threads = common.threads;
  MBC_ASSIGN(CompiledModel model,
             compileModel(library, options.folder, open, std::move(compile),
                          dtype, options.noCache ? nullptr : &cache));
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
  command.argument("DIR", options->folder,
                   "Hugging Face folder, or Megatron checkpoint");
  options->texts.declare(command);
  command
      .option("--dtype", options->dtype, "DTYPE",
              "Compute with float32, bfloat16 or float16 weights and "
              "activations (default: what config.json says); sums are float32")
      .option("--chunk", options->chunk, "N",
              "Tokens that one step computes at most (default: 512)")
      .flag("--no-cache", options->noCache,
            "Compile, whether or not the program is kept from an earlier run, "
            "and keep none; as MBC_CACHE=off. 'mbc cache --help' says more");
  options->reference.declare(command,
                             "Take config.json, tokenizer and settings from "
                             "here, not from the checkpoint's record");
  command.configOptions().examples(
      "  mbc generate SmolLM2-135M-Instruct --chat --prompt \"What is the "
      "capital of\n      France?\"\n"
      "  mbc generate megatron --chat                    # a conversation\n"
      "  mbc generate DIR --prompt \"Once upon a time\" --temperature 0.8 "
      "--top-p 0.95 --seed 7\n"
      "  mbc generate DIR --prompts-file in.jsonl -o out.jsonl --sequences 16\n"
      "  mbc generate DIR --tokens 1,2,3 --max-new-tokens 20 --json");
  command.run = [options, &common = command.common]() -> Expected<Outcome> {
    MBC_TRY(resolveInPlace(options->folder));
    MBC_TRY(resolveInPlace(options->reference.hfModel));
    MBC_TRY(resolveInPlace(options->texts.tokenizer));
    return runGenerate(*options, common);
  };
}

} // namespace mbc
