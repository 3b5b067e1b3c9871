//===- ChunkPlan.h - The chunks that a plan's ranks would write -*- C++ -*-===//
#pragma once

#include "compiler/Bridge/PipelineLayout.h"
#include "runtime/io/TorchDistWriter.h"
#include "runtime/schema/plan_generated.h"

namespace mbc {

/// Cuts the Megatron tensors of a plan as its placements say: a chunk for each
/// layer, expert and tensor-parallel segment, in the file of the rank (pipeline
/// stage, tensor-parallel rank) that would write it. `set` presents the
/// Megatron side of `plan`; tensors come in the order in which their source
/// lies in its files.
Expected<TorchDistSpec> chunkPlan(const plan::PlanT &plan, const TensorSet &set,
                                  const PipelineLayout &stages);

} // namespace mbc
