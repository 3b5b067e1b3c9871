//===- CompiledModel.h - A checkpoint made ready to run ---------*- C++ -*-===//
#pragma once

#include "compiler/Bridge/Checkpoint.h"
#include "runtime/program/ProgramCache.h"
#include "runtime/program/RunnableModel.h"

namespace mbc {

/// A checkpoint with the program that was compiled for it.
struct CompiledModel : RunnableModel {
  bool cached = false; ///< the program was there already
  double seconds = 0;  ///< until it was there
};

/// Finds the program for a checkpoint in `cache`, or proves, compiles and keeps
/// it; null: neither finds nor keeps. `compile` says what program, for the
/// processor at hand and, of its `targets`, the GPUs. `dtype`: none is the type
/// that the checkpoint's configuration states, or its weights have.
Expected<CompiledModel>
compileModel(const ModelLibrary &library, const std::filesystem::path &folder,
             const OpenOptions &open, CompileOptions compile,
             std::optional<DType> dtype, const ProgramCache *cache);

} // namespace mbc
