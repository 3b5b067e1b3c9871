//===- ImportCheckpoint.cpp - Hugging Face -> Megatron --------------------===//
#include "compiler/Bridge/Convert.h"
#include "compiler/Bridge/Manifest.h"
#include "compiler/Bridge/TokenizerFiles.h"
#include "runtime/core/File.h"
#include "runtime/core/FileStamps.h"
#include "runtime/core/Parallel.h"
#include "runtime/io/CastRange.h"
#include "runtime/io/CopyPlan.h"
#include "runtime/io/HubCache.h"
#include "runtime/io/ScaledTensors.h"
#include "runtime/io/TensorViews.h"

#include <chrono>
#include <cstring>
#include <fmt/format.h>
#include <set>

namespace fs = std::filesystem;

namespace mbc {

/// A stored copy of a tied parameter equals its original, or the flag lies.
static Status checkTies(const plan::PlanT &plan, const HfFolder &folder) {
  constexpr int64_t block = 1 << 21;
  ExtentReader reader(folder);
  std::vector<std::byte> a, b;
  for (const auto &tie : plan.ties) {
    size_t copy = folder.find(tie->copy), original = folder.find(tie->original);
    const TensorInfo &info = folder.tensors()[copy];
    if (info.dtype != folder.tensors()[original].dtype)
      return inputError(fmt::format(
          "{}: '{}' is tied to '{}' by the configuration, yet is stored as {} "
          "beside {}",
          folder.folder().string(), tie->copy, tie->original,
          safetensorsName(info.dtype),
          safetensorsName(folder.tensors()[original].dtype)));
    for (int64_t at = 0; at < info.elements(); at += block) {
      int64_t count = std::min(block, info.elements() - at);
      a.resize(bytesOf(info.dtype, count));
      b.resize(a.size());
      MBC_TRY(reader.read(copy, at, count, a));
      MBC_TRY(reader.read(original, at, count, b));
      if (std::memcmp(a.data(), b.data(), a.size()) == 0)
        continue;
      // W31: the tie of the configuration holds in the file.
      return inputError(fmt::format(
          "{}: the configuration ties '{}' to '{}', yet the folder stores "
          "different values; set tie_word_embeddings to false if both are "
          "meant",
          folder.folder().string(), tie->copy, tie->original));
    }
  }
  return {};
}

/// The types in which the source has its values, before any rounding.
static std::vector<DType> productTypes(const TensorSet &values,
                                       const std::vector<ScaledName> &scaled) {
  std::vector<DType> dtypes;
  for (const TensorInfo &info : values.tensors())
    dtypes.push_back(info.dtype);
  for (const ScaledName &item : scaled)
    dtypes[values.find(item.name)] = DType::F32;
  return dtypes;
}

/// Says what became of FP8 weights; names those whose bytes are lost.
static Status fp8Notes(const ScaledTensors &values,
                       const std::vector<ScaledName> &scaled, bool cast,
                       unsigned threads, std::vector<std::string> &notes) {
  std::set<std::string_view> types;
  for (const ScaledName &item : scaled)
    types.insert(safetensorsName(item.value));
  std::string spelled;
  for (std::string_view type : types)
    spelled += (spelled.empty() ? "" : " or ") + std::string(type);
  std::string text = fmt::format(
      "{} FP8 tensors are stored as {}: element times scale of its block in "
      "F32, rounded once",
      scaled.size(), spelled);
  if (cast) {
    notes.push_back(text + "; export gives them in that type");
    return {};
  }
  MBC_ASSIGN(auto lost, findUnrestorable(values, threads));
  notes.push_back(
      text + (lost.empty() ? "; export restores every byte of them, as proved"
                           : "; export restores the others"));
  for (const ScaledTensors::Lost &item : lost)
    notes.push_back(fmt::format(
        "'{}': {} elements vanish under their block scales, which are zero, "
        "too small or too large; export gives FP8 of the same values, but not "
        "the same bytes",
        item.name, item.elements));
  return {};
}

/// Says which parameters are not stored in the type one would expect.
static void typeNotes(const plan::PlanT &plan, std::optional<DType> asked,
                      std::vector<std::string> &notes) {
  std::set<std::string> widened, kept;
  for (const auto &copy : plan.copies) {
    auto stored = static_cast<DType>(copy->mcore_dtype);
    if (asked && stored != *asked)
      kept.insert(fmt::format("'{}' stays {}: the model pins it", copy->path,
                              safetensorsName(stored)));
    if (!asked && copy->hf_block.empty() && copy->hf_dtype != copy->mcore_dtype)
      widened.insert(fmt::format(
          "'{}' is stored as {}, which holds all of its parts exactly; export "
          "narrows them again",
          copy->path, safetensorsName(stored)));
  }
  notes.insert(notes.end(), widened.begin(), widened.end());
  notes.insert(notes.end(), kept.begin(), kept.end());
}

static Status writeTokenizer(const HfFolder &folder, const fs::path &target) {
  for (const std::string &name : folder.sideFiles()) {
    if (!isTokenizerFile(name))
      continue;
    std::error_code code;
    fs::create_directories(target, code);
    if (code)
      return fileError(target, "cannot create", code.value());
    MBC_ASSIGN(std::string bytes,
               readWholeFile(folder.folder() / name, uint64_t(1) << 30));
    MBC_TRY(writeWholeFile(target / name, bytes));
  }
  return {};
}

Expected<ConvertReport> importCheckpoint(const ModelLibrary &library,
                                         const fs::path &hfFolder,
                                         const fs::path &target,
                                         const ConvertOptions &options) {
  auto start = std::chrono::steady_clock::now();
  MBC_ASSIGN(StagedDirectory staged,
             StagedDirectory::create(target, options.overwrite,
                                     std::span(&hfFolder, 1)));
  FileStamps stamps(hfFolder, /*deep=*/false);
  MBC_ASSIGN(std::unique_ptr<HfFolder> folder, HfFolder::open(hfFolder));
  MBC_ASSIGN(
      std::unique_ptr<ProvedModel> proved,
      ProvedModel::create(library, folder->configPath(), options.open.config));
  MBC_ASSIGN(plan::PlanT plan,
             proved->plan(folder.get(),
                          options.megatron.placement(proved->model(), "auto",
                                                     options.dtype)));
  MBC_TRY(checkTies(plan, *folder));

  std::vector<ScaledName> scaled = scaledNames(plan);
  MBC_ASSIGN(std::unique_ptr<ScaledTensors> values,
             ScaledTensors::dequantized(*folder, scaled));
  MBC_ASSIGN(std::unique_ptr<MappedTensors> mapped,
             MappedTensors::create(plan, PlanSide::Megatron, *values));
  ConvertReport report;
  report.model = proved->declared().name;
  report.source = hfFolder;
  report.target = target;
  report.tensors = folder->tensors().size();
  report.indexedLayers = plan.indexed_layers;
  report.notes = staged.notes();
  report.notes.insert(report.notes.end(), folder->notes().begin(),
                      folder->notes().end());
  typeNotes(plan, options.dtype, report.notes);
  bool cast = options.dtype.has_value();
  if (!scaled.empty())
    MBC_TRY(
        fp8Notes(*values, scaled, cast, options.open.threads, report.notes));
  for (std::string &note : configLeftOut(*proved))
    report.notes.push_back(std::move(note));
  for (const TensorInfo &info : mapped->tensors()) {
    report.parameters += info.elements();
    report.bytes += info.bytes();
  }

  std::error_code code;
  fs::path iteration = staged.path() / "iter_0000000";
  fs::create_directory(iteration, code);
  if (code)
    return systemError(fmt::format("{}: cannot create: {}", iteration.string(),
                                   code.message()));
  std::vector<size_t> extras;
  for (const auto &extra : plan.extras)
    extras.push_back(folder->find(extra->name));
  if (!cast)
    for (const ScaledName &item : scaled)
      extras.push_back(folder->find(item.scale));
  MBC_TRY(SourceRecord::write(*folder, iteration, options.dtype, extras));
  // What an export would give: after a cast, the checkpoint's types.
  std::vector<DType> types;
  for (const TensorInfo &info : values->tensors())
    types.push_back(info.dtype);
  if (cast) {
    types = plannedTypes(*values, plan);
    // FP8 is a product in F32 before it is rounded to the type asked for.
    CastTensors products(*values, productTypes(*values, scaled));
    MBC_ASSIGN(auto overflow,
               findOverflow(products, types, options.open.threads));
    MBC_TRY(refuseOverflow(overflow));
  }
  CastTensors typed(*values, types);
  std::vector<size_t> kept =
      withoutScales(typed, cast ? scaled : std::vector<ScaledName>());
  SomeTensors exported(typed, kept);
  // Who writes one rank reads the weights of that rank only.
  std::optional<Manifest> manifest;
  if (!options.megatron.onlySome()) {
    Progress digesting("digesting", 0, options.progress);
    MBC_ASSIGN(manifest, Manifest::make(*folder, exported, options.sha256,
                                        options.open.threads, digesting));
    digesting.finish();
  }
  MBC_TRY(writeTokenizer(*folder, iteration / "tokenizer"));
  Progress progress("importing", report.bytes, options.progress);
  MBC_TRY(writeMegatron(*proved, plan, *mapped, options.megatron,
                        modelId(hfFolder), staged.path(), progress,
                        options.open.threads ? options.open.threads
                                             : defaultThreads()));
  if (manifest)
    MBC_TRY(manifest->write(iteration));
  MBC_TRY(stamps.check());
  MBC_TRY(staged.commit());
  progress.finish();
  report.seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start)
          .count();
  return report;
}

} // namespace mbc
