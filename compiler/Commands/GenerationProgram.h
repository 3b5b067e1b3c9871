//===- GenerationProgram.h - Programs that generate -------------*- C++ -*-===//
#pragma once

#include "compiler/Bridge/CompiledModel.h"
#include "compiler/Commands/Command.h"
#include "compiler/Commands/ReferenceOptions.h"
#include "runtime/execute/Devices.h"

#include <filesystem>
#include <functional>
#include <string>

namespace mbc {

/// The options of commands that make a checkpoint ready to generate.
struct GenerationProgram {
  std::string folder, dtype, weightType, chunk;
  ReferenceOptions reference;
  bool noCache = false;

  /// DIR, --dtype, --weight-dtype, --chunk, --no-cache and --hf-model; before
  /// the command's own ones.
  void declare(Command &command);

  /// How many patches of a picture a program is to see, 0 for none; asked with
  /// the folder of the checkpoint's side files.
  using CountPatches =
      std::function<Expected<uint64_t>(const std::filesystem::path &)>;

  /// The checkpoint with a program that computes `sequences` at a time, of
  /// `length` tokens each (0: as many as the model takes), and guesses `drafts`
  /// tokens of each ahead, on `device`.
  Expected<CompiledModel> open(uint64_t sequences, uint64_t length,
                               uint64_t drafts, const CountPatches &patches,
                               const execute::Device &device,
                               const CommonOptions &common) const;
};

} // namespace mbc
