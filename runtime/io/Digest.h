//===- Digest.h - XXH3-128 of tensors and files -----------------*- C++ -*-===//
#pragma once

#include "runtime/core/Progress.h"
#include "runtime/io/TensorSet.h"

#include <filesystem>
#include <string>
#include <vector>

namespace mbc {

/// XXH3-128 in its canonical (big-endian) spelling: 32 hexadecimal digits.
using DigestText = std::string;

/// The digest of each tensor of a set, in its order: over the row-major
/// elements in the tensor's own dtype, whatever the files look like. Memory is
/// bounded by 4 MiB a thread. `progress` is advanced by bytes of tensors; its
/// total is set here.
Expected<std::vector<DigestText>>
digestTensors(const TensorSet &set, unsigned threads, Progress &progress);

/// The digest of a text's bytes, and of a file's.
DigestText digestText(std::string_view text);
Expected<DigestText> digestFile(const std::filesystem::path &path);

/// A set whose tensors are presented in other dtypes; values are converted when
/// they are read.
class CastTensors final : public TensorSet {
public:
  /// `dtypes`: one for each tensor of `set`, which must outlive this.
  CastTensors(const TensorSet &set, const std::vector<DType> &dtypes);
  void locate(size_t index, int64_t begin, int64_t count, int64_t dest,
              std::vector<Extent> &out) const override {
    set.locate(index, begin, count, dest, out);
  }

private:
  const TensorSet &set;
};

} // namespace mbc
