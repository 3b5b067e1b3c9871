//===- LegacySource.h - Legacy torch files as whole tensors -----*- C++ -*-===//
#pragma once

#include "compiler/Bridge/PipelineLayout.h"
#include "compiler/Bridge/ProvedModel.h"
#include "runtime/io/LegacyTorch.h"
#include "runtime/io/MappedTensors.h"

namespace mbc {

/// The sizes with which a checkpoint was written: by its arguments, and where
/// they do not say, by its folders. `model` decides whether there are experts,
/// which Megatron cuts over etp = tp unless told otherwise. Pipeline stages are
/// not in it: see `storedStages`.
Expected<wmap::ParallelSizes> storedSizes(const LegacyTorchFiles &files,
                                          nn::ModelOp model);

/// The stages and their layers, by what the ranks hold: whatever rule has dealt
/// them out. `layers`: those of the model, for the check.
Expected<PipelineLayout> storedStages(const LegacyTorchFiles &files,
                                      uint32_t layers);

/// The whole tensors, under the names of `plan`, which was placed for
/// `sizes` with indexed layer keys. `files` must outlive them.
Expected<std::unique_ptr<MappedTensors>>
wholeTensors(const LegacyTorchFiles &files, const plan::PlanT &plan,
             const wmap::ParallelSizes &sizes);

} // namespace mbc
