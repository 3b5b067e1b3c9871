//===- TrainState.h - train_state.pt of Megatron Bridge ---------*- C++ -*-===//
#pragma once

#include "runtime/core/Error.h"

#include <cstdint>
#include <filesystem>
#include <string>

namespace mbc {

/// Megatron Bridge keeps this in ROOT/latest_train_state.pt and
/// iter_*/train_state.pt: torch.save of a dict of eight 0-dim tensors.
struct TrainState {
  int64_t step = 0;
  int64_t consumedTrainSamples = 0;
  int64_t skippedTrainSamples = 0;
  int64_t consumedValidSamples = 0;
  double floatingPointOperationsSoFar = 0;
  bool doTrain = false;
  bool doValid = false;
  bool doTest = false;
};

/// Integers become int64 and the float float32, as Bridge 0.6 writes; 0.3 reads
/// them too.
std::string encodeTrainState(const TrainState &state);

/// Accepts int32 and int64, float32 and float64. Only `step` must be there.
Expected<TrainState> readTrainState(const std::filesystem::path &path);

} // namespace mbc
