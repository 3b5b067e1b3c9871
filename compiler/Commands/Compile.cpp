//===- Compile.cpp - mbc compile ------------------------------------------===//
#include "compiler/Bridge/ContinueProgram.h"
#include "compiler/Commands/Command.h"
#include "compiler/Commands/ProgramOptions.h"
#include "compiler/Commands/ReferenceOptions.h"
#include "compiler/Phases.h"
#include "runtime/commands/CostReport.h"
#include "runtime/commands/DraftOptions.h"
#include "runtime/core/File.h"
#include "runtime/core/Text.h"
#include "runtime/program/GpuCode.h"
#include "runtime/program/NativeImage.h"
#include "runtime/program/Program.h"

#include <algorithm>
#include <chrono>
#include <fmt/format.h>

namespace fs = std::filesystem;

namespace mbc {

namespace {

struct CompileCommandOptions {
  std::string folder, config, target, dtype, weightType, chunks, sequences,
      patches, length, gpus;
  std::string firstPhase, lastPhase, dumpFolder;
  ReferenceOptions reference;
  std::vector<std::string> taps;
  DraftTexts drafts;
  bool report = false, overwrite = false;
};

/// "512,128", without repeats.
Expected<std::vector<uint64_t>> parseCounts(const char *option,
                                            std::string_view text) {
  std::vector<uint64_t> counts;
  while (true) {
    std::string_view item = text.substr(0, text.find(','));
    MBC_ASSIGN(uint64_t count, parseCount(option, item, 1, mostRows));
    if (std::ranges::find(counts, count) != counts.end())
      return inputError(
          fmt::format("option '{}' names {} twice", option, count));
    counts.push_back(count);
    if (item.size() == text.size())
      return counts;
    text.remove_prefix(item.size() + 1);
  }
}

/// "sm_80,sm_90", each once.
Expected<std::vector<std::string>> parseTargets(std::string_view text) {
  std::vector<std::string> targets;
  while (true) {
    std::string item(text.substr(0, text.find(',')));
    if (!findGpuTarget(item))
      return inputError(
          fmt::format("option '--target' is {}, expected GPUs out of {}; code "
                      "for processors comes by itself",
                      quote(item), gpuTargetNames()));
    if (std::ranges::find(targets, item) != targets.end())
      return inputError(fmt::format("option '--target' names {} twice", item));
    targets.push_back(item);
    if (item.size() == text.size())
      return targets;
    text.remove_prefix(item.size() + 1);
  }
}

Expected<CompileOptions> parseOptions(const CompileCommandOptions &options) {
  CompileOptions result;
  MBC_ASSIGN(std::optional<DType> dtype, parseDType("--dtype", options.dtype));
  result.dtype = dtype.value_or(DType::F32);
  MBC_ASSIGN(result.scaledWeights, parseWeightType(options.weightType));
  result.chunks = {defaultChunk};
  if (!options.chunks.empty()) {
    MBC_ASSIGN(result.chunks, parseCounts("--chunk", options.chunks));
  }
  result.sequences = {1};
  if (!options.sequences.empty()) {
    MBC_ASSIGN(result.sequences, parseCounts("--sequences", options.sequences));
  }
  result.patches = {defaultPatches};
  if (!options.patches.empty()) {
    MBC_ASSIGN(result.patches, parseCounts("--patches", options.patches));
  }
  if (!options.length.empty()) {
    MBC_ASSIGN(result.length,
               parseCount("--length", options.length, 1, 1 << 30));
  }
  MBC_ASSIGN(result.drafts, options.drafts.parse());
  if (uint64_t chunk = std::ranges::max(result.chunks); chunk <= result.drafts)
    return inputError(fmt::format(
        "option '--chunk' is {}, expected at least {}: a token and its drafts",
        chunk, 1 + result.drafts));
  result.taps = options.taps;
  result.targets.assign(codeTargets.begin(), codeTargets.end());
  if (!options.gpus.empty()) {
    MBC_ASSIGN(std::vector<std::string> gpus, parseTargets(options.gpus));
    result.targets.insert(result.targets.end(), gpus.begin(), gpus.end());
  }
  return result;
}

/// "parse, elaborate, ...".
std::string phaseNames() {
  std::string text;
  for (const Phase &phase : phases())
    text += (text.empty() ? "" : ", ") + phase.name.str();
  return text;
}

/// Lets the compilation write what --to and --dump-phases ask for.
Status showPhases(const CompileCommandOptions &options, CompileOptions &what) {
  for (auto [option, name] : {std::pair("--from", &options.firstPhase),
                              std::pair("--to", &options.lastPhase)})
    if (!name->empty() && !findPhase(*name))
      return inputError(fmt::format("option '{}' is {}, expected one of {}",
                                    option, quote(*name), phaseNames()));
  if (!options.firstPhase.empty() && !options.lastPhase.empty() &&
      findPhase(options.firstPhase) >= findPhase(options.lastPhase))
    return inputError(fmt::format("option '--to' is {}, which is not after "
                                  "--from {}",
                                  quote(options.lastPhase),
                                  options.firstPhase));
  if (options.lastPhase.empty() && options.dumpFolder.empty())
    return {};
  if (!options.lastPhase.empty() && options.report)
    return inputError("option '--report' is about a program, and '--to' makes "
                      "none");
  std::error_code code;
  if (!options.dumpFolder.empty() &&
      !fs::is_directory(options.dumpFolder, code) &&
      !fs::create_directory(options.dumpFolder, code))
    return fileError(options.dumpFolder, "cannot create the folder",
                     code ? code.value() : ENOTDIR);
  what.seen = [&options](size_t number, std::string_view phase,
                         const std::string &text) -> Expected<bool> {
    if (!options.dumpFolder.empty())
      MBC_TRY(writeWholeFile(fs::path(options.dumpFolder) /
                                 fmt::format("{:02}-{}.mlir", number, phase),
                             text));
    if (phase != options.lastPhase)
      return true;
    MBC_TRY(writeWholeFile(options.target, text));
    return false;
  };
  return {};
}

/// What an earlier phase has decided cannot be asked for again.
Status checkDecided(const CompileCommandOptions &options) {
  if (options.firstPhase.empty())
    return {};
  const Phase *first = findPhase(options.firstPhase);
  const std::string tap = options.taps.empty() ? "" : options.taps.front();
  const std::string mtp = options.drafts.mtp ? "--mtp" : "";
  struct {
    const char *name;
    const std::string &value;
    const char *phase;
  } decided[] = {{"--config", options.config, "elaborate"},
                 {"--chunk", options.chunks, "instantiate"},
                 {"--sequences", options.sequences, "instantiate"},
                 {"--patches", options.patches, "instantiate"},
                 {"--tap", tap, "instantiate"},
                 {"--mtp", mtp, "instantiate"},
                 {"--dtype", options.dtype, "select"},
                 {"--weight-dtype", options.weightType, "parse"},
                 {"--length", options.length, "parse"}};
  for (const auto &option : decided)
    if (!option.value.empty() && first >= findPhase(option.phase))
      return inputError(fmt::format(
          "option '{}' is not for --from {}: the file has decided it",
          option.name, options.firstPhase));
  if (options.folder.empty())
    return inputError("option '--from' needs FILE.mlir, the module of that "
                      "phase, in the place of DIR");
  return {};
}

/// A program replaces nothing that it was not told to.
Status checkTarget(const fs::path &target, bool overwrite) {
  MBC_TRY(checkFileTarget(target));
  std::error_code code;
  if (fs::exists(target, code) && !overwrite)
    return inputError(
        fmt::format("{}: exists; --overwrite replaces it", target.string()));
  return {};
}

Expected<program::ProgramT> compile(const CompileCommandOptions &options,
                                    const CompileOptions &what,
                                    const CommonOptions &common) {
  if (!options.firstPhase.empty())
    return continueProgram(options.folder, options.firstPhase, options.config,
                           common.config, what);
  ModelLibrary library;
  MBC_TRY(common.load(library));
  if (!options.config.empty()) {
    MBC_ASSIGN(
        auto proved,
        ProvedModel::create(library, fs::path(options.config), common.config));
    return proved->compile(what);
  }
  MBC_ASSIGN(OpenOptions open, options.reference.openOptions(common));
  MBC_ASSIGN(auto checkpoint, Checkpoint::open(library, options.folder, open));
  return checkpoint->proved().compile(what);
}

Expected<Outcome> runCompile(const CompileCommandOptions &options,
                             const CommonOptions &common) {
  auto start = std::chrono::steady_clock::now();
  if (options.firstPhase.empty() &&
      options.folder.empty() == options.config.empty())
    return inputError("expected DIR or --config FILE, and not both; see 'mbc "
                      "compile --help'");
  MBC_ASSIGN(CompileOptions what, parseOptions(options));
  MBC_TRY(checkTarget(options.target, options.overwrite));
  MBC_TRY(showPhases(options, what));
  MBC_TRY(checkDecided(options));
  MBC_ASSIGN(program::ProgramT compiled, compile(options, what, common));
  if (!options.lastPhase.empty()) {
    Outcome outcome;
    outcome.text = fmt::format("compiled up to {}\n  to {}\n",
                               options.lastPhase, options.target);
    outcome.json = Json::object(
        {{"phase", options.lastPhase}, {"target", options.target}});
    return outcome;
  }
  if (!options.patches.empty() && !compiled.vision)
    return inputError(
        fmt::format("option '--patches': {} sees no pictures", compiled.model));
  std::vector<uint8_t> bytes = serializeProgram(compiled);
  // What is written can be read.
  MBC_ASSIGN(auto program, parseProgram(bytes, options.target));
  MBC_TRY(writeWholeFile(
      options.target,
      {reinterpret_cast<const char *>(bytes.data()), bytes.size()}));

  double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start)
          .count();
  Outcome outcome;
  outcome.text = fmt::format(
      "compiled {}: {} functions, sequences of {} tokens, {} in {:.2f} s\n"
      "  to {}\n",
      program->model, program->functions.size(), program->length,
      sizeText(bytes.size()), seconds, options.target);
  if (auto code = codeNames(*program); !code.empty())
    outcome.text += fmt::format("  with code for {}\n", fmt::join(code, ", "));
  if (std::ranges::any_of(program->gpu_code,
                          [](const auto &code) { return code->cubin.empty(); }))
    outcome.text += "  no ptxas in CUDA_HOME or on PATH: the driver assembles "
                    "PTX when the program is loaded\n";
  outcome.json = Json::object({{"model", program->model},
                               {"target", options.target},
                               {"dtype", std::string(torchName(what.dtype))},
                               {"bytes", bytes.size()},
                               {"length", program->length},
                               {"sequences", program->sequences},
                               {"seconds", seconds}});
  reportCost(*program, options.report, outcome);
  return outcome;
}

} // namespace

