//===- GenerationProgram.h - Programs that generate -------------*- C++ -*-===//
#pragma once

#include "compiler/Bridge/CompiledModel.h"
#include "compiler/Commands/Command.h"
#include "compiler/Commands/ReferenceOptions.h"

#include <string>

namespace mbc {

/// The options of commands that make a checkpoint ready to generate.
struct GenerationProgram {
  std::string folder, dtype, chunk;
  ReferenceOptions reference;
  bool noCache = false;

  /// DIR, --dtype, --chunk, --no-cache and --hf-model; before the command's own
  /// ones.
  void declare(Command &command);

  /// The checkpoint with a program that computes `sequences` at a time, of
  /// `length` tokens each; 0: as many as the model takes.
  Expected<CompiledModel> open(uint64_t sequences, uint64_t length,
                               const CommonOptions &common) const;
};

} // namespace mbc
