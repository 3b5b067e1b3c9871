//===- Phases.h - From declarations to a program ----------------*- C++ -*-===//
#pragma once

#include "compiler/Codegen/Codegen.h"
#include "compiler/Conversion/NNToExec/NNToExec.h"
#include "compiler/Transforms/NNPasses.h"

#include "mlir/Pass/PassManager.h"

namespace mbc {

/// What the phases of a compilation are asked for.
struct PhaseOptions {
  nn::NNInstantiateOptions entries;
  nn::NNPartitionOptions mesh; ///< one device unless it says otherwise
  NNToExecOptions selection;
  /// Without targets no code is generated.
  ExecGenerateRowsOptions code;
};

/// A step of a compilation, after which the module can be looked at.
struct Phase {
  llvm::StringLiteral name; ///< "fuse"
  llvm::StringLiteral what; ///< what it does, in a line
  /// Adds its passes. Null where no passes of a module are run: of `parse`,
  /// which makes it, and of `elaborate`, which needs a configuration
  /// (`buildElaboration`).
  void (*build)(mlir::OpPassManager &passes, const PhaseOptions &options);
  /// Adds the check of what it leaves; null where verifiers of operations and
  /// `buildElaboration` say all.
  void (*check)(mlir::OpPassManager &passes);
};

/// From declarations to a program, in order.
llvm::ArrayRef<Phase> phases();
/// By name, or null.
const Phase *findPhase(llvm::StringRef name);

/// mbc-opt --mbc-phase-NAME, of every phase that has passes.
void registerPhasePipelines();

/// Native code of a planned program's kernels, for each of the targets.
void buildCode(mlir::OpPassManager &passes,
               const ExecGenerateRowsOptions &options);

} // namespace mbc
