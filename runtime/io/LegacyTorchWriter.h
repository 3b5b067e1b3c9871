//===- LegacyTorchWriter.h - Writes one rank's torch file -------*- C++ -*-===//
#pragma once

#include "runtime/core/Progress.h"
#include "runtime/io/Pickle.h"
#include "runtime/io/TensorSet.h"

#include <filesystem>
#include <string>
#include <vector>

namespace mbc {

/// What model_optim_rng.pt of one rank holds.
struct LegacyTorchSpec {
  struct Entry {
    std::string name; ///< in the state dict
    /// Into TensorSet::tensors(); -1: None, as of an `_extra_state`.
    int64_t tensor = -1;
  };
  struct Model {
    std::string key; ///< "model", or "model0" of several
    std::vector<Entry> entries;
  };
  std::vector<Model> models;
  /// Entries of the dict before the models: args, checkpoint_version, ...
  std::vector<std::pair<std::string, PickleValue>> head;
};

/// Writes `path`, which must not exist, as torch.save does: a storage for each
/// tensor. The layout follows from shapes and names, so that the same input
/// gives the same bytes whatever the number of threads, and tensors are written
/// in parts. Memory: about 8 MiB a thread beside the spec. Progress advances by
/// the bytes of tensors written.
Status writeLegacyTorch(const TensorSet &set, const LegacyTorchSpec &spec,
                        const std::filesystem::path &path, Progress &progress,
                        unsigned threads);

} // namespace mbc
