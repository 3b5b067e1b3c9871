//===- MegatronTarget.cpp -------------------------------------------------===//
#include "compiler/Bridge/MegatronTarget.h"

#include "compiler/Bridge/ChunkPlan.h"
#include "compiler/Bridge/LegacyLayout.h"
#include "runtime/core/File.h"
#include "runtime/io/MappedTensors.h"
#include "runtime/io/TrainState.h"

#include <fmt/format.h>
#include <map>

namespace fs = std::filesystem;

namespace mbc {

Expected<MegatronTarget> MegatronTarget::of(const MegatronLayout &layout) {
  MegatronTarget target;
  target.format = layout.format;
  target.sizes = layout.sizes;
  target.etpIsTp = layout.sizes.etp == 0;
  target.names = {layout.layerSpec, layout.experts, layout.oldMtp};
  target.vocabMultiple = layout.vocabMultiple;
  target.rank = layout.rank;
  if (!target.legacy() && target.onlySome())
    return inputError("single ranks are of the legacy torch format: a "
                      "torch_dist checkpoint is the same for all");
  if (target.vocabMultiple < 1)
    return inputError(fmt::format(
        "the vocabulary is to be padded to a multiple of {} rows; expected at "
        "least 1",
        target.vocabMultiple));
  return target;
}

PlacementOptions MegatronTarget::placement(nn::ModelOp model,
                                           std::string layerKeys,
                                           std::optional<DType> dtype) const {
  PlacementOptions options{sizes, std::move(layerKeys), dtype};
  if (!legacy())
    return options;
  options.layerKeys = "indexed";
  if (etpIsTp && wmap::cutsOver(model, "etp"))
    options.sizes.etp = sizes.tp;
  return options;
}

/// The type of most of the weights: what Megatron computes in.
static DType paramsDType(const TensorSet &set) {
  std::map<DType, uint64_t> bytes;
  for (const TensorInfo &info : set.tensors())
    bytes[info.dtype] += info.bytes();
  DType most = DType::BF16;
  uint64_t best = 0;
  for (auto [dtype, count] : bytes)
    if (count > best) {
      most = dtype;
      best = count;
    }
  return most;
}

/// Both loaders find the checkpoint: Bridge by latest_train_state.pt or the
/// largest iter_*, Megatron-LM by the tracker `release` and the link. Bridge
/// reads no legacy one.
static Status writeTrackers(const fs::path &root, const fs::path &iteration,
                            bool legacy) {
  if (!legacy) {
    std::string state = encodeTrainState({});
    MBC_TRY(writeWholeFile(iteration / "train_state.pt", state));
    MBC_TRY(writeWholeFile(root / "latest_train_state.pt", state));
  }
  MBC_TRY(
      writeWholeFile(root / "latest_checkpointed_iteration.txt", "release"));
  std::error_code code;
  fs::create_directory_symlink(iteration.filename(), root / "release", code);
  if (code)
    return systemError(fmt::format(
        "{}: cannot link: {}", (root / "release").string(), code.message()));
  return {};
}

static Status createFolder(const fs::path &folder) {
  std::error_code code;
  fs::create_directories(folder, code);
  if (code)
    return systemError(
        fmt::format("{}: cannot create: {}", folder.string(), code.message()));
  return {};
}

static Status writeRanks(const LegacyLayout &layout, const TensorSet &tensors,
                         const MegatronTarget &target,
                         const PickleValue &common, const fs::path &iteration,
                         Progress &progress, unsigned threads) {
  auto chosen = [&](const LegacyRank &rank) {
    return rank.tp == target.rank.tp.value_or(rank.tp) &&
           rank.pp == target.rank.pp.value_or(rank.pp) &&
           rank.ep == target.rank.ep.value_or(rank.ep);
  };
  std::vector<const LegacyRank *> ranks;
  uint64_t total = 0;
  for (const LegacyRank &rank : layout.ranks())
    if (chosen(rank)) {
      ranks.push_back(&rank);
      total +=
          layout.bytesOf(rank, tensors, target.names, target.vocabMultiple);
    }
  progress.setTotal(total);
  for (const LegacyRank *rank : ranks) {
    MBC_ASSIGN(
        LegacyLayout::RankFile file,
        layout.fileOf(*rank, tensors, target.names, target.vocabMultiple));
    MBC_ASSIGN(std::unique_ptr<MappedTensors> set,
               MappedTensors::create(file.copies, PlanSide::Megatron, tensors));
    LegacyTorchSpec spec;
    spec.models = std::move(file.models);
    for (const char *key : {"args", "checkpoint_version", "iteration"})
      spec.head.emplace_back(key, *common.find(key));
    fs::path folder = iteration / rank->folder;
    MBC_TRY(createFolder(folder));
    MBC_TRY(writeLegacyTorch(*set, spec, folder / "model_optim_rng.pt",
                             progress, threads));
  }
  if (!ranks.empty())
    return {};
  const LegacyRank &last = layout.ranks().back();
  return inputError(fmt::format(
      "option '--rank': there is no such rank; the layout has {} folders, {} "
      "to {}",
      layout.ranks().size(), layout.ranks()[0].folder, last.folder));
}

/// The layers of the stages.
static Expected<PipelineLayout> stagesOf(const plan::PlanT &plan,
                                         const wmap::ParallelSizes &sizes) {
  PipelineLayout stages;
  stages.pp = static_cast<uint32_t>(sizes.pp);
  stages.vpp = static_cast<uint32_t>(sizes.vpp);
  std::string why;
  stages.layers = wmap::chunkLayers(plan.layers, sizes, why);
  if (stages.layers.empty())
    return inputError(why);
  return stages;
}

static Expected<TargetFiles> planRanks(const LegacyLayout &layout,
                                       const TensorSet &tensors,
                                       const MegatronTarget &target) {
  TargetFiles files;
  for (const LegacyRank &rank : layout.ranks()) {
    MBC_ASSIGN(
        LegacyLayout::RankFile file,
        layout.fileOf(rank, tensors, target.names, target.vocabMultiple));
    MBC_ASSIGN(std::unique_ptr<MappedTensors> set,
               MappedTensors::create(file.copies, PlanSide::Megatron, tensors));
    uint64_t bytes = 0;
    for (const TensorInfo &info : set->tensors())
      bytes += info.bytes();
    ++files.count;
    files.pieces += set->tensors().size();
    files.bytes += bytes;
    if (bytes > files.largestBytes) {
      files.largestBytes = bytes;
      files.largest = rank.folder;
    }
  }
  return files;
}

static TargetFiles countFiles(const TorchDistSpec &spec,
                              const TensorSet &tensors) {
  TargetFiles files;
  std::map<uint32_t, uint64_t> bytes;
  for (const TorchDistSpec::Tensor &tensor : spec.tensors)
    for (const TorchDistSpec::Chunk &chunk : tensor.chunks) {
      int64_t elements = 1;
      for (int64_t size : chunk.sizes)
        elements *= size;
      bytes[chunk.file] +=
          bytesOf(tensors.tensors()[tensor.index].dtype, elements);
      ++files.pieces;
    }
  for (auto [file, size] : bytes) {
    ++files.count;
    files.bytes += size;
    if (size > files.largestBytes) {
      files.largestBytes = size;
      files.largest = fmt::format("__0_{}.distcp", file);
    }
  }
  return files;
}

Expected<TargetFiles> planFiles(ProvedModel &proved, const plan::PlanT &plan,
                                const TensorSet &tensors,
                                const MegatronTarget &target) {
  wmap::ParallelSizes sizes = target.placement(proved.model(), "", {}).sizes;
  MBC_ASSIGN(PipelineLayout stages, stagesOf(plan, sizes));
  if (target.legacy()) {
    MBC_ASSIGN(LegacyLayout layout,
               LegacyLayout::create(plan, sizes, std::move(stages)));
    return planRanks(layout, tensors, target);
  }
  MBC_ASSIGN(TorchDistSpec spec, chunkPlan(plan, tensors, stages));
  return countFiles(spec, tensors);
}

Status writeMegatron(ProvedModel &proved, const plan::PlanT &plan,
                     const TensorSet &tensors, const MegatronTarget &target,
                     std::string hfModelId, const fs::path &root,
                     Progress &progress, unsigned threads) {
  MegatronConfigInputs inputs;
  inputs.sizes = target.placement(proved.model(), "", {}).sizes;
  inputs.paramsDType = paramsDType(tensors);
  inputs.hfModelId = std::move(hfModelId);
  inputs.indexedLayers = plan.indexed_layers;
  if (target.legacy())
    inputs.vocabMultiple = target.vocabMultiple;
  PickleValue common = commonState(proved, inputs);

  MBC_ASSIGN(PipelineLayout stages, stagesOf(plan, inputs.sizes));
  fs::path iteration = root / "iter_0000000";
  MBC_TRY(createFolder(iteration));
  if (target.legacy()) {
    MBC_ASSIGN(LegacyLayout layout,
               LegacyLayout::create(plan, inputs.sizes, std::move(stages)));
    MBC_TRY(writeRanks(layout, tensors, target, common, iteration, progress,
                       threads));
    return writeTrackers(root, iteration, true);
  }
  MBC_ASSIGN(TorchDistSpec spec, chunkPlan(plan, tensors, stages));
  spec.common = std::move(common);
  MBC_TRY(writeWholeFile(iteration / "run_config.yaml",
                         runConfigYaml(proved, inputs)));
  MBC_TRY(writeTorchDist(tensors, spec, iteration, progress, threads));
  return writeTrackers(root, iteration, false);
}

} // namespace mbc
