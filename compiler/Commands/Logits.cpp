//===- Logits.cpp - mbc logits --------------------------------------------===//
#include "compiler/Bridge/Iteration.h"
#include "compiler/Bridge/ProgramKey.h"
#include "compiler/Commands/Command.h"
#include "compiler/Commands/ProgramOptions.h"
#include "compiler/Commands/ReferenceOptions.h"
#include "runtime/commands/ComputeLogits.h"
#include "runtime/host/NativeCode.h"
#include "runtime/program/Program.h"
#include "runtime/program/ProgramCache.h"
#include "runtime/program/WeightFolder.h"

#include <bit>
#include <chrono>
#include <fmt/format.h>

namespace mbc {

namespace {

struct LogitsOptions {
  std::string folder, tokens, target, dtype, chunk;
  std::vector<std::string> taps;
  ReferenceOptions reference;
  bool noCache = false;
};

/// One run: what is read, and how it is compiled.
struct LogitsRun {
  const LogitsOptions &options;
  const CommonOptions &common;
  const ProgramCache &cache;
  ModelLibrary library = {};
  OpenOptions open = {};
  CompileOptions compile = {};
  Tokens tokens = {};
  /// Of the program in the cache; none where no program can be kept.
  std::optional<DigestText> key = {};
  std::chrono::steady_clock::time_point start =
      std::chrono::steady_clock::now();

  Expected<Outcome> compute(const program::ProgramT &program, PlanSide format,
                            const TensorSet &set, const std::string &name,
                            bool cached) const;
  std::optional<Outcome> runCached();
  Expected<Outcome> runCompiled();
};

Expected<Outcome> LogitsRun::compute(const program::ProgramT &program,
                                     PlanSide format, const TensorSet &set,
                                     const std::string &name,
                                     bool cached) const {
  double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start)
          .count();
  MBC_ASSIGN(Outcome outcome, computeLogits(program, format, set, name, tokens,
                                            options.target, common));
  outcome.text +=
      fmt::format("{} in {:.2f} s\n",
                  cached ? "program from the cache" : "compiled", seconds);
  outcome.json.set("compile_seconds", seconds);
  outcome.json.set("cached", cached);
  return outcome;
}

/// With a program that was compiled, and proved, for the same configuration and
/// the same tensors. None where there is no such program, and where anything is
/// wrong: the whole way then says what.
std::optional<Outcome> LogitsRun::runCached() {
  auto folder = iterationFolder(options.folder, open.iteration);
  if (!folder)
    return std::nullopt;
  auto weights = openWeights(*folder, common.threads);
  if (!weights)
    return std::nullopt;
  if (!open.hfModel.empty())
    weights->config = open.hfModel / "config.json";
  key = programKey(library, weights->config, *weights->set, open, compile);
  if (!key)
    return std::nullopt;
  auto program = cache.find(*key);
  // A program under another one's name.
  if (!program || !checkConfig(*program, weights->config))
    return std::nullopt;
  auto outcome = compute(*program, weights->format, *weights->set,
                         weights->name, /*cached=*/true);
  return outcome ? std::optional(std::move(*outcome)) : std::nullopt;
}

Expected<Outcome> LogitsRun::runCompiled() {
  MBC_ASSIGN(std::unique_ptr<Checkpoint> checkpoint,
             Checkpoint::open(library, options.folder, open));
  MBC_ASSIGN(program::ProgramT compiled, checkpoint->proved().compile(compile));
  // Through its bytes, as mbc-run would have it.
  std::vector<uint8_t> bytes = serializeProgram(compiled);
  MBC_ASSIGN(std::unique_ptr<program::ProgramT> program,
             parseProgram(bytes, "the program"));
  if (key)
    cache.store(*key, bytes);
  const TensorSet *megatron = checkpoint->megatronTensors();
  return compute(*program,
                 megatron ? PlanSide::Megatron : PlanSide::HuggingFace,
                 megatron ? *megatron : checkpoint->values(),
                 checkpoint->folder().string(), /*cached=*/false);
}

Expected<Outcome> runLogits(const LogitsOptions &options,
                            const CommonOptions &common) {
  MBC_ASSIGN(ProgramCache cache, ProgramCache::fromEnvironment());
  LogitsRun run{options, common, cache};
  MBC_ASSIGN(std::optional<DType> dtype, parseDType("--dtype", options.dtype));
  MBC_ASSIGN(run.tokens, readTokens(options.tokens));
  uint64_t chunk = defaultChunk;
  if (!options.chunk.empty()) {
    MBC_ASSIGN(chunk, parseCount("--chunk", options.chunk, 1, mostRows));
  }
  MBC_TRY(common.load(run.library));
  run.open.config = common.config;
  MBC_TRY(options.reference.addTo(run.open));
  run.open.threads = common.threads;
  run.compile.dtype = dtype.value_or(DType::F32);
  // Rounded, so that texts of about one length have one program.
  uint64_t length = std::bit_ceil<uint64_t>(run.tokens.length);
  run.compile.chunks = {
      std::min(chunk, std::bit_ceil<uint64_t>(run.tokens.ids.size()))};
  run.compile.length = length;
  run.compile.taps = options.taps;
  // It runs here and now.
  if (std::string_view target = host::codeTarget(); !target.empty())
    run.compile.targets.emplace_back(target);
  if (!options.noCache && !cache.isOff())
    if (std::optional<Outcome> outcome = run.runCached())
      return std::move(*outcome);
  return run.runCompiled();
}

} // namespace

void addLogits(CLI::App &root, CommandList &commands) {
  auto &command = *commands.emplace_back(std::make_unique<Command>(
      root, "logits", "The logits of given tokens, from either format",
      "Compiles the model for the processor at hand, loads the weights of a "
      "Hugging Face folder or a Megatron checkpoint, and writes float32 logits "
      "[batch, sequence, vocabulary]. The same file for any --threads. The "
      "program is kept for the next run of the same model."));
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
              "Tokens that one step computes (default: 512)")
      .list("--tap", options->taps, "NAME",
            "Write a value of every token too: 'decoder' is what each layer of "
            "that stack leaves, 'decoder.attn' the result of a block, "
            "'decoder.attn.linear' of an operation, to NAME.npy beside the "
            "logits: [batch, sequence, layers, ...]. May be repeated")
      .flag("--no-cache", options->noCache,
            "Compile, whether or not the program is kept from an earlier run, "
            "and keep none; as MBC_CACHE=off. 'mbc cache --help' says more");
  options->reference.declare(command,
                             "Take config.json from here, not from the "
                             "checkpoint's record or its configuration");
  command.configOptions().examples(
      "  mbc logits SmolLM2-135M-Instruct --tokens 1,2,3 -o out.npy\n"
      "  mbc logits megatron --tokens tokens.npy -o out.npy --dtype "
      "bfloat16\n"
      "  mbc logits megatron --tokens 1,2,3 -o out.npy --tap decoder   # and "
      "out.decoder.npy");
  command.run = [options, &common = command.common]() -> Expected<Outcome> {
    MBC_TRY(resolveInPlace(options->folder));
    MBC_TRY(resolveInPlace(options->reference.hfModel));
    return runLogits(*options, common);
  };
}

} // namespace mbc
