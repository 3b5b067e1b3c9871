//===- WeightFolder.h - A checkpoint to take weights from -------*- C++ -*-===//
#pragma once

#include "runtime/io/MappedTensors.h"
#include "runtime/schema/program_generated.h"

#include <filesystem>
#include <memory>
#include <string>

namespace mbc {

/// The tensors of a checkpoint, and which side of the plans they are.
struct WeightFolder {
  PlanSide format;
  std::unique_ptr<TensorSet> set;
  std::string name; ///< for messages
  /// Its config.json, or the one that the import recorded. May not exist.
  std::filesystem::path config;
};

/// Opens a Hugging Face folder or a Megatron torch_dist checkpoint. An Input
/// error, with what to do, for legacy checkpoints, whose ranks are put together
/// by the compiler.
Expected<WeightFolder> openWeights(const std::filesystem::path &path,
                                   unsigned threads);

/// An Input error where a config.json is not of an architecture of the program,
/// or differs from what the program was compiled for in a field that both have.
/// A file that does not exist says nothing.
Status checkConfig(const program::ProgramT &program,
                   const std::filesystem::path &config);

} // namespace mbc
