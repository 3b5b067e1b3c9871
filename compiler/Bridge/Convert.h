//===- Convert.h - Import and export ----------------------------*- C++ -*-===//
#pragma once

#include "compiler/Bridge/Checkpoint.h"
#include "compiler/Bridge/MegatronTarget.h"
#include "mbc/Convert.h"
#include "runtime/core/Progress.h"

namespace mbc {

/// What a conversion is asked for, whichever its direction.
struct ConvertOptions {
  /// How the source is read. Of an import only `config` and `threads`: a
  /// Hugging Face folder says the rest itself.
  OpenOptions open;
  MegatronTarget megatron;    ///< import, reshard: what is written
  std::optional<DType> dtype; ///< store in this type
  std::optional<uint64_t>
      maxShard; ///< export: bytes a file; none: as the source
  std::optional<int64_t>
      fp8Block; ///< export: store FP8 with new scales of blocks of this size
  std::filesystem::path tokenizer; ///< export: folder of the tokenizer
  bool sha256 = false;             ///< import: SHA-256 of files too
  bool overwrite = false;
  Progress::Mode progress = Progress::Mode::Quiet;
};

/// Hugging Face folder -> Megatron checkpoint. Nothing appears at
/// `target` unless everything was written.
Expected<ConvertReport> importCheckpoint(const ModelLibrary &library,
                                         const std::filesystem::path &hfFolder,
                                         const std::filesystem::path &target,
                                         const ConvertOptions &options);

/// Megatron checkpoint (root or iteration folder) -> Hugging Face folder.
Expected<ConvertReport> exportCheckpoint(const ModelLibrary &library,
                                         const std::filesystem::path &megatron,
                                         const std::filesystem::path &target,
                                         const ConvertOptions &options);

/// Megatron checkpoint -> Megatron checkpoint of another format or layout:
/// weights, and the record of their source where there is one.
Expected<ConvertReport> reshardCheckpoint(const ModelLibrary &library,
                                          const std::filesystem::path &source,
                                          const std::filesystem::path &target,
                                          const ConvertOptions &options);

} // namespace mbc
