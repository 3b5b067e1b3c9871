//===- TrainingState.h - What a run saved besides weights -------*- C++ -*-===//
#pragma once

#include "mbc/Api.h"

#include <cstdint>
#include <string>

namespace mbc {

/// Entries of a checkpoint that hold no weights, by kind.
struct MBC_API TrainingState {
  uint64_t optimizerTensors = 0, optimizerObjects = 0;
  uint64_t rng = 0, rerun = 0, extraStates = 0;
  bool scheduler = false;

  bool empty() const {
    return !optimizerTensors && !optimizerObjects && !rng && !rerun &&
           !scheduler;
  }
  /// "12 optimizer tensors, 3 random states"; empty when there is none.
  std::string text() const;
};

} // namespace mbc
