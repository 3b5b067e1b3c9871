//===- TorchDist.h - Megatron torch_dist checkpoints, for reading -*- C++
//-*-===//
//
//   ROOT/latest_train_state.pt, latest_checkpointed_iteration.txt   trackers
//   ROOT/iter_0000100/ or ROOT/release/
//     .metadata        what is where (DcpMetadata.h)
//     *.distcp         torch.save records, one after another
//     metadata.json    names the format
//     common.pt        what is no tensor; since Megatron-Core 0.19 a record
//                      named common_state/shard_0_1 instead
//     run_config.yaml, train_state.pt   Megatron Bridge
//
//===----------------------------------------------------------------------===//
#pragma once

#include "runtime/io/DcpMetadata.h"
#include "runtime/io/Pickle.h"
#include "runtime/io/TensorSet.h"

#include <filesystem>
#include <functional>
#include <memory>

namespace mbc {

/// The folder with `.metadata` that a path means: itself, or in a ROOT what
/// latest_train_state.pt or else latest_checkpointed_iteration.txt names, or
/// else `release`, or else the `iter_*` with the largest number. Refused with
/// their names: unfinished checkpoints, legacy `mp_rank_*` folders, and other
/// formats by metadata.json (fsdp_dtensor, torch_dcp, zarr).
Expected<std::filesystem::path>
findTorchDistFolder(const std::filesystem::path &path);

/// The same for both formats: `legacy` when the folder holds `mp_rank_*`.
struct MegatronFolder {
  std::filesystem::path path;
  bool legacy = false;
};
Expected<MegatronFolder> findMegatronFolder(const std::filesystem::path &path);

struct TorchDistOptions {
  /// Which tensors to expose; all when empty. Records of the others are not
  /// opened (a training checkpoint holds optimizer state).
  std::function<bool(std::string_view name)> keep;
  /// 0: defaultThreads().
  unsigned threads = 0;
};

class TorchDistCheckpoint : public TensorSet {
public:
  /// `path`: as for findTorchDistFolder. Reads the head and tail of every
  /// record of a kept tensor and checks it against the metadata.
  static Expected<std::unique_ptr<TorchDistCheckpoint>>
  open(const std::filesystem::path &path, const TorchDistOptions &options = {});

  void locate(size_t index, int64_t begin, int64_t count, int64_t dest,
              std::vector<Extent> &out) const override;

  /// Where `.metadata` is.
  const std::filesystem::path &folder() const { return directory; }
  /// Objects that are no tensors: `..._extra_state/shard_0_32`,
  /// `rng_state/...`.
  const std::vector<DcpMetadata::Blob> &blobs() const { return metadata.blobs; }
  /// Names of the tensors that `keep` left out.
  const std::vector<std::string> &skipped() const { return left; }
  /// True when PyTorch's own saver flattened a nested state dict, which
  /// Megatron does not do: a torch_dcp or fsdp_dtensor checkpoint without
  /// metadata.json.
  bool isFlattenedStateDict() const { return metadata.hasPlannerData; }
  /// Bytes of all kept tensors.
  uint64_t totalBytes() const;

  /// The dict of common.pt or common_state/shard_0_1; None when the checkpoint
  /// has neither.
  Expected<PickleValue> readCommon() const;
  /// A blob that was saved as torch.save([object]).
  Expected<PickleValue> readBlob(const DcpMetadata::Blob &blob) const;

  /// Compares the CRC-32 of every entry of every record of kept tensors and of
  /// every object that is one (Megatron stores some as bare bytes). Returns the
  /// number of records that state none (torch can leave it out).
  Expected<size_t> verifyCrc(unsigned threads = 0) const;

private:
  TorchDistCheckpoint() = default;
  Status locateRecords(unsigned threads);

  std::filesystem::path directory;
  DcpMetadata metadata; ///< kept tensors only; names and shapes are in `infos`
  std::vector<BoxTiling> tilings;
  std::vector<uint64_t> payloads; ///< of each chunk: file offset of element 0
  std::vector<std::string> left;
};

} // namespace mbc
