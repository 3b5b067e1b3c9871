//===- AutoBridgeImpl.h - What an AutoBridge holds --------------*- C++ -*-===//
#pragma once

#include "compiler/Bridge/Checkpoint.h"
#include "mbc/AutoBridge.h"
#include "runtime/core/Progress.h"

#include <mutex>

namespace mbc {

struct AutoBridge::Impl {
  std::filesystem::path source;
  CheckpointKind kind = CheckpointKind::HuggingFace;
  BridgeOptions options; ///< with `hfModel` resolved to a folder
  ModelLibrary library;

  static Expected<std::unique_ptr<Impl>>
  create(const std::filesystem::path &source, const BridgeOptions &options);
  /// The checkpoint, proved and bound, by the first call.
  Expected<std::shared_ptr<Checkpoint>> open();
  OpenOptions openOptions() const;
  Progress::Mode progress() const {
    return Progress::detectMode(!options.showProgress);
  }
  Expected<VerifyReport> verifyAlone();
  /// `open`, with the values of a folder cast; see OpenOptions::cast.
  Expected<std::shared_ptr<Checkpoint>> openCast(std::optional<DType> cast);
  Expected<VerifyReport> verifyAgainst(Impl &other, VerifyScope scope);

private:
  std::mutex mutex;
  std::shared_ptr<Checkpoint> opened;
};

} // namespace mbc
