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
  int64_t tp = 1, pp = 1, vpp = 1, cp = 1, ep = 1, etp = 1;
};

/// Hugging Face -> Megatron.
struct ImportOptions {
  /// Proved admissible, recorded, and set the chunks; any layout can load any
  /// checkpoint.
  ParallelSizes sizes;
  /// Store weights in this type (BF16, F16 or F32), but those that the model
  /// pins; rounds to nearest even. None: the source's type, tensor by tensor.
  std::optional<DType> dtype;
  /// Replace the target, once the new one is complete.
  bool overwrite = false;
  /// Also record the SHA-256 of every file in the manifest (slower).
  bool sha256 = false;
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
