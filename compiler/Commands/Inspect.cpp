//===- Inspect.cpp - mbc inspect ------------------------------------------===//
#include "compiler/Bridge/Iteration.h"
#include "compiler/Commands/Command.h"
#include "compiler/Commands/InspectProgram.h"
#include "compiler/Commands/ReferenceOptions.h"
#include "runtime/commands/TextTable.h"
#include "runtime/core/Text.h"
#include "runtime/io/NumberText.h"

#include <fmt/format.h>
#include <map>

namespace fs = std::filesystem;

namespace mbc {

namespace {

/// A set as the command shows it, whatever it was opened from.
struct Inspected {
  std::string format;
  fs::path path;
  const TensorSet *set = nullptr;
  std::vector<std::pair<std::string, std::string>> facts;
  std::vector<std::string> notes;
};

/// One weight file, without a folder around it.
class SingleFile final : public TensorSet {
public:
  SingleFile(const fs::path &path, const SafetensorsHeader &header) {
    paths.push_back(path.string());
    for (const SafetensorsEntry &entry : header.tensors)
      infos.push_back(entry.info);
    indexNames();
  }
  void locate(size_t, int64_t, int64_t, int64_t,
              std::vector<Extent> &) const override {}
};

struct Totals {
  uint64_t tensors = 0, elements = 0, bytes = 0;
  void add(const TensorInfo &info) {
    ++tensors;
    elements += static_cast<uint64_t>(info.elements());
    bytes += info.bytes();
  }
};

Json totalsJson(const Totals &totals) {
  return Json::object({{"tensors", totals.tensors},
                       {"elements", totals.elements},
                       {"bytes", totals.bytes}});
}

Outcome describe(const Inspected &what, bool listTensors) {
  Totals all;
  std::map<std::string, Totals> byType;
  for (const TensorInfo &info : what.set->tensors()) {
    all.add(info);
    byType[std::string(safetensorsName(info.dtype))].add(info);
  }

  Outcome outcome;
  TextTable facts;
  facts.row({"format", what.format});
  facts.row({"path", what.path.string()});
  outcome.json =
      Json::object({{"format", what.format}, {"path", what.path.string()}});
  for (const auto &[key, value] : what.facts) {
    facts.row({key, value});
    outcome.json.set(key, value);
  }
  facts.row({"files", groupedNumber(what.set->files().size())});
  facts.row({"tensors", groupedNumber(all.tensors)});
  facts.row({"elements", groupedNumber(all.elements)});
  facts.row({"bytes", fmt::format("{} ({})", groupedNumber(all.bytes),
                                  sizeText(all.bytes))});
  Json files = Json::array();
  for (const std::string &file : what.set->files())
    files.push(file);
  outcome.json.set("files", std::move(files));
  outcome.json.set("totals", totalsJson(all));

  TextTable types({1, 2, 3});
  types.row({"DTYPE", "TENSORS", "ELEMENTS", "BYTES"});
  Json dtypes = Json::object();
  for (const auto &[name, totals] : byType) {
    types.row({name, groupedNumber(totals.tensors),
               groupedNumber(totals.elements), sizeText(totals.bytes)});
    dtypes.set(name, totalsJson(totals));
  }
  outcome.json.set("dtypes", std::move(dtypes));
  outcome.text = facts.text() + "\n" + types.text();

  if (listTensors) {
    TextTable table;
    table.row({"TENSOR", "DTYPE", "SHAPE"});
    Json tensors = Json::array();
    for (const TensorInfo &info : what.set->tensors()) {
      std::string dtype(safetensorsName(info.dtype));
      table.row({info.name, dtype, shapeText(info.shape)});
      Json shape = Json::array();
      for (int64_t size : info.shape)
        shape.push(size);
      tensors.push(Json::object({{"name", info.name},
                                 {"dtype", dtype},
                                 {"shape", std::move(shape)}}));
    }
    outcome.text += "\n" + table.text();
    outcome.json.set("tensors", std::move(tensors));
  }
  Json notes = Json::array();
  for (const std::string &note : what.notes) {
    outcome.text += "note: " + note + "\n";
    notes.push(note);
  }
  outcome.json.set("notes", std::move(notes));
  return outcome;
}

/// The architecture of a config.json and the model that is declared for it.
void addModel(Inspected &what, const ModelLibrary &library,
              const fs::path &config) {
  auto json = Json::parseFile(config);
  const Json *names = json ? json->find("architectures") : nullptr;
  if (!names || names->elements().empty() || !names->elements()[0].asString()) {
    what.notes.push_back(
        fmt::format("the architecture is not known, since {} names none",
                    quote(config.string())));
    return;
  }
  const std::string &architecture = *names->elements()[0].asString();
  what.facts.push_back({"architecture", architecture});
  if (const DeclaredModel *model = library.findArchitecture(architecture))
    what.facts.push_back({"model", model->name});
  else
    what.notes.push_back(
        fmt::format("no model is declared for {}", quote(architecture)));
}

Expected<Outcome> inspectHf(const ModelLibrary &library, const fs::path &path,
                            bool listTensors) {
  MBC_ASSIGN(auto folder, HfFolder::open(path));
  Inspected what{"Hugging Face safetensors", path, folder.get(), {}, {}};
  addModel(what, library, folder->configPath());
  what.facts.push_back(
      {"side_files", std::to_string(folder->sideFiles().size())});
  for (const std::string &note : folder->notes())
    what.notes.push_back(note);
  return describe(what, listTensors);
}

/// Model and architecture, if the checkpoint has a record of its source.
Status addRecordedModel(Inspected &what, const ModelLibrary &library) {
  MBC_ASSIGN(auto record, SourceRecord::open(what.path));
  if (record)
    addModel(what, library, record->filesFolder() / "config.json");
  else
    what.notes.push_back(
        "holds no record of a Hugging Face source; export and verify rebuild "
        "config.json from Megatron's configuration, or take --hf-model DIR");
  return {};
}

Expected<Outcome> inspectMegatron(const ModelLibrary &library,
                                  const fs::path &path, unsigned threads,
                                  bool listTensors) {
  MBC_ASSIGN(auto checkpoint, TorchDistCheckpoint::open(path, {{}, threads}));
  Inspected what{
      "Megatron torch_dist", checkpoint->folder(), checkpoint.get(), {}, {}};
  MBC_TRY(addRecordedModel(what, library));
  what.facts.push_back({"objects", std::to_string(checkpoint->blobs().size())});
  return describe(what, listTensors);
}

/// Tensors as the ranks have them: what several hold is counted for each.
Expected<Outcome> inspectLegacy(const ModelLibrary &library,
                                const fs::path &path, unsigned threads,
                                bool listTensors) {
  MBC_ASSIGN(MegatronFolder folder, findMegatronFolder(path));
  MBC_ASSIGN(auto files, LegacyTorchFiles::open(folder.path, threads));
  Inspected what{
      "Megatron torch (legacy)", files->folder(), files.get(), {}, {}};
  MBC_TRY(addRecordedModel(what, library));
  what.facts.push_back({"ranks", std::to_string(files->ranks().size())});
  for (const char *size :
       {"tensor_model_parallel_size", "pipeline_model_parallel_size",
        "virtual_pipeline_model_parallel_size", "expert_model_parallel_size",
        "expert_tensor_parallel_size"})
    if (auto value = files->argument(size))
      what.facts.push_back({size, std::to_string(*value)});
  for (const auto &[name, ranks] : files->skipped())
    what.notes.push_back(
        fmt::format("{} of {} ranks is no weight, and left out by export",
                    quote(name), ranks));
  return describe(what, listTensors);
}

Expected<Outcome> inspectFile(const fs::path &path, bool listTensors) {
  MBC_ASSIGN(SafetensorsHeader header, readSafetensorsHeader(path));
  SingleFile file(path, header);
  Inspected what{"safetensors file", path, &file, {}, {}};
  if (header.metadata)
    for (const auto &[key, value] : *header.metadata)
      what.notes.push_back(
          fmt::format("metadata {} = {}", quote(key), quote(value)));
  return describe(what, listTensors);
}

} // namespace

void addInspect(CLI::App &root, CommandList &commands) {
  struct Options {
    std::string path, iteration;
    bool tensors = false;
  };
  auto &command = *commands.emplace_back(std::make_unique<Command>(
      root, "inspect",
      "Show what a folder, checkpoint, weight file or program holds",
      "Reads headers only, and proves nothing: it works for models that are "
      "not declared."));
  auto options = std::make_shared<Options>();
  command
      .argument("PATH", options->path,
                "Hugging Face folder, Megatron checkpoint (root or iteration "
                "folder), .safetensors file, or program")
      .flag("--tensors", options->tensors,
            "List every tensor with its type and shape")
      .examples("  mbc inspect SmolLM2-135M-Instruct\n"
                "  mbc inspect megatron --tensors\n"
                "  mbc inspect model-00001-of-00002.safetensors --json");
  ReferenceOptions::declareIteration(command, options->iteration);
  command.run = [options, &common = command.common]() -> Expected<Outcome> {
    MBC_TRY(resolveInPlace(options->path));
    ModelLibrary library;
    MBC_TRY(common.load(library));
    std::error_code code;
    if (fs::is_regular_file(options->path, code) &&
        isProgramFile(options->path))
      return inspectProgram(options->path);
    if (fs::is_regular_file(options->path, code))
      return inspectFile(options->path, options->tensors);
    MBC_ASSIGN(CheckpointKind kind, detectCheckpoint(options->path));
    if (kind == CheckpointKind::HuggingFace)
      return inspectHf(library, options->path, options->tensors);
    MBC_ASSIGN(std::optional<uint64_t> iteration,
               parseIteration(options->iteration));
    MBC_ASSIGN(fs::path folder, iterationFolder(options->path, iteration));
    return (kind == CheckpointKind::LegacyTorch ? inspectLegacy
                                                : inspectMegatron)(
        library, folder, common.threads, options->tensors);
  };
}

} // namespace mbc
