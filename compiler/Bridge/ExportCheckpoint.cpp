//===- ExportCheckpoint.cpp - Megatron -> Hugging Face --------------------===//
#include "compiler/Bridge/Convert.h"
#include "compiler/Bridge/ExportTensors.h"
#include "compiler/Bridge/Iteration.h"
#include "compiler/Bridge/TokenizerFiles.h"
#include "runtime/core/File.h"
#include "runtime/core/FileStamps.h"
#include "runtime/core/Parallel.h"
#include "runtime/io/SideFiles.h"

#include <algorithm>
#include <chrono>
#include <fmt/format.h>

namespace fs = std::filesystem;

namespace mbc {

/// Copies the side files, all but a tokenizer that another one replaces;
/// config.json says what is now stored.
static Status writeSideFiles(const Checkpoint &checkpoint,
                             const ExportTensors &source,
                             const fs::path &target,
                             const ConvertOptions &options) {
  fs::path from = checkpoint.configPath().parent_path();
  fs::path tokenizer = options.tokenizer;
  std::vector<std::string> names;
  if (const Json *config = checkpoint.rebuiltConfig()) {
    MBC_ASSIGN(std::string text,
               source.configText(config->dump() + "\n",
                                 checkpoint.configPath().string()));
    MBC_TRY(writeWholeFile(target / "config.json", text));
    if (tokenizer.empty())
      tokenizer = checkpoint.folder() / "tokenizer";
  } else if (!options.open.hfModel.empty()) {
    std::error_code code;
    for (const fs::directory_entry &entry :
         fs::directory_iterator(from, code)) {
      std::string name = entry.path().filename().string();
      bool weights = name.ends_with(".safetensors") ||
                     name.ends_with(".safetensors.index.json") ||
                     isForeignWeight(name);
      if (entry.is_regular_file() && !weights && !name.starts_with(".") &&
          entry.file_size() <= maxSideFile)
        names.push_back(name);
    }
  } else if (checkpoint.record()) {
    names = checkpoint.record()->sideFiles();
  }
  for (const std::string &name : names) {
    if (!options.tokenizer.empty() && isTokenizerFile(name))
      continue;
    MBC_ASSIGN(std::string bytes,
               readWholeFile(from / name, uint64_t(1) << 30));
    if (name == "config.json") {
      MBC_ASSIGN(bytes,
                 source.configText(std::move(bytes), (from / name).string()));
    }
    MBC_TRY(writeWholeFile(target / name, bytes));
  }
  std::error_code code;
  if (tokenizer.empty() ||
      (options.tokenizer.empty() && !fs::is_directory(tokenizer, code)))
    return {};
  MBC_ASSIGN(size_t copied, copyTokenizer(tokenizer, target));
  if (!copied && !options.tokenizer.empty())
    return inputError(fmt::format(
        "{}: holds no tokenizer; expected tokenizer.json, tokenizer.model or "
        "vocab.json",
        tokenizer.string()));
  return {};
}

/// The files of a folder of weights, as far as they are to be written again.
static std::vector<HfShardLayout> layoutOf(const HfFolder &folder) {
  std::vector<HfShardLayout> layout;
  for (const HfShard &shard : folder.shards()) {
    HfShardLayout &out = layout.emplace_back();
    out.file = shard.file;
    for (size_t i = 0; i < shard.tensorCount; ++i)
      out.tensors.push_back(folder.tensors()[shard.firstTensor + i].name);
  }
  return layout;
}

/// Whether a folder has weights, and not only a configuration.
static bool hasWeights(const fs::path &folder) {
  std::error_code code;
  for (const fs::directory_entry &entry : fs::directory_iterator(folder, code))
    if (entry.path().extension() == ".safetensors")
      return true;
  return false;
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
  for (const fs::path &folder : {options.open.hfModel, options.tokenizer})
    if (!folder.empty())
      sources.push_back(folder);
  MBC_ASSIGN(StagedDirectory staged,
             StagedDirectory::create(target, options.overwrite, sources));
  MBC_ASSIGN(fs::path iteration,
             iterationFolder(megatron, options.open.iteration));
  MBC_ASSIGN(MegatronFolder found, findMegatronFolder(iteration));
  FileStamps stamps(found.path, /*deep=*/true);
  MBC_ASSIGN(std::unique_ptr<Checkpoint> checkpoint,
             Checkpoint::open(library, megatron, options.open));
  const SourceRecord *record = checkpoint->record();

  MBC_ASSIGN(std::unique_ptr<ExportTensors> source,
             ExportTensors::create(*checkpoint, options, staged.path()));
  const TensorSet *tensors = &source->tensors();

  HfWriteOptions write;
  if (options.maxShard)
    write.maxShardBytes = *options.maxShard;
  else if (!options.open.hfModel.empty() && hasWeights(options.open.hfModel)) {
    MBC_ASSIGN(std::unique_ptr<HfFolder> reference,
               HfFolder::open(options.open.hfModel));
    write.layout = layoutOf(*reference);
    if (!reference->indexPath().empty())
      write.indexName = reference->indexPath().filename().string();
  } else if (record)
    write.layout = record->layout();
  for (HfShardLayout &shard : write.layout)
    std::erase_if(shard.tensors, [&](const std::string &name) {
      return tensors->find(name) < 0; // scales, where values are written
    });
  if (source->keepsTypes() && options.open.hfModel.empty() && !options.maxShard)
    write.rawIndex = record->rawIndex();
  else
    for (HfShardLayout &shard : write.layout)
      shard.rawHeader.clear();
  if (options.open.hfModel.empty() && record && !record->indexName().empty())
    write.indexName = record->indexName();

  ConvertReport report;
  report.model = checkpoint->proved().declared().name;
  report.source = megatron;
  report.target = target;
  report.tensors = tensors->tensors().size();
  report.skipped = checkpoint->trainingState();
  report.indexedLayers = checkpoint->plan().indexed_layers;
  report.parameters = source->parameters();
  for (const TensorInfo &info : tensors->tensors())
    report.bytes += info.bytes();

  MBC_TRY(writeSideFiles(*checkpoint, *source, staged.path(), options));
  Progress progress("exporting", report.bytes, options.progress);
  std::vector<size_t> order = exportOrder(*tensors, record);
  MBC_ASSIGN(HfWriteResult written,
             writeHfWeights(*tensors, order, write, staged.path(), progress,
                            options.open.threads ? options.open.threads
                                                 : defaultThreads()));
  MBC_TRY(source->finish());
  // What was read is what was stored, or nothing is written.
  MBC_ASSIGN(size_t without, checkpoint->verifyCrc(options.open.threads));
  if (without)
    written.notes.push_back(fmt::format(
        "{} records state no checksum, and were not checked", without));
  MBC_TRY(stamps.check());
  MBC_TRY(staged.commit());
  progress.finish();
  report.notes = staged.notes();
  std::ranges::copy(checkpoint->notes(), std::back_inserter(report.notes));
  std::ranges::copy(source->notes(), std::back_inserter(report.notes));
  std::ranges::move(written.notes, std::back_inserter(report.notes));
  report.seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start)
          .count();
  return report;
}

} // namespace mbc
