//===- Manifest.h - What a checkpoint held when it was imported -*- C++ -*-===//
#pragma once

#include "mbc/VerifyReport.h"
#include "runtime/core/Progress.h"
#include "runtime/io/Digest.h"
#include "runtime/io/HfFolder.h"

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace mbc {

/// mbc/manifest.json of an iteration folder: the XXH3-128 digest of every
/// Hugging Face tensor that the checkpoint holds, in the type in which it is
/// exported, and of every file of the source.
class Manifest {
public:
  struct FileDigest {
    uint64_t bytes = 0;
    DigestText digest;
    std::string sha256; ///< as the hub prints it; empty: not asked for
  };

  /// Reads the manifest of an iteration folder; null when there is none.
  static Expected<std::unique_ptr<Manifest>>
  open(const std::filesystem::path &iterationFolder);

  /// Digests `tensors` (the folder's, cast or not) and the folder's files.
  static Expected<Manifest> make(const HfFolder &folder,
                                 const TensorSet &tensors, bool sha256,
                                 unsigned threads, Progress &progress);
  Status write(const std::filesystem::path &iterationFolder) const;

  /// Digests every tensor of `set` and compares.
  Expected<std::vector<ManifestDifference>>
  check(const TensorSet &set, unsigned threads, Progress &progress) const;

  const std::map<std::string, DigestText> &tensors() const { return digests; }
  const std::map<std::string, FileDigest> &files() const { return fileDigests; }

private:
  std::map<std::string, DigestText> digests;
  std::map<std::string, FileDigest> fileDigests;
};

} // namespace mbc
