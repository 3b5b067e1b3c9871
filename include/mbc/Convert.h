//===- Convert.h - What a conversion is asked for, and says -----*- C++ -*-===//
#pragma once

#include "mbc/DType.h"
#include "mbc/TrainingState.h"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace mbc {

/// Sizes of the parallel dimensions, in Megatron's words.
struct ParallelSizes {
  int64_t tp = 1, pp = 1, vpp = 1, cp = 1, ep = 1;
  /// 0: not stated. Megatron then takes tp for the experts of a legacy
  /// checkpoint; elsewhere it is 1.
  int64_t etp = 0;
  /// Layers of the first and of the last pipeline stage, where the others
  /// share the rest; 0: no other than theirs.
  int64_t firstLayers = 0, lastLayers = 0;
  /// The embedding, or the output layer, counts as a layer of its stage.
  bool embeddingCounts = false, lossCounts = false;
};

enum class MegatronFormat {
  TorchDist,  ///< torch_dist: whole tensors, which any layout can load
  LegacyTorch ///< torch: a folder mp_rank_* for each rank of one layout
};

/// Which classes the layers of a state dict are made of.
enum class LayerSpec { TransformerEngine, Local };

/// How a rank keeps its experts.
enum class ExpertModules {
  Grouped,    ///< TEGroupedMLP: linear_fc1.weight0, weight1, ...
  Sequential, ///< SequentialMLP: local_experts.0.linear_fc1.weight, ...
  Fused       ///< GroupedMLP up to mcore 0.16: weight1 and weight2, transposed
};

/// The ranks of which a number is given; all when none is.
struct RankChoice {
  std::optional<uint32_t> tp, pp, ep;
  bool any() const { return tp || pp || ep; }
};

/// How a Megatron checkpoint is written.
struct MegatronLayout {
  MegatronFormat format = MegatronFormat::TorchDist;
  /// Proved admissible and recorded. They set the chunks of a torch_dist
  /// checkpoint, which any layout can load, and the ranks of a legacy one.
  ParallelSizes sizes;
  // Of the legacy format; torch_dist is the same for all.
  LayerSpec layerSpec = LayerSpec::TransformerEngine;
  ExpertModules experts = ExpertModules::Grouped;
  /// The layer inside of an MTP layer is `transformer_layer`, as up to mcore
  /// 0.16, not `mtp_model_layer`.
  bool oldMtp = false;
  /// The vocabulary is padded to a multiple of so many rows times tp; at least
  /// 1.
  int64_t vocabMultiple = 128;
  /// Write only the files of these ranks, and no manifest.
  RankChoice rank;
};

/// Hugging Face -> Megatron.
struct ImportOptions : MegatronLayout {
  /// Store weights in this type (BF16, F16 or F32), but those that the model
  /// pins; rounds to nearest even. None: the source's type, tensor by tensor.
  std::optional<DType> dtype;
  /// Replace the target, once the new one is complete.
  bool overwrite = false;
  /// Also record the SHA-256 of every file in the manifest (slower).
  bool sha256 = false;
};

/// Megatron -> Megatron.
struct ReshardOptions : MegatronLayout {
  /// Replace the target, once the new one is complete.
  bool overwrite = false;
};

/// Megatron -> Hugging Face.
struct ExportOptions {
  /// Store weights in this type (BF16, F16 or F32). None: the source's type.
  std::optional<DType> dtype;
  /// Bytes a weight file at most. None: the source's files, else 5 GB.
  std::optional<uint64_t> maxShard;
  /// Store what the model declares as scaled in FP8 E4M3, with new scales of
  /// blocks of so many rows and columns.
  std::optional<uint32_t> fp8Block;
  /// Folder or hub id whose tokenizer is written instead of the checkpoint's.
  /// Empty: that of the source, else the folder "tokenizer" of the checkpoint.
  std::string tokenizer;
  /// Replace the target, once the new one is complete.
  bool overwrite = false;
};

/// What a conversion did.
struct ConvertReport {
  std::string model; ///< "Llama"
  std::filesystem::path source, target;
  uint64_t tensors = 0;    ///< Hugging Face tensors
  uint64_t parameters = 0; ///< elements, tied copies once
  uint64_t bytes = 0;      ///< tensor bytes written
  double seconds = 0;
  bool indexedLayers = false;
  TrainingState skipped; ///< export: what else the checkpoint holds
  /// What somebody should know about the result, one sentence each.
  std::vector<std::string> notes;
};

} // namespace mbc
