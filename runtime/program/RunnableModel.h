//===- RunnableModel.h - A program beside its checkpoint --------*- C++ -*-===//
#pragma once

#include "runtime/program/WeightSource.h"

#include <filesystem>
#include <memory>
#include <string>

namespace mbc {

/// A program, and a checkpoint whose weights are found for it, though not read.
struct RunnableModel {
  std::unique_ptr<program::ProgramT> program;
  std::shared_ptr<const TensorSet> weights;
  std::unique_ptr<WeightSource> source;
  /// Of the checkpoint: where config.json, tokenizer and other side files are;
  /// some or all of them may be missing.
  std::filesystem::path sideFiles;

  /// `format` says which side of the program's plans `weights` are; `name`
  /// stands for them in errors, which are those of `WeightSource`.
  static Expected<RunnableModel>
  create(std::unique_ptr<program::ProgramT> program, PlanSide format,
         std::shared_ptr<const TensorSet> weights, const std::string &name,
         std::filesystem::path sideFiles);
};

/// The program of a file with the weights of a folder. An Input error where the
/// one is not for the other.
Expected<RunnableModel> openModel(const std::filesystem::path &program,
                                  const std::filesystem::path &weights,
                                  unsigned threads);

} // namespace mbc
