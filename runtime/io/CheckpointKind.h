//===- CheckpointKind.h - Which format a folder has -------------*- C++ -*-===//
#pragma once

#include "runtime/core/Error.h"

#include <filesystem>

namespace mbc {

enum class CheckpointKind { HuggingFace, TorchDist, LegacyTorch };

/// By what the folder holds; an Input error names what was looked for.
Expected<CheckpointKind> detectCheckpoint(const std::filesystem::path &path);

} // namespace mbc
