//===- TensorViews.h - Parts and sums of sets of tensors --------*- C++ -*-===//
#pragma once

#include "runtime/io/TensorSet.h"

#include <filesystem>
#include <span>
#include <vector>

namespace mbc {

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

/// Some tensors of a set, in an order of their own.
class SomeTensors final : public TensorSet {
public:
  /// `indices` into `set`, which must outlive this.
  SomeTensors(const TensorSet &set, std::span<const size_t> indices);
  void locate(size_t index, int64_t begin, int64_t count, int64_t dest,
              std::vector<Extent> &out) const override {
    set.locate(indices[index], begin, count, dest, out);
  }

private:
  const TensorSet &set;
  std::vector<size_t> indices;
};

/// Tensors that lie one by one in a file.
class FileTensors final : public TensorSet {
public:
  /// `offsets`: the first byte of each of `infos`.
  FileTensors(const std::filesystem::path &path, std::vector<TensorInfo> infos,
              std::vector<uint64_t> offsets);
  void locate(size_t index, int64_t begin, int64_t count, int64_t dest,
              std::vector<Extent> &out) const override;

private:
  std::vector<uint64_t> offsets;
};

/// The tensors of one set, then those of another; no name is in both.
class JoinedTensors final : public TensorSet {
public:
  /// Both must outlive this; `second` has no block scales.
  JoinedTensors(const TensorSet &first, const TensorSet &second);
  void locate(size_t index, int64_t begin, int64_t count, int64_t dest,
              std::vector<Extent> &out) const override;

private:
  const TensorSet &first, &second;
};

} // namespace mbc
