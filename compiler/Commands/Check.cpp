//===- Check.cpp - mbc check ----------------------------------------------===//
#include "compiler/Bridge/MegatronTarget.h"
#include "compiler/Commands/CheckReport.h"
#include "compiler/Commands/TargetOptions.h"
#include "runtime/core/Text.h"
#include "runtime/io/MappedTensors.h"
#include "runtime/io/NumberText.h"
#include "runtime/io/ScaledTensors.h"

#include <chrono>
#include <fmt/format.h>

namespace fs = std::filesystem;

namespace mbc {

namespace {

struct CheckOptions {
  std::string folder, config, model, mapping;
  TargetOptions layout;
};

Status checkUsage(const CheckOptions &options) {
  auto usage = [](const char *message) {
    return inputError(std::string(message) + "; see 'mbc check --help'");
  };
  if (options.model.empty() != options.mapping.empty())
    return usage("--model and --mapping go together");
  if (!options.folder.empty() && !options.config.empty())
    return usage("expected HF_DIR or --config, not both");
  if (options.folder.empty() && options.config.empty() && options.model.empty())
    return usage("expected HF_DIR, --config FILE, or --model FILE --mapping "
                 "FILE");
  return {};
}

/// Proofs of a pair of files that hold for every configuration.
Expected<Outcome> checkPair(const ModelLibrary &library) {
  const DeclaredModel &declared = library.models().front();
  MBC_TRY(ProvedModel::proveSymbolically(library, declared));
  Outcome outcome;
  outcome.text = fmt::format(
      "{}: proved for every configuration\n  {}\n  {}\n\nObligations\n",
      declared.name, declared.modelFile, declared.mappingFile);
  Json list = Json::array();
  for (const MappingProof &proof : mappingProofs()) {
    outcome.text +=
        fmt::format("  proved  {}  {}\n", proof.constraint, proof.text);
    list.push(Json::object({{"kind", proof.constraint},
                            {"text", proof.text},
                            {"verdict", "proved"},
                            {"place", ""}}));
  }
  outcome.json = Json::object({{"model", declared.name},
                               {"model_file", declared.modelFile},
                               {"mapping_file", declared.mappingFile},
                               {"obligations", std::move(list)}});
  return outcome;
}

/// The type that config.json states, for sizes in bytes.
DType statedType(const fs::path &config) {
  auto json = Json::parseFile(config);
  if (json)
    for (const char *name : {"dtype", "torch_dtype"})
      if (const Json *field = json->find(name); field && field->asString())
        if (auto dtype = dtypeFromTorch(*field->asString()))
          return *dtype;
  return DType::BF16;
}

/// The files that an import into this layout would write.
Status addFiles(ProvedModel &proved, const plan::PlanT &plan,
                const HfFolder &folder, const MegatronTarget &target,
                Outcome &outcome) {
  auto start = std::chrono::steady_clock::now();
  std::unique_ptr<TensorSet> dequantized;
  if (std::vector<ScaledName> scaled = scaledNames(plan); !scaled.empty()) {
    MBC_ASSIGN(dequantized, ScaledTensors::dequantized(folder, scaled));
  }
  const TensorSet &values =
      dequantized ? *dequantized : static_cast<const TensorSet &>(folder);
  MBC_ASSIGN(auto tensors,
             MappedTensors::create(plan, PlanSide::Megatron, values));
  MBC_ASSIGN(TargetFiles files, planFiles(proved, plan, *tensors, target));
  double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start)
          .count();
  outcome.text += fmt::format(
      "\nFiles of this layout\n  {} {}, {} in {} {}; the largest is {}, {}\n"
      "  planned in {:.2f} s\n",
      groupedNumber(files.count), target.legacy() ? "ranks" : "data files",
      sizeText(files.bytes), groupedNumber(files.pieces),
      target.legacy() ? "tensors" : "chunks", files.largest,
      sizeText(files.largestBytes), seconds);
  outcome.json.set(
      "files",
      Json::object({{"format", target.legacy() ? "torch" : "torch_dist"},
                    {"count", files.count},
                    {"pieces", files.pieces},
                    {"bytes", files.bytes},
                    {"largest", files.largest},
                    {"largest_bytes", files.largestBytes},
                    {"seconds", seconds}}));
  return {};
}

Expected<Outcome> runCheck(const CheckOptions &options,
                           const CommonOptions &common) {
  MBC_TRY(checkUsage(options));
  MBC_ASSIGN(MegatronLayout layout, options.layout.parse());
  MBC_ASSIGN(MegatronTarget target, MegatronTarget::of(layout));
  ModelLibrary library;
  MBC_TRY(common.load(library));
  if (!options.model.empty())
    MBC_TRY(library.addFiles(options.model, options.mapping));
  if (options.folder.empty() && options.config.empty())
    return checkPair(library);

  std::unique_ptr<HfFolder> folder;
  fs::path config = options.config;
  if (!options.folder.empty()) {
    MBC_ASSIGN(folder, HfFolder::open(options.folder));
    config = folder->configPath();
  }
  MBC_ASSIGN(auto proved, ProvedModel::create(library, config, common.config));
  PlacementOptions placement =
      target.placement(proved->model(), "auto", std::nullopt);
  MBC_ASSIGN(plan::PlanT plan, proved->plan(folder.get(), placement));
  MBC_ASSIGN(ImpliedTensors implied,
             impliedTensors(proved->model(), proved->mapping()));
  Outcome outcome = checkReport({*proved, plan, implied, folder.get(), config,
                                 placement.sizes, statedType(config)});
  if (folder)
    MBC_TRY(addFiles(*proved, plan, *folder, target, outcome));
  return outcome;
}

} // namespace

void addCheck(CLI::App &root, CommandList &commands) {
  auto &command = *commands.emplace_back(std::make_unique<Command>(
      root, "check", "Prove a model's mapping and print the proof as a table",
      "Proves the declaration for one config.json, and with HF_DIR binds it to "
      "the headers of the weights too. Prints every parameter with its names "
      "on "
      "both sides, shape, placement and bytes, every obligation with its "
      "verdict, the tensors that the configuration implies and those that a "
      "folder may store besides, what each field of config.json is for, and "
      "the admissible parallel sizes, and with HF_DIR the files that an import "
      "into the layout asked for would write. With --model and --mapping "
      "alone: what "
      "holds for every configuration. No weight is read."));
  auto options = std::make_shared<CheckOptions>();
  command
      .argument("HF_DIR", options->folder,
                "Folder with config.json and safetensors weights", false)
      .option("--config", options->config, "FILE",
              "Prove for this config.json, without weights")
      .option("--model", options->model, "FILE",
              "Use this model declaration (.mbc), with --mapping")
      .option("--mapping", options->mapping, "FILE",
              "Use this mapping declaration (.mbc), with --model");
  options->layout.declare(command, false);
  command.configOptions().examples(
      "  mbc check SmolLM2-135M-Instruct\n"
      "  mbc check --config DeepSeek-V3.json --ep 32 --pp 61\n"
      "  mbc check DeepSeek-V3 --format torch --tp 8 --pp 16 --ep 64 "
      "--decoder-last-pipeline-num-layers 1\n"
      "  mbc check --model my/model.mbc --mapping my/mapping.mbc "
      "--config config.json");
  command.run = [options, &common = command.common]() -> Expected<Outcome> {
    MBC_TRY(resolveInPlace(options->folder));
    return runCheck(*options, common);
  };
}

} // namespace mbc
