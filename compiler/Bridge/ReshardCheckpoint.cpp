//===- ReshardCheckpoint.cpp - Megatron -> Megatron -----------------------===//
#include "compiler/Bridge/Convert.h"
#include "compiler/Bridge/Iteration.h"
#include "compiler/Bridge/Manifest.h"
#include "runtime/core/File.h"
#include "runtime/core/FileStamps.h"
#include "runtime/core/Parallel.h"
#include "runtime/io/HubCache.h"

#include <chrono>
#include <fmt/format.h>

namespace fs = std::filesystem;

namespace mbc {

/// What is copied of an iteration folder.
static constexpr std::string_view kCopied[] = {"mbc", "tokenizer"};

/// The record of the source and the tokenizer, which say the same of the new
/// checkpoint: its weights are the old one's. Not the manifest, which is of the
/// old one's files too.
static Status copyRecord(const fs::path &from, const fs::path &to) {
  for (std::string_view name : kCopied) {
    std::error_code code;
    if (!fs::is_directory(from / name, code))
      continue;
    fs::create_directories(to, code);
    fs::copy(from / name, to / name, fs::copy_options::recursive, code);
    if (code)
      return systemError(fmt::format("{}: cannot be copied: {}",
                                     (from / name).string(), code.message()));
  }
  std::error_code code;
  fs::remove(to / Manifest::kFile, code);
  if (code)
    return systemError(fmt::format("{}: cannot be removed: {}",
                                   (to / Manifest::kFile).string(),
                                   code.message()));
  return {};
}

/// Keys of a torch_dist target: as the source has them, if it has any.
static const char *layerKeys(const Checkpoint &source) {
  if (source.kind() != CheckpointKind::TorchDist)
    return "auto";
  return source.plan().indexed_layers ? "indexed" : "stacked";
}

Expected<ConvertReport> reshardCheckpoint(const ModelLibrary &library,
                                          const fs::path &source,
                                          const fs::path &target,
                                          const ConvertOptions &options) {
  auto start = std::chrono::steady_clock::now();
  std::vector<fs::path> sources = {source};
  if (!options.open.hfModel.empty())
    sources.push_back(options.open.hfModel);
  MBC_ASSIGN(StagedDirectory staged,
             StagedDirectory::create(target, options.overwrite, sources));
  MBC_ASSIGN(fs::path iterationSource,
             iterationFolder(source, options.open.iteration));
  MBC_ASSIGN(MegatronFolder found, findMegatronFolder(iterationSource));
  FileStamps stamps(found.path, /*deep=*/true);
  MBC_ASSIGN(std::unique_ptr<Checkpoint> checkpoint,
             Checkpoint::open(library, source, options.open));
  ProvedModel &proved = checkpoint->proved();
  const SourceRecord *record = checkpoint->record();
  const TensorSet &headers =
      record ? static_cast<const TensorSet &>(*record) : checkpoint->tensors();
  MBC_ASSIGN(plan::PlanT plan,
             proved.plan(&headers, options.megatron.placement(
                                       proved.model(), layerKeys(*checkpoint),
                                       record ? record->cast()
                                              : std::optional<DType>())));
  // Two views, one behind the other, and no Hugging Face file between: bytes
  // go from the source's files to the target's.
  MBC_ASSIGN(
      std::unique_ptr<MappedTensors> tensors,
      MappedTensors::create(plan, PlanSide::Megatron, checkpoint->tensors()));

  ConvertReport report;
  report.model = proved.declared().name;
  report.source = source;
  report.target = target;
  report.tensors = tensors->tensors().size();
  report.indexedLayers = plan.indexed_layers;
  report.notes = staged.notes();
  const std::vector<std::string> &notes = checkpoint->notes();
  report.notes.insert(report.notes.end(), notes.begin(), notes.end());
  report.skipped = checkpoint->trainingState();
  for (const TensorInfo &info : tensors->tensors()) {
    report.parameters += info.elements();
    report.bytes += info.bytes();
  }
  fs::path iteration = staged.path() / "iter_0000000";
  MBC_ASSIGN(std::unique_ptr<Manifest> manifest,
             Manifest::open(checkpoint->folder()));
  MBC_TRY(copyRecord(checkpoint->folder(), iteration));
  Progress progress("resharding", report.bytes, options.progress);
  MBC_TRY(writeMegatron(proved, plan, *tensors, options.megatron,
                        checkpoint->rebuiltConfig()
                            ? std::string()
                            : modelId(checkpoint->configPath().parent_path()),
                        staged.path(), progress,
                        options.open.threads ? options.open.threads
                                             : defaultThreads()));
  // What was read is what was stored, or nothing is written.
  MBC_ASSIGN(size_t without, checkpoint->verifyCrc(options.open.threads));
  if (without)
    report.notes.push_back(fmt::format(
        "{} records state no checksum, and were not checked", without));
  // All ranks together hold the same values, which have the same digests.
  if (manifest && !options.megatron.onlySome()) {
    manifest->keepStored(kCopied);
    MBC_TRY(manifest->write(iteration));
  }
  MBC_TRY(stamps.check());
  MBC_TRY(staged.commit());
  progress.finish();
  report.seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start)
          .count();
  return report;
}

} // namespace mbc
