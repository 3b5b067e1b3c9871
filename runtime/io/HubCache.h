//===- HubCache.h - Models in the local Hugging Face cache ------*- C++ -*-===//
//
//   CACHE/models--ORG--NAME/refs/REVISION        holds a commit
//   CACHE/models--ORG--NAME/snapshots/COMMIT/    links into ../../blobs/
//
// Layout and variables as huggingface_hub has them. Nothing is downloaded.
//
//===----------------------------------------------------------------------===//
#pragma once

#include "runtime/core/Error.h"

#include <filesystem>
#include <string>
#include <string_view>

namespace mbc {

/// Where the cache is: HF_HUB_CACHE, else HUGGINGFACE_HUB_CACHE, else
/// HF_HOME/hub, else XDG_CACHE_HOME/huggingface/hub, else
/// ~/.cache/huggingface/hub.
std::filesystem::path hubCache();

/// The folder that a user means: a path that exists, or a hub id
/// "org/name[@revision]" (default revision: main) whose snapshot is in the
/// cache. Anything else comes back as it is, for the reader to refuse; an id
/// that is not cached is an Input error with the commands that get it.
Expected<std::filesystem::path> resolveModel(std::string_view text);

/// How a checkpoint names the model that it was made from: "org/name" of a
/// snapshot in a cache, else the path as it was given, without "./" and the
/// like. So it does not say where things lie, unless the user does.
std::string modelId(const std::filesystem::path &folder);

} // namespace mbc
