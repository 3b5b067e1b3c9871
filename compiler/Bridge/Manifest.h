//===- Manifest.h - What a checkpoint held when it was imported -*- C++ -*-===//
#pragma once

#include "mbc/VerifyReport.h"
#include "runtime/core/Progress.h"
#include "runtime/io/Digest.h"
#include "runtime/io/HfFolder.h"

#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mbc {

/// mbc/manifest.json of an iteration folder: the XXH3-128 digest of every
/// Hugging Face tensor that the checkpoint holds, in the type in which it is
/// exported, of every file of the source, and of every file that the import
/// stored but the weights (`*.distcp` and the files of `mp_rank_*`, whose
/// records have checksums of their own, and whose tensors are digested). The
/// last line is the digest of what is before it, so that no byte of the
/// manifest can change unseen. FP8 weights are digested as the values that
/// Megatron holds, beside the bytes of their block scales.
class Manifest {
public:
  /// Its path in the iteration folder.
  static constexpr const char *kFile = "mbc/manifest.json";

  struct FileDigest {
    uint64_t bytes = 0;
    DigestText digest;
    std::string sha256; ///< as the hub prints it; empty: not asked for
  };

  /// Reads the manifest of an iteration folder; null when there is none. One
  /// that has changed is an Input error.
  static Expected<std::unique_ptr<Manifest>>
  open(const std::filesystem::path &iterationFolder);

  /// Digests `tensors` (the folder's, cast or not) and the folder's files.
  static Expected<Manifest> make(const HfFolder &folder,
                                 const TensorSet &tensors, bool sha256,
                                 unsigned threads, Progress &progress);
  /// For a checkpoint into which only these folders are copied: leaves out the
  /// digests of other stored files. What is copied keeps the digest that it
  /// had, so that damage to it is still seen.
  void keepStored(std::span<const std::string_view> folders);
  /// Digests what the iteration folder holds by now, but the weights and what
  /// has its digest, and adds the manifest to it.
  Status write(const std::filesystem::path &iterationFolder);

  /// Digests every tensor of `set` and compares.
  Expected<std::vector<ManifestDifference>>
  check(const TensorSet &set, unsigned threads, Progress &progress) const;
  /// Digests the files that the import stored and compares. Files that came
  /// later are none of its business.
  Expected<std::vector<ManifestDifference>>
  checkStored(const std::filesystem::path &iterationFolder) const;

  const std::map<std::string, DigestText> &tensors() const { return digests; }
  const std::map<std::string, FileDigest> &files() const { return fileDigests; }

private:
  std::map<std::string, DigestText> digests;
  std::map<std::string, FileDigest> fileDigests;
  std::map<std::string, DigestText> stored; ///< by path in the folder
};

} // namespace mbc
