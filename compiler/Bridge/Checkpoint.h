//===- Checkpoint.h - Either format, seen as Hugging Face tensors -*- C++
//-*-===//
#pragma once

#include "compiler/Bridge/ProvedModel.h"
#include "compiler/Bridge/SourceRecord.h"
#include "compiler/Bridge/TrainingState.h"
#include "runtime/io/CheckpointKind.h"
#include "runtime/io/HfFolder.h"
#include "runtime/io/LegacyTorch.h"
#include "runtime/io/MappedTensors.h"
#include "runtime/io/ScaledTensors.h"
#include "runtime/io/TorchDist.h"

namespace mbc {

struct OpenOptions {
  ConfigOptions config;
  /// Folder whose config.json stands in for that of the checkpoint.
  std::filesystem::path hfModel;
  /// The type of a cast that `values` of a Hugging Face folder makes as well.
  std::optional<DType> cast;
  /// The declared model that it must be; empty: found out.
  std::string model;
  /// Rows of the vocabulary without padding, where they must be so many.
  std::optional<int64_t> vocabulary;
  /// Of a root with several iterations, the one to open.
  std::optional<uint64_t> iteration;
  unsigned threads = 0;
};

/// An open, proved and bound checkpoint.
class Checkpoint {
public:
  static Expected<std::unique_ptr<Checkpoint>>
  open(const ModelLibrary &library, const std::filesystem::path &path,
       const OpenOptions &options);

  CheckpointKind kind() const { return type; }
  /// The folder of the weights: the HF folder, or the iteration folder.
  const std::filesystem::path &folder() const { return directory; }
  /// The config.json that was used, or what it was rebuilt from.
  const std::filesystem::path &configPath() const { return config; }
  /// The config.json of a checkpoint that has none; null otherwise.
  const Json *rebuiltConfig() const { return rebuilt ? &*rebuilt : nullptr; }
  /// What a training run saved besides weights.
  const TrainingState &trainingState() const { return training; }
  /// What is worth saying about how it was opened; sentences.
  const std::vector<std::string> &notes() const { return noteList; }

  /// The Hugging Face tensors that the checkpoint holds, whichever its format.
  /// Of a folder as they are stored, of a Megatron checkpoint as values, with
  /// the recorded block scales of what was FP8 in the source.
  const TensorSet &tensors() const;
  /// The same as Megatron holds them: FP8 as values, after OpenOptions::cast.
  const TensorSet &values() const;
  /// FP8 tensors of the folder, or of the record.
  const std::vector<ScaledName> &scaled() const { return scaledList; }
  ProvedModel &proved() { return *provedModel; }
  const plan::PlanT &plan() const { return copyPlan; }

  const HfFolder *hfFolder() const { return hf.get(); }
  /// The Megatron tensors, under the names of `plan()`; null of a Hugging Face
  /// folder.
  const TensorSet *megatronTensors() const;
  /// Compares the checksums of a Megatron checkpoint's records with their
  /// bytes. Returns the number of records that state none.
  Expected<size_t> verifyCrc(unsigned threads) const;
  /// What the import recorded of its source; null when there is none.
  const SourceRecord *record() const { return source.get(); }

private:
  Checkpoint() = default;
  Status openMegatron(const ModelLibrary &library,
                      const std::filesystem::path &path,
                      const OpenOptions &options);
  Status proveMegatron(const ModelLibrary &library, const OpenOptions &options);
  Status place(ProvedModel &proved);
  void useStoredTypes();
  Status checkExpected(const OpenOptions &options) const;

  CheckpointKind type = CheckpointKind::HuggingFace;
  std::filesystem::path directory, config;
  std::optional<Json> rebuilt;
  TrainingState training;
  std::vector<std::string> noteList;
  std::unique_ptr<ProvedModel> provedModel;
  plan::PlanT copyPlan;
  std::unique_ptr<HfFolder> hf;
  std::unique_ptr<TorchDistCheckpoint> torchDist;
  std::unique_ptr<LegacyTorchFiles> legacy;
  std::unique_ptr<MappedTensors> legacyWhole;
  std::unique_ptr<SourceRecord> source;
  std::unique_ptr<MappedTensors> mapped;
  std::vector<ScaledName> scaledList;
  /// Presents `hf`; null where there is nothing to do.
  std::unique_ptr<TensorSet> dequantized, cast;
};

} // namespace mbc
