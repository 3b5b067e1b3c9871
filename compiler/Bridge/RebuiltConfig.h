//===- RebuiltConfig.h - A config.json from a Megatron checkpoint -*- C++
//-*-===//
//
// A checkpoint that was saved during training has no Hugging Face side. What a
// config.json must say follows from Megatron's configuration, from which
// tensors are there, and from their shapes: the mappings of all declared models
// are read backwards (ConfigSolver), and a result counts only if the mapping,
// evaluated forwards on it, gives every field and every tensor again.
//
//===----------------------------------------------------------------------===//
#pragma once

#include "compiler/Bridge/MegatronFields.h"
#include "compiler/Bridge/ProvedModel.h"

#include <functional>

namespace mbc {

struct RebuildOptions {
  ConfigOptions config;
  std::string model;                 ///< the one to try; empty: all
  std::optional<int64_t> vocabulary; ///< rows without padding
};

/// What a checkpoint stores.
struct StoredMegatron {
  std::filesystem::path folder;
  const TensorSet &tensors;
  /// Under the names of torch_dist and in one piece. Parts of ranks say nothing
  /// of sizes: Megatron's configuration must say it all.
  bool whole;
  /// An error unless the tensors are those of a model, names and shapes.
  std::function<Status(ProvedModel &)> check;
};

struct RebuiltConfig {
  Json config;
  std::filesystem::path source; ///< what stands for it in messages
  std::unique_ptr<ProvedModel> proved;
  std::vector<std::string> notes;
};

/// `fields`: what the checkpoint states.
/// Input errors: the checkpoint states no configuration, no declared model or
/// several fit, fields are missing (all of them in one error), or fields and
/// tensors contradict each other (again all). They name the flags that help.
Expected<RebuiltConfig> rebuildConfig(const ModelLibrary &library,
                                      const StoredMegatron &stored,
                                      std::optional<MegatronFields> fields,
                                      const RebuildOptions &options);

} // namespace mbc
