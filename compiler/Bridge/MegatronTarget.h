//===- MegatronTarget.h - Writes a Megatron checkpoint ----------*- C++ -*-===//
#pragma once

#include "compiler/Bridge/MegatronConfig.h"
#include "compiler/Bridge/ProvedModel.h"
#include "compiler/Transforms/FormatProfile.h"
#include "runtime/core/Progress.h"

#include <filesystem>
#include <optional>

namespace mbc {

/// A checkpoint that is to be written.
struct MegatronTarget {
  MegatronFormat format = MegatronFormat::TorchDist;
  wmap::ParallelSizes sizes;
  /// Of the legacy format: the experts of a model that has some are cut over
  /// etp = tp, as Megatron does unless told otherwise.
  bool etpIsTp = true;
  wmap::ModuleNames names;
  int64_t vocabMultiple = 128; ///< rows of a rank's vocabulary are one of it
  /// Only the files of these ranks; all when none is given.
  RankChoice rank;

  /// Refuses what does not go together.
  static Expected<MegatronTarget> of(const MegatronLayout &layout);
  bool legacy() const { return format == MegatronFormat::LegacyTorch; }
  bool onlySome() const { return rank.any(); }
  /// What the plan of `model` has to be placed for. `layerKeys`: of a
  /// torch_dist checkpoint.
  PlacementOptions placement(nn::ModelOp model, std::string layerKeys,
                             std::optional<DType> dtype) const;
};

/// What a checkpoint would consist of.
struct TargetFiles {
  uint64_t count = 0;  ///< weight files: one a rank, or one a writing rank
  uint64_t pieces = 0; ///< tensors of ranks, or chunks of tensors, in them
  uint64_t bytes = 0;  ///< of their elements
  std::string largest; ///< "mp_rank_00_001", "__0_3.distcp"
  uint64_t largestBytes = 0;
};

/// Plans all of them to the last copy; reads and writes nothing. Arguments as
/// those of `writeMegatron`.
Expected<TargetFiles> planFiles(ProvedModel &proved, const plan::PlanT &plan,
                                const TensorSet &tensors,
                                const MegatronTarget &target);

/// Writes `tensors`, the Megatron side of `plan` (made with the target's
/// placement), into `root`, which is empty: `iter_0000000`, with the
/// configuration that loaders ask for, and the trackers.
Status writeMegatron(ProvedModel &proved, const plan::PlanT &plan,
                     const TensorSet &tensors, const MegatronTarget &target,
                     std::string hfModelId, const std::filesystem::path &root,
                     Progress &progress, unsigned threads);

} // namespace mbc
