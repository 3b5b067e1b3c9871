//===- WeightFolder.cpp ---------------------------------------------------===//
#include "runtime/program/WeightFolder.h"

#include "runtime/core/Json.h"
#include "runtime/core/Text.h"
#include "runtime/io/CheckpointKind.h"
#include "runtime/io/HfFolder.h"
#include "runtime/io/TorchDist.h"

#include <algorithm>
#include <fmt/format.h>

namespace fs = std::filesystem;

namespace mbc {

/// The value at "a.b.c", or null.
static const Json *findPath(const Json &json, std::string_view path) {
  const Json *value = &json;
  while (value && !path.empty()) {
    std::string_view key = path.substr(0, path.find('.'));
    value = value->find(key);
    path.remove_prefix(std::min(key.size() + 1, path.size()));
  }
  return value;
}

Status checkConfig(const program::ProgramT &program, const fs::path &path) {
  std::error_code code;
  if (!fs::exists(path, code))
    return {};
  MBC_ASSIGN(Json found, Json::parseFile(path));
  const Json *list = found.find("architectures");
  const std::string *architecture = list && !list->elements().empty()
                                        ? list->elements()[0].asString()
                                        : nullptr;
  if (architecture && !program.architectures.empty() &&
      std::ranges::find(program.architectures, *architecture) ==
          program.architectures.end())
    return inputError(fmt::format(
        "{}: is a {}; the program was compiled for {}", path.string(),
        quote(*architecture), fmt::join(program.architectures, ", ")));
  if (program.config.empty())
    return {};
  MBC_ASSIGN(Json expected, Json::parse(program.config, "the program"));
  for (const auto &[field, value] : expected.members()) {
    const Json *other = findPath(found, field);
    if (other && !(*other == value))
      return inputError(fmt::format(
          "{}: {} is {}; the program was compiled for {}", path.string(), field,
          quote(other->dumpCompact()), quote(value.dumpCompact())));
  }
  return {};
}

Expected<WeightFolder> openWeights(const fs::path &path, unsigned threads) {
  MBC_ASSIGN(CheckpointKind kind, detectCheckpoint(path));
  WeightFolder result;
  switch (kind) {
  case CheckpointKind::HuggingFace: {
    MBC_ASSIGN(auto folder, HfFolder::open(path));
    fs::path config = folder->configPath();
    result = {PlanSide::HuggingFace, std::move(folder), path.string(),
              std::move(config)};
    return result;
  }
  case CheckpointKind::TorchDist: {
    // Optimizers are large, and no weights.
    TorchDistOptions options;
    options.keep = [](std::string_view name) {
      return !name.starts_with("optimizer.") && !name.starts_with("chained_");
    };
    options.threads = threads;
    MBC_ASSIGN(auto checkpoint, TorchDistCheckpoint::open(path, options));
    fs::path at = checkpoint->folder();
    result = {PlanSide::Megatron, std::move(checkpoint), at.string(),
              at / "mbc" / "files" / "config.json"};
    return result;
  }
  case CheckpointKind::LegacyTorch:
    break;
  }
  return inputError(fmt::format(
      "{}: is a legacy checkpoint, a file for each rank; 'mbc reshard' writes "
      "it as torch_dist, and 'mbc logits' reads it as it is",
      path.string()));
}

} // namespace mbc
