//===- MegatronConfig.h - The configuration that loaders ask for -*- C++
//-*-===//
#pragma once

#include "compiler/Bridge/ProvedModel.h"
#include "runtime/io/Pickle.h"

#include <string>

namespace mbc {

/// What decides Megatron's configuration besides the model's.
struct MegatronConfigInputs {
  wmap::ParallelSizes sizes;
  DType paramsDType = DType::BF16;
  std::string hfModelId; ///< where the Hugging Face side is to be found
  bool indexedLayers = false;
};

/// Megatron Bridge's run_config.yaml: the fields of the mapping, evaluated.
std::string runConfigYaml(ProvedModel &proved,
                          const MegatronConfigInputs &inputs);

/// The common state: `checkpoint_version`, `iteration`, `content_metadata`, and
/// `args` as Megatron-LM's --use-checkpoint-args reads them.
PickleValue commonState(ProvedModel &proved,
                        const MegatronConfigInputs &inputs);

} // namespace mbc
