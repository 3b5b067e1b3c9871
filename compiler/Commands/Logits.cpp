//===- Logits.cpp - mbc logits --------------------------------------------===//
#include "compiler/Commands/Command.h"
#include "compiler/Commands/ProgramOptions.h"
#include "compiler/Commands/ReferenceOptions.h"
#include "runtime/commands/ComputeLogits.h"
#include "runtime/program/Program.h"

#include <chrono>
#include <fmt/format.h>

namespace mbc {

namespace {

struct LogitsOptions {
  std::string folder, tokens, target, dtype, chunk;
  ReferenceOptions reference;
};

Expected<Outcome> runLogits(const LogitsOptions &options,
                            const CommonOptions &common) {
  auto start = std::chrono::steady_clock::now();
  MBC_ASSIGN(std::optional<DType> dtype, parseDType("--dtype", options.dtype));
  MBC_ASSIGN(Tokens tokens, readTokens(options.tokens));
  uint64_t chunk = defaultChunk;
  if (!options.chunk.empty()) {
    MBC_ASSIGN(chunk, parseCount("--chunk", options.chunk, 1, mostRows));
  }

  ModelLibrary library;
  MBC_TRY(common.load(library));
  OpenOptions open;
  open.config = common.config;
  MBC_TRY(options.reference.addTo(open));
  open.threads = common.threads;
  MBC_ASSIGN(std::unique_ptr<Checkpoint> checkpoint,
             Checkpoint::open(library, options.folder, open));
  CompileOptions compile;
  compile.dtype = dtype.value_or(DType::F32);
  compile.chunks = {std::min<uint64_t>(chunk, tokens.ids.size())};
  compile.length = tokens.length;
  MBC_ASSIGN(program::ProgramT compiled, checkpoint->proved().compile(compile));
  // Through its bytes, as mbc-run would have it.
  std::vector<uint8_t> bytes = serializeProgram(compiled);
  MBC_ASSIGN(std::unique_ptr<program::ProgramT> program,
             parseProgram(bytes, "the program"));
  double compileSeconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start)
          .count();

  const TensorSet *megatron = checkpoint->megatronTensors();
  MBC_ASSIGN(
      Outcome outcome,
      computeLogits(
          *program, megatron ? PlanSide::Megatron : PlanSide::HuggingFace,
          megatron ? *megatron : checkpoint->values(),
          checkpoint->folder().string(), tokens, options.target, common));
  outcome.text += fmt::format("compiled in {:.2f} s\n", compileSeconds);
  outcome.json.set("compile_seconds", compileSeconds);
  return outcome;
}

} // namespace

void addLogits(CLI::App &root, CommandList &commands) {
  auto &command = *commands.emplace_back(std::make_unique<Command>(
      root, "logits", "The logits of given tokens, from either format",
      "Compiles the model for the processor at hand, loads the weights of a "
      "Hugging Face folder or a Megatron checkpoint, and writes float32 logits "
      "[batch, sequence, vocabulary]. The same file for any --threads."));
  auto options = std::make_shared<LogitsOptions>();
  command
      .argument("DIR", options->folder,
                "Hugging Face folder, or Megatron checkpoint")
      .option("--tokens", options->tokens, "IDS|FILE",
              "Token ids 1,2,3, or a .npy file of integers [sequence] or "
              "[batch, sequence]",
              true)
      .option("-o,--output", options->target, "FILE", "The .npy file to write",
              true)
      .option("--dtype", options->dtype, "DTYPE",
              "Compute with float32 (default), bfloat16 or float16 weights and "
              "activations; sums are float32")
      .option("--chunk", options->chunk, "N",
              "Tokens that one step computes (default: 512)");
  options->reference.declare(command,
                             "Take config.json from here, not from the "
                             "checkpoint's record or its configuration");
  command.configOptions().examples(
      "  mbc logits SmolLM2-135M-Instruct --tokens 1,2,3 -o out.npy\n"
      "  mbc logits megatron --tokens tokens.npy -o out.npy --dtype "
      "bfloat16");
  command.run = [options, &common = command.common]() -> Expected<Outcome> {
    MBC_TRY(resolveInPlace(options->folder));
    MBC_TRY(resolveInPlace(options->reference.hfModel));
    return runLogits(*options, common);
  };
}

} // namespace mbc
