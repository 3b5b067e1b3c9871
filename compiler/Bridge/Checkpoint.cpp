//===- Checkpoint.cpp -----------------------------------------------------===//
#include "compiler/Bridge/Checkpoint.h"

#include "compiler/Bridge/Iteration.h"
#include "compiler/Bridge/RebuiltConfig.h"
#include "runtime/core/Text.h"
#include "runtime/io/CopyPlan.h"
#include "runtime/io/TensorViews.h"

#include <fmt/format.h>
#include <unordered_set>

namespace fs = std::filesystem;

namespace mbc {

Expected<CheckpointKind> detectCheckpoint(const fs::path &path) {
  std::error_code code;
  if (!fs::exists(path, code))
    return inputError(
        fmt::format("{}: there is no such folder", path.string()));
  if (!fs::is_directory(path, code))
    return inputError(fmt::format(
        "{}: is not a folder; expected a Hugging Face folder or a Megatron "
        "checkpoint",
        path.string()));
  auto has = [&](const char *name) { return fs::exists(path / name, code); };
  if (has(".metadata") || has("latest_checkpointed_iteration.txt") ||
      has("latest_train_state.pt") || has("metadata.json") || has("release"))
    return CheckpointKind::TorchDist;
  fs::directory_iterator entries(path, code);
  if (code)
    return systemError(
        fmt::format("{}: cannot be read: {}", path.string(), code.message()));
  for (const fs::directory_entry &entry : entries) {
    std::string name = entry.path().filename().string();
    // Legacy and unfinished Megatron folders are named by their own reader.
    if (name.starts_with("iter_") || name.starts_with("mp_rank_") ||
        name.ends_with(".distcp"))
      return CheckpointKind::TorchDist;
  }
  return CheckpointKind::HuggingFace;
}

const TensorSet &Checkpoint::tensors() const {
  if (type == CheckpointKind::HuggingFace)
    return *hf;
  return *mapped;
}

const TensorSet &Checkpoint::values() const {
  return cast ? *cast : dequantized ? *dequantized : tensors();
}

/// "decoder.layers.3.": the layer keys carry their index.
static bool hasIndexedLayers(const TensorSet &set) {
  constexpr std::string_view stack = "decoder.layers.";
  for (const TensorInfo &info : set.tensors()) {
    size_t at = info.name.find(stack);
    if (at != std::string::npos && at + stack.size() < info.name.size())
      return std::isdigit(
          static_cast<unsigned char>(info.name[at + stack.size()]));
  }
  return false;
}

Status Checkpoint::openTorchDist(const ModelLibrary &library,
                                 const fs::path &path,
                                 const OpenOptions &options) {
  MBC_ASSIGN(fs::path folder, iterationFolder(path, options.iteration));
  MBC_ASSIGN(megatron,
             TorchDistCheckpoint::open(
                 folder, {[](std::string_view name) { return !stateOf(name); },
                          options.threads}));
  directory = megatron->folder();
  MBC_ASSIGN(training, countTrainingState(*megatron));
  MBC_ASSIGN(source, SourceRecord::open(directory));
  if (!options.hfModel.empty())
    config = options.hfModel / "config.json";
  else if (source)
    config = source->filesFolder() / "config.json";
  PlacementOptions placement;
  placement.layerKeys = hasIndexedLayers(*megatron) ? "indexed" : "stacked";
  if (config.empty()) {
    RebuildOptions rebuild{options.config, options.model, options.vocabulary,
                           placement.layerKeys};
    MBC_ASSIGN(RebuiltConfig found, rebuildConfig(library, *megatron, rebuild));
    provedModel = std::move(found.proved);
    config = found.source;
    rebuilt = std::move(found.config);
    noteList = std::move(found.notes);
  } else {
    MBC_ASSIGN(provedModel,
               ProvedModel::create(library, config, options.config));
  }
  if (source)
    placement.dtype = source->cast();
  MBC_ASSIGN(copyPlan, provedModel->plan(source.get(), placement));

  // Everything that the checkpoint holds is a parameter of the model.
  std::unordered_set<std::string> planned;
  for (const auto &copy : copyPlan.copies)
    MBC_TRY(forEachIndex(copy->loops, [&](std::span<const uint32_t> indices) {
      planned.insert(spell(*copy->mcore, indices));
      return Status();
    }));
  for (const TensorInfo &info : megatron->tensors())
    if (!planned.contains(info.name))
      return inputError(fmt::format(
          "{}: tensor '{}' {} is no parameter of {}", directory.string(),
          info.name, shapeText(info.shape), provedModel->declared().name));

  if (!source || source->cast())
    useStoredTypes();
  auto set = MappedTensors::create(copyPlan, PlanSide::HuggingFace, *megatron,
                                   source ? source->extras() : nullptr);
  if (!set)
    return Failure(
        Error{set.error().kind,
              fmt::format("{}: {}", directory.string(), set.error().message)});
  mapped = std::move(*set);
  scaledList = scaledNames(copyPlan);
  return {};
}

/// Without a record, and after a cast, tensors are exported in the type that
/// the checkpoint has; instances of one family in the smallest that holds all.
void Checkpoint::useStoredTypes() {
  for (const auto &copy : copyPlan.copies) {
    std::optional<DType> common;
    (void)forEachIndex(copy->loops, [&](std::span<const uint32_t> indices) {
      int64_t tensor = megatron->find(spell(*copy->mcore, indices));
      if (tensor < 0)
        return Status(); // MappedTensors names what is missing
      DType stored = megatron->tensors()[tensor].dtype;
      common = common
                   ? smallestCommonFloat(*common, stored).value_or(DType::F64)
                   : stored;
      return Status();
    });
    if (common)
      copy->hf_dtype = static_cast<plan::DType>(*common);
  }
  // A stored copy has the type of what it is a copy of.
  for (const auto &tie : copyPlan.ties)
    for (const auto &copy : copyPlan.copies)
      if (copy->loops.empty() && spell(*copy->hf, {}) == tie->original)
        tie->dtype = copy->hf_dtype;
}

/// What flags say about the model holds for the one that was opened.
Status Checkpoint::checkExpected(const OpenOptions &options) const {
  const std::string &name = provedModel->declared().name;
  if (!options.model.empty() && options.model != name)
    return inputError(fmt::format("{}: is a {}; option '--model' says {}",
                                  config.string(), name, options.model));
  if (!options.vocabulary)
    return {};
  for (const nn::LogicalParameter &parameter :
       nn::collectParameters(provedModel->model())) {
    nn::ParamOp op = parameter.op;
    if (!op.getPad())
      continue;
    auto axis = parameter.type.findAxis(
        llvm::cast<mlir::StringAttr>((*op.getPad())[0]).getValue());
    if (axis.getStaticSize() != options.vocabulary)
      return inputError(fmt::format(
          "{}: has a vocabulary of {}; option '--vocab-size' says {}",
          config.string(), *axis.getStaticSize(), *options.vocabulary));
  }
  return {};
}

Expected<std::unique_ptr<Checkpoint>>
Checkpoint::open(const ModelLibrary &library, const fs::path &path,
                 const OpenOptions &options) {
  std::unique_ptr<Checkpoint> checkpoint(new Checkpoint);
  MBC_ASSIGN(checkpoint->type, detectCheckpoint(path));
  if (!options.model.empty() && !library.findModel(options.model))
    return inputError(fmt::format("option '--model': no model {} is declared; "
                                  "'mbc models' lists them",
                                  quote(options.model)));
  if (checkpoint->type == CheckpointKind::TorchDist) {
    MBC_TRY(checkpoint->openTorchDist(library, path, options));
    MBC_TRY(checkpoint->checkExpected(options));
    return checkpoint;
  }
  MBC_ASSIGN(checkpoint->hf, HfFolder::open(path));
  checkpoint->directory = path;
  checkpoint->config = options.hfModel.empty()
                           ? checkpoint->hf->configPath()
                           : options.hfModel / "config.json";
  MBC_ASSIGN(checkpoint->provedModel,
             ProvedModel::create(library, checkpoint->config, options.config));
  PlacementOptions placement;
  placement.dtype = options.cast;
  MBC_ASSIGN(checkpoint->copyPlan,
             checkpoint->provedModel->plan(checkpoint->hf.get(), placement));
  checkpoint->scaledList = scaledNames(checkpoint->copyPlan);
  if (!checkpoint->scaledList.empty()) {
    MBC_ASSIGN(
        checkpoint->dequantized,
        ScaledTensors::dequantized(*checkpoint->hf, checkpoint->scaledList));
  }
  if (options.cast) {
    const TensorSet &values = checkpoint->values();
    checkpoint->cast = std::make_unique<CastTensors>(
        values, plannedTypes(values, checkpoint->copyPlan));
  }
  MBC_TRY(checkpoint->checkExpected(options));
  return checkpoint;
}

} // namespace mbc