void addCompile(CLI::App &root, CommandList &commands) {
  auto &command = *commands.emplace_back(std::make_unique<Command>(
      root, "compile", "A program that mbc-run runs without a compiler",
      "Writes a program of functions with static sizes that share weights and "
      "state: score[N] gives logits of each of N tokens, prefill[N] of the "
      "last token of each sequence, decode[N] continues N sequences by a "
      "token; with --mtp, decode[N] tries N tokens of sequences, and draft[N] "
      "guesses the next; see[P] makes features of pictures of P patches. "
      "Weights are not in it. --report says what it costs, counted from "
      "its commands, before anything runs."));
  auto options = std::make_shared<CompileCommandOptions>();
  command
      .argument("DIR", options->folder,
                "Hugging Face folder or Megatron checkpoint of the model",
                false)
      .option("--config", options->config, "FILE",
              "Instead of DIR: its config.json alone")
      .option("-o,--output", options->target, "FILE",
              "The program to write, NAME.mbcp", true)
      .computeType(options->dtype, "float32");
  declareWeightType(command, options->weightType);
  command
      .option("--chunk", options->chunks, "N[,N...]",
              "Tokens of a call of score and prefill (default: 512); fewer of "
              "score, where their logits exceed 64 MB")
      .option("--sequences", options->sequences, "N[,N...]",
              "Sequences of a call of decode (default: 1); the state holds the "
              "largest number")
      .option("--patches", options->patches, "N[,N...]",
              "Of a model that sees: patches of pictures of a call of see "
              "(default: 16384); a picture has no more")
      .option("--length", options->length, "N",
              "Tokens that a sequence may have (default: what the model was "
              "made for)");
  command.option("--target", options->gpus, "GPU[,GPU...]",
                 ("Architectures of GPUs to bring code of fused operations "
                  "for, besides that for processors; none of them has to be "
                  "here: " +
                  gpuTargetNames())
                     .c_str());
  options->drafts.declare(command);
  options->reference.declare(command,
                             "Take config.json from here, not from the "
                             "checkpoint's record or its configuration");
  command
      .list("--tap", options->taps, "NAME",
            "Make a value of every token a result, as 'mbc logits --tap'")
      .flag("--report", options->report,
            "Print FLOPs, bytes and weights of each kind of layer, the largest "
            "buffers, and the peak memory")
      .option("--from", options->firstPhase, "PHASE",
              "Go on from a phase: DIR is the file that --to or --dump-phases "
              "wrote after it; elaborate needs --config")
      .option("--to", options->lastPhase, "PHASE",
              ("Stop after a phase, and write the module as MLIR to FILE: " +
               phaseNames())
                  .c_str())
      .option(
          "--dump-phases", options->dumpFolder, "DIR",
          "Write the module after each phase as MLIR: DIR/01-parse.mlir and "
          "so on")
      .flag("--overwrite", options->overwrite, "Replace FILE if it exists")
      .configOptions()
      .examples("  mbc compile Llama-3.2-1B -o llama.mbcp --dtype bfloat16\n"
                "  mbc compile --config config.json -o llama.mbcp --chunk "
                "512,128 --sequences 1,8 --report");
  command.run = [options, &common = command.common]() -> Expected<Outcome> {
    if (options->firstPhase.empty())
      MBC_TRY(resolveInPlace(options->folder));
    return runCompile(*options, common);
  };
}

} // namespace mbc
