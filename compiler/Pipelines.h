//===- Pipelines.h - Which passes run, in which order -----------*- C++ -*-===//
#pragma once

#include "compiler/Conversion/NNToExec/NNToExec.h"
#include "compiler/Transforms/NNPasses.h"
#include "compiler/Transforms/WMapPasses.h"

#include "mlir/Pass/PassManager.h"

namespace mbc {

/// Proves a declaration for every configuration at once.
void buildSymbolicProof(mlir::OpPassManager &passes);

/// Proves a declaration, makes it static for one config.json, and proves the
/// result: entries then carry types and layers.
void buildElaboration(mlir::OpPassManager &passes,
                      const nn::NNElaborateOptions &options);
/// The same for a configuration that is in no file.
void buildElaboration(mlir::OpPassManager &passes, const Json &config,
                      const nn::NNElaborateOptions &options);

/// From a bound mapping to its copy plan.
void buildPlanning(mlir::OpPassManager &passes,
                   const wmap::WMapResolvePlacementOptions &options);

/// What the phases of a compilation are asked for.
struct PhaseOptions {
  nn::NNInstantiateOptions entries;
  NNToExecOptions selection;
};

/// A step of a compilation, after which the module can be looked at.
struct Phase {
  llvm::StringLiteral name; ///< "fuse"
  llvm::StringLiteral what; ///< what it does, in a line
  /// Adds its passes and the check of what they leave. Null where no passes of
  /// a module are run: of `parse`, which makes it, and of `elaborate`, which
  /// needs a configuration (`buildElaboration`).
  void (*build)(mlir::OpPassManager &passes, const PhaseOptions &options);
};

/// From declarations to a program whose memory is planned, in order.
llvm::ArrayRef<Phase> phases();
/// By name, or null.
const Phase *findPhase(llvm::StringRef name);

/// mbc-translate --mbc-prove: imports a .mbc file and proves it symbolically.
void registerProveTranslation();

} // namespace mbc
