//===- SafetensorsWriter.h - Write a Hugging Face folder's weights -*- C++
//-*-===//
#pragma once

#include "runtime/core/Progress.h"
#include "runtime/io/Safetensors.h"
#include "runtime/io/TensorSet.h"

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace mbc {

/// A file to write, as a source folder had it.
struct HfShardLayout {
  std::string file;
  /// Written verbatim where it agrees with the tensors; may be empty.
  std::string rawHeader;
  /// Names of its tensors; their order counts only without `rawHeader`.
  std::vector<std::string> tensors;
};

struct HfWriteOptions {
  /// Limit of the data of one file; a larger tensor gets a file of its own.
  uint64_t maxShardBytes = 5'000'000'000;
  std::optional<SafetensorsMetadata> metadata = {{{"format", "pt"}}};
  /// Files to write, if not empty, instead of cutting by size. Given up with a
  /// note when it does not hold exactly the tensors that are written.
  std::vector<HfShardLayout> layout;
  /// Exact bytes of an index, used in place of a new one where `layout` is used
  /// and the weight_map says the same.
  std::string rawIndex;
  /// Name of the index, where there is one.
  std::string indexName = "model.safetensors.index.json";
  /// Write true headers, but leave the data a hole: no tensor is read.
  bool sparse = false;
};

struct HfWriteResult {
  /// Names of the weight files, in order.
  std::vector<std::string> files;
  /// Empty when one file needs no index.
  std::string indexName;
  uint64_t dataBytes = 0;
  /// What could not be kept of `layout`: one sentence each.
  std::vector<std::string> notes;
};

/// Cuts tensors into files as huggingface_hub does: greedily in the given
/// order, a tensor above the limit on its own. Returns indices into
/// `tensors`, file by file.
std::vector<std::vector<size_t>>
splitIntoShards(std::span<const TensorInfo> tensors,
                std::span<const size_t> order, uint64_t maxShardBytes);

/// "model.safetensors", or "model-00001-of-00004.safetensors".
std::string shardFileName(size_t number, size_t count);

/// Writes the tensors `order` of `set` into `folder`, which must hold none of
/// the files, with `threads` workers. Space is reserved before the first byte
/// is written; memory does not depend on sizes of tensors. The result does not
/// depend on `threads`. `progress` is advanced by bytes of data; its total is
/// set here, and the caller finishes it.
Expected<HfWriteResult> writeHfWeights(const TensorSet &set,
                                       std::span<const size_t> order,
                                       const HfWriteOptions &options,
                                       const std::filesystem::path &folder,
                                       Progress &progress, unsigned threads);

} // namespace mbc
