//===- SafetensorsIndex.h - Which shard holds which tensor ------*- C++ -*-===//
#pragma once

#include "runtime/core/Error.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mbc {

/// What a `model.safetensors.index.json` maps: {"weight_map": {TENSOR: FILE}}.
struct SafetensorsIndex {
  /// Sorted.
  std::vector<std::string> files;
  /// Sorted by name; each with the position of its file in `files`.
  std::vector<std::pair<std::string, uint32_t>> tensors;
};

/// `name` is what errors start with, a path. Refused: duplicate keys, files
/// that are no plain names (they could lead out of the folder), no tensors.
Expected<SafetensorsIndex> parseSafetensorsIndex(std::string_view text,
                                                 std::string_view name);

} // namespace mbc
