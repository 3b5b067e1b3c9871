//===- HfFolder.h - The weights of a Hugging Face folder --------*- C++ -*-===//
#pragma once

#include "runtime/io/Safetensors.h"
#include "runtime/io/TensorSet.h"

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace mbc {

/// One weight file of a folder.
struct HfShard {
  /// Name in the folder: "model-00001-of-00004.safetensors".
  std::string file;
  /// The header's exact JSON bytes, to write the same file again.
  std::string rawHeader;
  std::optional<SafetensorsMetadata> metadata;
  uint64_t dataStart = 0;
  /// Its tensors are tensors()[firstTensor, firstTensor + tensorCount), in the
  /// order of their data.
  size_t firstTensor = 0, tensorCount = 0;
};

/// Larger files beside the weights are left aside, and named in notes().
constexpr uint64_t maxSideFile = uint64_t(256) << 20;

/// A folder with `model.safetensors`, or with shards and an index. Only headers
/// are read when it is opened; files() are the shards, by path.
class HfFolder : public TensorSet {
public:
  /// Opens and checks a folder. Every contradiction between index, files and
  /// headers is an Input error that starts with the path of the offender.
  static Expected<std::unique_ptr<HfFolder>>
  open(const std::filesystem::path &folder);

  /// The shards, sorted by name; tensors() follows this order.
  const std::vector<HfShard> &shards() const { return shardList; }
  /// Index into shards() of a tensor.
  size_t shardOf(size_t tensor) const { return shardIndex[tensor]; }

  const std::filesystem::path &folder() const { return root; }
  /// config.json, whether or not it exists.
  std::filesystem::path configPath() const { return root / "config.json"; }
  /// The index that was used; empty for a single file.
  const std::filesystem::path &indexPath() const { return index; }
  /// Names of the other files that belong to the model (configuration,
  /// tokenizer, code; config.json too), sorted: neither weights of any format
  /// nor hidden files nor subfolders, and none above `maxSideFile`.
  const std::vector<std::string> &sideFiles() const { return sides; }
  /// What was found and left aside, for the report: one sentence each.
  const std::vector<std::string> &notes() const { return noteList; }

  void locate(size_t index, int64_t begin, int64_t count, int64_t dest,
              std::vector<Extent> &out) const override;

private:
  HfFolder() = default;
  friend class HfFolderOpener;

  std::filesystem::path root, index;
  std::vector<HfShard> shardList;
  std::vector<uint32_t> shardIndex;
  /// Byte offset in the file of each tensor.
  std::vector<uint64_t> offsets;
  std::vector<std::string> sides, noteList;
};

} // namespace mbc
