//===- Logits.cpp - mbc logits --------------------------------------------===//
#include "compiler/Bridge/CompiledModel.h"
#include "compiler/Commands/Command.h"
#include "compiler/Commands/ProgramOptions.h"
#include "compiler/Commands/ReferenceOptions.h"
#include "runtime/commands/ComputeLogits.h"

#include <bit>
#include <fmt/format.h>

namespace mbc {

namespace {

struct LogitsOptions {
  std::string folder, dtype, weightType, chunk;
  LogitsTexts texts;
  std::vector<std::string> taps;
  PictureOptions pictures;
  ReferenceOptions reference;
  bool draft = false, noCache = false;
};

Expected<Outcome> runLogits(const LogitsOptions &options,
                            const CommonOptions &common) {
  MBC_ASSIGN(ProgramCache cache, ProgramCache::fromEnvironment());
  MBC_ASSIGN(std::optional<DType> dtype, parseDType("--dtype", options.dtype));
  MBC_ASSIGN(execute::Device device,
             execute::Device::parse(options.texts.device));
  MBC_ASSIGN(Tokens tokens, readTokens(options.texts.tokens));
  MBC_ASSIGN(Pixels pixels, readPixels(options.pictures));
  uint64_t chunk = defaultChunk;
  MBC_TRY(parseCount("--chunk", options.chunk, 1, mostRows, chunk));
  ModelLibrary library;
  MBC_TRY(common.load(library));
  MBC_ASSIGN(OpenOptions open, options.reference.openOptions(common));
  CompileOptions compile;
  MBC_ASSIGN(compile.scaledWeights, parseWeightType(options.weightType));
  // Rounded, so that texts of about one length have one program.
  compile.length = std::bit_ceil<uint64_t>(tokens.length);
  compile.chunks = {
      std::min(chunk, std::bit_ceil<uint64_t>(tokens.ids.size()))};
  if (!pixels.grids.empty())
    compile.patches = {std::bit_ceil<uint64_t>(pixels.patches())};
  MBC_ASSIGN(std::string target, execute::codeTarget(device));
  if (!target.empty())
    compile.targets.push_back(std::move(target));
  compile.taps = options.taps;
  compile.draft = options.draft;
  MBC_ASSIGN(CompiledModel model,
             compileModel(library, options.folder, open, compile,
                          dtype.value_or(DType::F32),
                          options.noCache ? nullptr : &cache));
  MBC_ASSIGN(Outcome outcome,
             computeLogits(model, tokens, pixels, options.texts.target, device,
                           common));
  outcome.text += fmt::format(
      "{} in {:.2f} s\n", model.cached ? "program from the cache" : "compiled",
      model.seconds);
  outcome.json.set("compile_seconds", model.seconds);
  outcome.json.set("cached", model.cached);
  return outcome;
}

} // namespace

void addLogits(CLI::App &root, CommandList &commands) {
  auto &command = *commands.emplace_back(std::make_unique<Command>(
      root, "logits", "The logits of given tokens, from either format",
      "Compiles the model for the device at hand, loads the weights of a "
      "Hugging Face folder or a Megatron checkpoint, and writes float32 logits "
      "[batch, sequence, vocabulary]. The same file for any --threads. The "
      "program is kept for the next run of the same model."));
  auto options = std::make_shared<LogitsOptions>();
  command.argument("DIR", options->folder,
                   "Hugging Face folder, or Megatron checkpoint");
  options->texts.declare(command);
  command.computeType(options->dtype, "float32");
  declareWeightType(command, options->weightType);
  command
      .option("--chunk", options->chunk, "N",
              "Tokens that one step computes (default: 512)")
      .list("--tap", options->taps, "NAME",
            "Write a value of every token too: 'decoder' is what each layer of "
            "that stack leaves, 'decoder.attn' the result of a block, "
            "'decoder.attn.linear' of an operation, to NAME.npy beside the "
            "logits: [batch, sequence, layers, ...], of experts [batch, "
            "sequence, layers, topk, ...]. May be repeated")
      .flag("--mtp", options->draft,
            "Write too what the model's extra layers for multi-token "
            "prediction draft, to NAME.draft.npy beside the logits: row t "
            "follows from tokens up to t + 1 and is about token t + 2; the "
            "last row of a sequence is NaN")
      .noCache(options->noCache);
  options->pictures.declare(command);
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
    return runLogits(*options, common);
  };
}

} // namespace mbc
