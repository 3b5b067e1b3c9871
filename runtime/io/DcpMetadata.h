//===- DcpMetadata.h - The .metadata of a torch_dist checkpoint -*- C++ -*-===//
//
// PyTorch's distributed checkpoint (DCP) keeps one pickle beside the data
// files: for each tensor its dtype, shape and chunks, for each byte blob its
// name, and for each chunk and blob the slice of a data file that holds it.
// Classes of torch.distributed.checkpoint.metadata and .filesystem; every other
// class in the pickle (save plans, enums, paths) is passed over.
//
//===----------------------------------------------------------------------===//
#pragma once

#include "runtime/io/BoxTiling.h"
#include "runtime/io/TensorSet.h"

#include <filesystem>

namespace mbc {

/// Bytes [offset, offset + length) of a data file.
struct DcpSlice {
  /// For `file` of a chunk without elements that is stored nowhere.
  static constexpr uint32_t nowhere = ~uint32_t(0);

  uint32_t file; ///< index into DcpMetadata::files
  uint64_t offset, length;
};

struct DcpMetadata {
  struct Tensor {
    TensorInfo info;
    size_t firstChunk; ///< in `slices`
    size_t chunkCount;
    size_t firstNumber; ///< in `numbers`
  };
  struct Blob {
    std::string name;
    DcpSlice slice;
  };

  std::vector<Tensor> tensors;
  std::vector<Blob> blobs;
  /// Names relative to the folder of the checkpoint.
  std::vector<std::string> files;
  /// One for each chunk, tensor by tensor.
  std::vector<DcpSlice> slices;
  /// Offsets and sizes of the chunks; see `boxes`.
  std::vector<int64_t> numbers;
  /// The pickle has planner_data: a nested state dict that was flattened, which
  /// PyTorch's own savers do and Megatron does not.
  bool hasPlannerData = false;

  /// The chunks of a tensor; the k-th is that of slices[firstChunk + k].
  BoxList boxes(const Tensor &tensor) const;
  /// Opens a tensor, to which `addChunk` adds.
  void addTensor(TensorInfo info);
  void addChunk(std::span<const int64_t> offsets,
                std::span<const int64_t> sizes, DcpSlice slice);

  /// Parses the bytes of a `.metadata`; `where` is its path, for errors. Chunks
  /// come out sorted by their offsets. Input errors: not such a pickle, an
  /// unsupported dtype, a chunk without a slice, a suspicious file name, chunks
  /// that do not tile their tensor.
  static Expected<DcpMetadata> parse(std::string bytes, std::string_view where);
  /// Reads FOLDER/.metadata; every slice must lie in an existing file.
  static Expected<DcpMetadata> read(const std::filesystem::path &folder);

  /// The bytes of a `.metadata`, protocol 2, the same for the same contents.
  std::string encode() const;

private:
  /// Errors as from `parse`.
  Status checkTilings(std::string_view where) const;
  friend class DcpParser;
};

} // namespace mbc
