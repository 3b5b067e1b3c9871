//===- ExportTensors.cpp --------------------------------------------------===//
#include "compiler/Bridge/ExportTensors.h"

#include "compiler/Transforms/WMapScales.h"
#include "runtime/core/Json.h"
#include "runtime/io/CastRange.h"
#include "runtime/io/CopyPlan.h"
#include "runtime/io/QuantizeScales.h"
#include "runtime/io/TensorViews.h"

#include <algorithm>
#include <fmt/format.h>
#include <set>
#include <unordered_set>

namespace fs = std::filesystem;

namespace mbc {

/// Names of the Hugging Face side of a copy.
template <typename Fn>
static void forEachName(const plan::CopyT &copy, Fn &&fn) {
  (void)forEachIndex(copy.loops, [&](std::span<const uint32_t> indices) {
    fn(spell(*copy.hf, indices));
    return Status();
  });
}

Expected<std::unique_ptr<ExportTensors>>
ExportTensors::create(Checkpoint &checkpoint, const ConvertOptions &options,
                      const fs::path &scratch) {
  std::unique_ptr<ExportTensors> result(new ExportTensors(checkpoint));
  result->sets.push_back(&checkpoint.tensors());
  result->scaled = scaledNames(checkpoint.plan());
  const SourceRecord *record = checkpoint.record();
  bool cast = options.dtype || (record && record->cast());
  std::string why;
  auto clause = wmap::Scales::of(checkpoint.proved().model(),
                                 checkpoint.proved().mapping(), why);
  if (!clause)
    return inputError(why);
  result->describesFp8 = clause->stored();
  result->stated = options.dtype ? options.dtype
                   : record      ? record->cast()
                                 : std::nullopt;
  result->sameTypes = record && !cast && !options.fp8Block;

  if (cast || options.fp8Block) {
    const TensorSet &all = result->tensors();
    result->owned.push_back(
        std::make_unique<SomeTensors>(all, withoutScales(all, result->scaled)));
    result->sets.push_back(result->owned.back().get());
  }
  if (options.dtype)
    MBC_TRY(result->castTo(*options.dtype, options.open.threads));
  if (options.fp8Block) {
    result->scaleFile = scratch / ".mbc-block-scales";
    MBC_TRY(result->quantize(options));
  } else if (!cast && !result->scaled.empty()) {
    MBC_TRY(result->restore());
  } else if (result->describesFp8) {
    result->noteList.push_back(
        "weights are no FP8: quantization_config is left out of config.json; "
        "--fp8-block stores FP8 with new scales");
  }
  return result;
}

Status ExportTensors::castTo(DType dtype, unsigned threads) {
  const TensorSet &set = tensors();
  std::set<std::string> pinned;
  for (const nn::LogicalParameter &parameter :
       nn::collectParameters(checkpoint.proved().model()))
    if (wmap::isPinnedToF32(parameter))
      pinned.insert(parameter.path);
  std::vector<DType> dtypes;
  for (const TensorInfo &info : set.tensors())
    dtypes.push_back(info.dtype);
  std::set<std::string> kept;
  for (const auto &copy : checkpoint.plan().copies)
    forEachName(*copy, [&](const std::string &name) {
      DType &slot = dtypes[set.find(name)];
      if (!pinned.contains(copy->path))
        slot = dtype;
      else if (slot != dtype)
        kept.insert(fmt::format("'{}' stays {}: the model pins it", copy->path,
                                safetensorsName(slot)));
    });
  for (const auto &tie : checkpoint.plan().ties)
    if (int64_t copy = set.find(tie->copy), original = set.find(tie->original);
        copy >= 0 && original >= 0)
      dtypes[copy] = dtypes[original];
  MBC_ASSIGN(auto overflow, findOverflow(set, dtypes, threads));
  MBC_TRY(refuseOverflow(overflow));
  noteList.insert(noteList.end(), kept.begin(), kept.end());
  owned.push_back(std::make_unique<CastTensors>(set, dtypes));
  sets.push_back(owned.back().get());
  return {};
}

Status ExportTensors::restore() {
  auto set = ScaledTensors::quantized(tensors(), scaled);
  if (!set)
    return inputError(fmt::format("{}: damaged record of the source: {}",
                                  (checkpoint.folder() / "mbc").string(),
                                  set.error().message));
  restored = std::move(*set);
  sets.push_back(restored.get());
  storesFp8 = true;
  return {};
}

Status ExportTensors::quantize(const ConvertOptions &options) {
  block = options.fp8Block;
  if (scaled.empty())
    for (const auto &copy : checkpoint.plan().copies) {
      if (copy->hf_scale.empty() || copy->hf_shape.size() < 2)
        continue;
      forEachName(*copy, [&](std::string name) {
        std::string scale = name + copy->hf_scale;
        scaled.push_back({std::move(name), std::move(scale), 0, 0,
                          static_cast<DType>(copy->mcore_dtype)});
      });
    }
  if (scaled.empty())
    return inputError(fmt::format(
        "option '--fp8-block': the declaration of {} lets no tensor be FP8: "
        "none is marked 'scaled' in {}",
        checkpoint.proved().declared().name,
        checkpoint.proved().declared().mappingFile));
  for (ScaledName &item : scaled)
    item.blockRows = item.blockCols = *block;
  std::ranges::sort(scaled, {}, &ScaledName::name);
  auto [first, last] = std::ranges::unique(scaled, {}, &ScaledName::name);
  scaled.erase(first, last);

  MBC_ASSIGN(Json config, Json::parseFile(checkpoint.configPath()));
  const Json *quantization = config.find("quantization_config");
  const Json *format = quantization ? quantization->find("scale_fmt") : nullptr;
  bool powers = format && format->asString() && *format->asString() == "ue8m0";
  Progress progress("computing scales", 0, options.progress);
  MBC_ASSIGN(auto scales,
             writeScales(tensors(), scaled,
                         powers ? ScaleFormat::PowerOfTwo : ScaleFormat::F32,
                         scaleFile, options.open.threads, progress));
  progress.finish();
  owned.push_back(std::move(scales));
  owned.push_back(std::make_unique<JoinedTensors>(tensors(), *owned.back()));
  sets.push_back(owned.back().get());
  MBC_ASSIGN(auto quantized, ScaledTensors::quantized(tensors(), scaled));
  owned.push_back(std::move(quantized));
  sets.push_back(owned.back().get());
  storesFp8 = true;
  noteList.push_back(fmt::format(
      "{} tensors are stored as FP8 with new scales for blocks of {} x {}",
      scaled.size(), *block, *block));
  return {};
}

uint64_t ExportTensors::parameters() const {
  std::unordered_set<std::string_view> others;
  if (storesFp8)
    for (const ScaledName &item : scaled)
      others.insert(item.scale);
  for (const auto &tie : checkpoint.plan().ties)
    others.insert(tie->copy);
  uint64_t count = 0;
  for (const TensorInfo &info : tensors().tensors())
    if (!others.contains(info.name))
      count += info.elements();
  return count;
}

Expected<std::string> ExportTensors::configText(std::string text,
                                                const std::string &path) const {
  if (!stated && !block && describesFp8 == storesFp8)
    return text;
  MBC_ASSIGN(Json config, Json::parse(text, path));
  if (stated)
    for (const char *key : {"torch_dtype", "dtype"})
      if (config.find(key))
        config.set(key, std::string(torchName(*stated)));
  if (!storesFp8) {
    if (describesFp8)
      config.erase("quantization_config");
  } else if (block) {
    // As DeepSeek V3 says it; what else is there about activations stays.
    Json quantization = Json::object({{"activation_scheme", "dynamic"},
                                      {"fmt", "e4m3"},
                                      {"quant_method", "fp8"}});
    if (const Json *old = config.find("quantization_config");
        old && old->isObject())
      quantization = *old;
    quantization.set("weight_block_size", Json::array({*block, *block}));
    config.set("quantization_config", std::move(quantization));
  }
  return config.dump() + "\n";
}

Status ExportTensors::finish() {
  if (!scaleFile.empty()) {
    std::error_code code;
    fs::remove(scaleFile, code);
    if (code)
      return systemError(fmt::format("{}: cannot be removed: {}",
                                     scaleFile.string(), code.message()));
  }
  if (!restored)
    return {};
  std::vector<ScaledTensors::Lost> lost = restored->lost();
  if (lost.empty())
    return {};
  constexpr size_t most = 20;
  std::string text;
  for (size_t i = 0; i < std::min(lost.size(), most); ++i)
    text += fmt::format("tensor '{}': {} values are no FP8 numbers under the "
                        "recorded scales\n",
                        lost[i].name, lost[i].elements);
  if (lost.size() > most)
    text +=
        fmt::format("{} more tensors have such values\n", lost.size() - most);
  return inputError(fmt::format(
      "{}{} of {} FP8 tensors of the source have changed since the import; "
      "choose --fp8-block N for FP8 with new scales, or --dtype bfloat16 for "
      "the values themselves",
      text, lost.size(), scaled.size()));
}

} // namespace mbc
