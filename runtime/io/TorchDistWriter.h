//===- TorchDistWriter.h - Writes Megatron torch_dist checkpoints -*- C++
//-*-===//
#pragma once

#include "runtime/core/Progress.h"
#include "runtime/io/Pickle.h"
#include "runtime/io/TensorSet.h"

#include <filesystem>
#include <string>
#include <vector>

namespace mbc {

/// How the tensors of a set are cut and in which files their parts go.
struct TorchDistSpec {
  struct Chunk {
    /// A box of the tensor, of its rank.
    std::vector<int64_t> offsets, sizes;
    /// Number n of the data file `__0_n.distcp`.
    uint32_t file = 0;
  };
  struct Tensor {
    size_t index; ///< into TensorSet::tensors(), which gives name and shape
    std::vector<Chunk> chunks; ///< must tile the tensor
  };
  /// Records are written in this order.
  std::vector<Tensor> tensors;
  /// Names of objects, `..._extra_state/shard_0_32`. All share one record, the
  /// torch.save of [None].
  std::vector<std::string> objects;
  /// Written to common.pt; must be a dict.
  PickleValue common = PickleValue::dict({});
};

/// Writes .metadata, *.distcp, common.pt and metadata.json into `folder`, which
/// exists and has none of them. `.metadata` comes last; nothing is synced (see
/// StagedDirectory). Record headers and all offsets follow from the spec, so
/// the same input gives the same bytes whatever the number of threads.
///
/// Memory: about 8 MiB a thread beside what the spec itself takes. Progress
/// advances by the bytes of tensors written.
Status writeTorchDist(const TensorSet &set, const TorchDistSpec &spec,
                      const std::filesystem::path &folder, Progress &progress,
                      unsigned threads);

} // namespace mbc
