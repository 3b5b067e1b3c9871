//===- TrainingState.h - Which keys hold no weights -------------*- C++ -*-===//
#pragma once

#include "mbc/TrainingState.h"
#include "runtime/io/LegacyTorch.h"
#include "runtime/io/TorchDist.h"

#include <optional>
#include <string_view>

namespace mbc {

enum class StateKind { Optimizer, Rng, Rerun, ExtraState, Common, Scheduler };

/// What the key of a torch_dist entry says about it; none for a weight, and for
/// a key that is not known. Optimizer layouts of Megatron Core 0.8 to 0.19:
///   optimizer.state.{param,exp_avg,exp_avg_sq,fp32_param,...}.KEY
///   optimizer.distributed.dp_group_idx_N.gbuf_idx_N.dtype_...   one a bucket
///   optimizer.distributed.dp_group_idx_N.param_state...   one big object
/// each below chained_N. too, and with /shard_A_B where it is no tensor.
std::optional<StateKind> stateOf(std::string_view key);

/// Counts what `checkpoint`, opened without the keys of training state, leaves
/// out. An entry of no kind is an Input error.
Expected<TrainingState>
countTrainingState(const TorchDistCheckpoint &checkpoint);
/// The same of a legacy checkpoint: objects, one a rank that has them.
TrainingState countTrainingState(const LegacyTorchFiles &files);

} // namespace mbc
