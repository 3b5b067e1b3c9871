//===- Checkpoint.cpp -----------------------------------------------------===//
#include "compiler/Bridge/Checkpoint.h"

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

/// Keys of a training run that hold no weights.
static bool isTrainingState(std::string_view name) {
  return name.starts_with("optimizer.") || name.starts_with("chained_") ||
         name.starts_with("rng_state") ||
         name.starts_with("rerun_state_machine_state");
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
  MBC_ASSIGN(megatron,
             TorchDistCheckpoint::open(path, {[](std::string_view name) {
                                                return !isTrainingState(name);
                                              },
                                              options.threads}));
  directory = megatron->folder();
  // Of no use here, but what is damaged is not passed by.
  MBC_TRY(megatron->readCommon());
  MBC_ASSIGN(source, SourceRecord::open(directory));
  if (!options.hfModel.empty())
    config = options.hfModel / "config.json";
  else if (source)
    config = source->filesFolder() / "config.json";
  else
    return inputError(fmt::format(
        "{}: holds no record of its Hugging Face side; give a folder with its "
        "config.json: --hf-model DIR",
        directory.string()));
  MBC_ASSIGN(provedModel, ProvedModel::create(library, config, options.config));
  PlacementOptions placement;
  placement.layerKeys = hasIndexedLayers(*megatron) ? "indexed" : "stacked";
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

Expected<std::unique_ptr<Checkpoint>>
Checkpoint::open(const ModelLibrary &library, const fs::path &path,
                 const OpenOptions &options) {
  std::unique_ptr<Checkpoint> checkpoint(new Checkpoint);
  MBC_ASSIGN(checkpoint->type, detectCheckpoint(path));
  if (checkpoint->type == CheckpointKind::TorchDist) {
    MBC_TRY(checkpoint->openTorchDist(library, path, options));
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
  return checkpoint;
}

} // namespace mbc
