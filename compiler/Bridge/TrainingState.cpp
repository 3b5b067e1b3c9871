//===- TrainingState.cpp --------------------------------------------------===//
#include "compiler/Bridge/TrainingState.h"

#include "runtime/core/Text.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Regex.h"

#include <fmt/format.h>

namespace mbc {

namespace {

/// "rng_state" of "rng_state/shard_0.0_1.1": the key of an object that is saved
/// in parts, offsets then sizes.
llvm::StringRef withoutPart(llvm::StringRef key) {
  auto [base, part] = key.rsplit("/shard_");
  auto [offsets, sizes] = part.split('_');
  auto isNumbers = [](llvm::StringRef text) {
    return !text.empty() &&
           text.find_first_not_of("0123456789.") == llvm::StringRef::npos;
  };
  return isNumbers(offsets) && isNumbers(sizes) ? base : key;
}

/// Whole keys of optimizers: one that merely begins like one is no state.
bool isOptimizer(llvm::StringRef key) {
  static const std::vector<llvm::Regex> patterns = [] {
    const std::string chain = "^(chained_[0-9]+\\.)?optimizer\\.";
    const std::string group = chain + "distributed\\.dp_group_idx_[0-9]+\\.";
    const std::string word = "[A-Za-z0-9_]+";
    std::vector<llvm::Regex> list;
    // Moments and masters of the optimizers that Megatron Core wraps.
    list.push_back(
        llvm::Regex(chain +
                    "state\\.(param|fp32_param|fp32_from_fp16_params|"
                    "master_param|exp_avg|exp_avg_sq|momentum_buffer|step)"
                    "(\\." +
                    word + ")+$"));
    list.push_back(llvm::Regex(group +
                               "gbuf_idx_[0-9]+\\.dtype_[^/]+\\.bucket_idx_"
                               "[0-9]+\\." +
                               word + "$"));
    list.push_back(
        llvm::Regex(group + "(param_state|param_groups|optimizer|grad_scaler|"
                            "step|per_bucket_numel|per_bucket_numel_unpadded)"
                            "$"));
    return list;
  }();
  return (key.starts_with("optimizer.") || key.starts_with("chained_")) &&
         llvm::any_of(patterns, [&](const llvm::Regex &pattern) {
           return pattern.match(key);
         });
}

} // namespace

std::optional<StateKind> stateOf(std::string_view key) {
  llvm::StringRef base = withoutPart(key);
  if (base == "rng_state")
    return StateKind::Rng;
  if (base == "rerun_state_machine_state")
    return StateKind::Rerun;
  if (base == "opt_param_scheduler")
    return StateKind::Scheduler;
  if (base == "common_state")
    return StateKind::Common;
  if (base.ends_with("._extra_state"))
    return StateKind::ExtraState;
  if (isOptimizer(base))
    return StateKind::Optimizer;
  return std::nullopt;
}

std::string TrainingState::text() const {
  std::string result;
  auto add = [&](uint64_t count, const char *one, const char *many) {
    if (count)
      result += fmt::format("{}{} {}", result.empty() ? "" : ", ", count,
                            count == 1 ? one : many);
  };
  add(optimizerTensors, "optimizer tensor", "optimizer tensors");
  add(optimizerObjects, "optimizer object", "optimizer objects");
  add(rng, "random state", "random states");
  add(rerun, "rerun state", "rerun states");
  add(scheduler, "learning rate schedule", "");
  return result;
}

Expected<TrainingState>
countTrainingState(const TorchDistCheckpoint &checkpoint) {
  TrainingState state;
  state.optimizerTensors = checkpoint.skipped().size();
  for (const DcpMetadata::Blob &blob : checkpoint.blobs()) {
    std::optional<StateKind> kind = stateOf(blob.name);
    if (!kind)
      return inputError(fmt::format(
          "{}: entry {} is neither a parameter nor known training state",
          checkpoint.folder().string(), quote(blob.name)));
    state.optimizerObjects += *kind == StateKind::Optimizer;
    state.rng += *kind == StateKind::Rng;
    state.rerun += *kind == StateKind::Rerun;
    state.extraStates += *kind == StateKind::ExtraState;
    state.scheduler |= *kind == StateKind::Scheduler;
  }
  MBC_ASSIGN(PickleValue common, checkpoint.readCommon());
  const PickleValue *scheduler = common.find("opt_param_scheduler");
  state.scheduler |= scheduler && scheduler->kind != PickleKind::None;
  return state;
}

TrainingState countTrainingState(const LegacyTorchFiles &files) {
  TrainingState state;
  for (const auto &[name, ranks] : files.skipped()) {
    llvm::StringRef key = name;
    if (key.starts_with("optimizer") || key.starts_with("distrib_optim"))
      state.optimizerObjects += ranks;
    else if (key == "rng_state")
      state.rng += ranks;
    else if (key.starts_with("rerun_state_machine"))
      state.rerun += ranks;
    else if (key == "opt_param_scheduler")
      state.scheduler = true;
  }
  return state;
}

} // namespace mbc
