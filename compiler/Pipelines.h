//===- Pipelines.h - Which passes run, in which order -----------*- C++ -*-===//
#pragma once

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

/// mbc-translate --mbc-prove: imports a .mbc file and proves it symbolically.
void registerProveTranslation();

} // namespace mbc
