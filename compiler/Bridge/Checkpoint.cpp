//===- Checkpoint.cpp -----------------------------------------------------===//
#include "compiler/Bridge/Checkpoint.h"

#include "compiler/Bridge/Iteration.h"
#include "compiler/Bridge/LegacySource.h"
#include "compiler/Bridge/RebuiltConfig.h"
#include "runtime/core/Text.h"
#include "runtime/io/CopyPlan.h"
#include "runtime/io/TensorViews.h"

#include <fmt/format.h>
#include <unordered_set>

namespace fs = std::filesystem;

namespace mbc {

const TensorSet &Checkpoint::tensors() const {
  if (type == CheckpointKind::HuggingFace)
    return *hf;
  return *mapped;
}

const TensorSet &Checkpoint::values() const {
  return cast ? *cast : dequantized ? *dequantized : tensors();
}

const TensorSet *Checkpoint::megatronTensors() const {
  if (torchDist)
    return torchDist.get();
  return legacyWhole.get();
}

Expected<size_t> Checkpoint::verifyCrc(unsigned threads) const {
  if (torchDist)
    return torchDist->verifyCrc(threads);
  return legacy ? legacy->verifyCrc(threads) : 0;
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

/// Plans `proved` as the checkpoint is laid out; of a legacy one, puts the
/// ranks' tensors together as the plan names them.
Status Checkpoint::place(ProvedModel &proved) {
  PlacementOptions placement;
  if (source)
    placement.dtype = source->cast();
  if (!legacy) {
    placement.layerKeys = hasIndexedLayers(*torchDist) ? "indexed" : "stacked";
    MBC_ASSIGN(copyPlan, proved.plan(source.get(), placement));
    return {};
  }
  placement.layerKeys = "indexed";
  MBC_ASSIGN(placement.sizes, storedSizes(*legacy, proved.model()));
  MBC_ASSIGN(copyPlan, proved.plan(source.get(), placement));
  MBC_ASSIGN(legacyWhole, wholeTensors(*legacy, copyPlan, placement.sizes));
  return {};
}

/// The model, from a config.json or rebuilt from Megatron's configuration.
Status Checkpoint::proveMegatron(const ModelLibrary &library,
                                 const OpenOptions &options) {
  if (!options.hfModel.empty())
    config = options.hfModel / "config.json";
  else if (source)
    config = source->filesFolder() / "config.json";
  if (!config.empty()) {
    MBC_ASSIGN(provedModel,
               ProvedModel::create(library, config, options.config));
    return {};
  }
  RebuildOptions rebuild{options.config, options.model, options.vocabulary};
  StoredMegatron stored{
      directory, legacy ? static_cast<const TensorSet &>(*legacy) : *torchDist,
      /*whole=*/!legacy, [&](ProvedModel &proved) -> Status {
        MBC_TRY(place(proved));
        auto set = MappedTensors::create(copyPlan, PlanSide::HuggingFace,
                                         *megatronTensors());
        return set ? Status() : Status(Failure(set.error()));
      }};
  MBC_ASSIGN(std::optional<MegatronFields> fields,
             legacy ? MegatronFields::read(*legacy)
                    : MegatronFields::read(*torchDist));
  MBC_ASSIGN(RebuiltConfig found,
             rebuildConfig(library, stored, std::move(fields), rebuild));
  provedModel = std::move(found.proved);
  config = found.source;
  rebuilt = std::move(found.config);
  noteList = std::move(found.notes);
  return {};
}

Status Checkpoint::openMegatron(const ModelLibrary &library,
                                const fs::path &path,
                                const OpenOptions &options) {
  MBC_ASSIGN(fs::path folder, iterationFolder(path, options.iteration));
  MBC_ASSIGN(MegatronFolder found, findMegatronFolder(folder));
  directory = found.path;
  if (found.legacy) {
    MBC_ASSIGN(legacy, LegacyTorchFiles::open(directory, options.threads));
    training = countTrainingState(*legacy);
  } else {
    MBC_ASSIGN(torchDist,
               TorchDistCheckpoint::open(folder, {[](std::string_view name) {
                                                    return !stateOf(name);
                                                  },
                                                  options.threads}));
    directory = torchDist->folder();
    MBC_ASSIGN(training, countTrainingState(*torchDist));
  }
  MBC_ASSIGN(source, SourceRecord::open(directory));
  MBC_TRY(proveMegatron(library, options));
  MBC_TRY(place(*provedModel));

  // Everything that the checkpoint holds is a parameter of the model.
  std::unordered_set<std::string> planned;
  for (const auto &copy : copyPlan.copies)
    MBC_TRY(forEachIndex(copy->loops, [&](std::span<const uint32_t> indices) {
      planned.insert(spell(*copy->mcore, indices));
      return Status();
    }));
  for (const TensorInfo &info : megatronTensors()->tensors())
    if (!planned.contains(info.name))
      return inputError(fmt::format(
          "{}: tensor '{}' {} is no parameter of {}", directory.string(),
          info.name, shapeText(info.shape), provedModel->declared().name));

  if (!source || source->cast())
    useStoredTypes();
  auto set =
      MappedTensors::create(copyPlan, PlanSide::HuggingFace, *megatronTensors(),
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
  const TensorSet *megatron = megatronTensors();
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
  if (checkpoint->type != CheckpointKind::HuggingFace) {
    MBC_TRY(checkpoint->openMegatron(library, path, options));
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
