//===- SourceRecord.h - What an import keeps of its source ------*- C++ -*-===//
//
//   iter_0000000/mbc/
//     source.json          version, shards in order, dtype of a cast
//     headers/NAME.json    the exact header of each weight file
//     files/               config.json, tokenizer and other side files
//     extras.safetensors   tensors that only the Hugging Face side has: extras,
//                          and the block scales of FP8 weights
//
// Loaders ignore the folder; export reads it, so that a folder comes back byte
// for byte.
//
//===----------------------------------------------------------------------===//
#pragma once

#include "runtime/io/HfFolder.h"
#include "runtime/io/SafetensorsWriter.h"

#include <filesystem>
#include <memory>
#include <optional>

namespace mbc {

/// Names, dtypes and shapes of a source folder, without its data.
class SourceRecord final : public TensorSet {
public:
  /// The record in an iteration folder; null when there is none.
  static Expected<std::unique_ptr<SourceRecord>>
  open(const std::filesystem::path &iterationFolder);

  /// Writes the record of `folder` into `iterationFolder`. `cast`: the type
  /// that the weights were cast to, if any. `extras`: indices of the tensors
  /// that are kept whole.
  static Status write(const HfFolder &folder,
                      const std::filesystem::path &iterationFolder,
                      std::optional<DType> cast,
                      std::span<const size_t> extras);

  /// The files to write to get the source's files again.
  const std::vector<HfShardLayout> &layout() const { return shards; }
  /// Exact bytes and name of the index; empty for a single file.
  const std::string &rawIndex() const { return index; }
  const std::string &indexName() const { return indexFile; }
  std::optional<DType> cast() const { return castType; }
  /// Folder of the side files, and their names.
  const std::filesystem::path &filesFolder() const { return files; }
  const std::vector<std::string> &sideFiles() const { return sides; }
  /// The tensors kept whole; null when there are none.
  const TensorSet *extras() const { return extraSet.get(); }

  /// A record has no data.
  void locate(size_t, int64_t, int64_t, int64_t,
              std::vector<Extent> &) const override {}

private:
  SourceRecord() = default;
  Status checkIndex(const std::filesystem::path &path) const;

  std::vector<HfShardLayout> shards;
  std::string index, indexFile;
  std::optional<DType> castType;
  std::filesystem::path files;
  std::vector<std::string> sides;
  std::unique_ptr<TensorSet> extraSet;
};

} // namespace mbc
