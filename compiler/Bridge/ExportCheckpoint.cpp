//===- ExportCheckpoint.cpp - Megatron -> Hugging Face --------------------===//
#include "compiler/Bridge/Convert.h"
#include "compiler/Bridge/ExportTensors.h"
#include "runtime/core/File.h"
#include "runtime/core/FileStamps.h"
#include "runtime/core/Parallel.h"

#include <algorithm>
#include <chrono>
#include <fmt/format.h>

namespace fs = std::filesystem;

namespace mbc {

/// Copies the side files; config.json says what is now stored.
static Status writeSideFiles(const Checkpoint &checkpoint,
                             const ExportTensors &source,
                             const fs::path &target,
                             const ConvertOptions &options) {
  fs::path from = checkpoint.configPath().parent_path();
  std::vector<std::string> names;
  if (!options.hfModel.empty()) {
    std::error_code code;
    for (const fs::directory_entry &entry :
         fs::directory_iterator(from, code)) {
      std::string name = entry.path().filename().string();
      bool weights = name.ends_with(".safetensors") || name.ends_with(".bin") ||
                     name.ends_with(".pth") || name.ends_with(".pt") ||
                     name.ends_with(".safetensors.index.json");
      if (entry.is_regular_file() && !weights && !name.starts_with("."))
        names.push_back(name);
    }
  } else if (checkpoint.record()) {
    names = checkpoint.record()->sideFiles();
  }
  for (const std::string &name : names) {
    MBC_ASSIGN(std::string bytes,
               readWholeFile(from / name, uint64_t(1) << 30));
    if (name == "config.json") {
      MBC_ASSIGN(bytes,
                 source.configText(std::move(bytes), (from / name).string()));
    }
    MBC_TRY(writeWholeFile(target / name, bytes));
  }
  return {};
}

/// The order of tensors in the source, or that of the declaration.
static std::vector<size_t> exportOrder(const TensorSet &tensors,
                                       const SourceRecord *record) {
  std::vector<size_t> order;
  if (record)
    for (const TensorInfo &info : record->tensors())
      if (int64_t index = tensors.find(info.name); index >= 0)
        order.push_back(index);
  if (order.size() == tensors.tensors().size())
    return order;
  order.resize(tensors.tensors().size());
  for (size_t i = 0; i < order.size(); ++i)
    order[i] = i;
  return order;
}

Expected<ConvertReport> exportCheckpoint(const ModelLibrary &library,
                                         const fs::path &megatron,
                                         const fs::path &target,
                                         const ConvertOptions &options) {
  auto start = std::chrono::steady_clock::now();
  std::vector<fs::path> sources = {megatron};
  if (!options.hfModel.empty())
    sources.push_back(options.hfModel);
  MBC_ASSIGN(StagedDirectory staged,
             StagedDirectory::create(target, options.overwrite, sources));
  MBC_ASSIGN(fs::path iteration, findTorchDistFolder(megatron));
  FileStamps stamps(iteration, /*deep=*/true);
  OpenOptions open;
  open.config = options.config;
  open.hfModel = options.hfModel;
  open.threads = options.threads;
  MBC_ASSIGN(std::unique_ptr<Checkpoint> checkpoint,
             Checkpoint::open(library, megatron, open));
  const SourceRecord *record = checkpoint->record();

  MBC_ASSIGN(std::unique_ptr<ExportTensors> source,
             ExportTensors::create(*checkpoint, options, staged.path()));
  const TensorSet *tensors = &source->tensors();

  HfWriteOptions write;
  if (options.maxShard)
    write.maxShardBytes = *options.maxShard;
  else if (record)
    write.layout = record->layout();
  for (HfShardLayout &shard : write.layout)
    std::erase_if(shard.tensors, [&](const std::string &name) {
      return tensors->find(name) < 0; // scales, where values are written
    });
  if (source->keepsTypes() && !options.maxShard)
    write.rawIndex = record->rawIndex();
  else
    for (HfShardLayout &shard : write.layout)
      shard.rawHeader.clear();
  if (record && !record->indexName().empty())
    write.indexName = record->indexName();

  ConvertReport report;
  report.model = checkpoint->proved().declared().name;
  report.source = megatron;
  report.target = target;
  report.tensors = tensors->tensors().size();
  report.indexedLayers = checkpoint->plan().indexed_layers;
  report.parameters = source->parameters();
  for (const TensorInfo &info : tensors->tensors())
    report.bytes += info.bytes();

  MBC_TRY(writeSideFiles(*checkpoint, *source, staged.path(), options));
  Progress progress("exporting", report.bytes, options.progress);
  std::vector<size_t> order = exportOrder(*tensors, record);
  MBC_ASSIGN(
      HfWriteResult written,
      writeHfWeights(*tensors, order, write, staged.path(), progress,
                     options.threads ? options.threads : defaultThreads()));
  MBC_TRY(source->finish());
  // What was read is what was stored, or nothing is written.
  MBC_ASSIGN(size_t without,
             checkpoint->torchDist()->verifyCrc(options.threads));
  if (without)
    written.notes.push_back(fmt::format(
        "{} records state no checksum, and were not checked", without));
  MBC_TRY(stamps.check());
  MBC_TRY(staged.commit());
  progress.finish();
  report.notes = staged.notes();
  std::ranges::copy(source->notes(), std::back_inserter(report.notes));
  std::ranges::move(written.notes, std::back_inserter(report.notes));
  report.seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start)
          .count();
  return report;
}

} // namespace mbc
