//===- MegatronConfig.h - The configuration that loaders ask for -*- C++
//-*-===//
#pragma once

#include "compiler/Bridge/ProvedModel.h"
#include "runtime/io/Pickle.h"

#include <string>
#include <vector>

namespace mbc {

/// What decides Megatron's configuration besides the model's.
struct MegatronConfigInputs {
  wmap::ParallelSizes sizes;
  DType paramsDType = DType::BF16;
  std::string hfModelId; ///< where the Hugging Face side is to be found
  bool indexedLayers = false;
  /// Of the legacy torch format: rows of a rank's vocabulary are a multiple of
  /// it; none of torch_dist, whose vocabulary has no padding.
  std::optional<int64_t> vocabMultiple;
};

/// Megatron Bridge's run_config.yaml: the fields of the mapping, evaluated.
std::string runConfigYaml(ProvedModel &proved,
                          const MegatronConfigInputs &inputs);

/// The common state: `checkpoint_version`, `iteration`, `content_metadata`, and
/// `args` as Megatron-LM's --use-checkpoint-args reads them.
PickleValue commonState(ProvedModel &proved,
                        const MegatronConfigInputs &inputs);

/// What the computation needs and Megatron's configuration has no field for:
/// members of records, such as rope scaling, that no line of the mapping
/// carries. One sentence a record; empty when all is carried.
std::vector<std::string> configLeftOut(ProvedModel &proved);

} // namespace mbc
