//===- Weights.h - Where a program's weights are in memory ------*- C++ -*-===//
#pragma once

#include "runtime/core/MappedFile.h"
#include "runtime/host/Memory.h"
#include "runtime/program/MemoryLayout.h"
#include "runtime/program/WeightSource.h"

#include <map>
#include <span>
#include <vector>

namespace mbc::host {

/// Rows of a weight that lie one behind the other.
struct RowRun {
  int64_t first, count;
  const std::byte *data;
  /// Of FP8: the scales of the matrix that a checkpoint stores them in, and
  /// where the first row stands in it.
  const float *scales = nullptr;
  int64_t row = 0;
};

/// The weights of a program: used as they lie in a checkpoint's files wherever
/// those hold whole rows of the program's type, else read into memory.
class Weights {
public:
  /// An Error where the memory cannot be reserved. `program` must outlive it.
  static Expected<Weights> create(const program::ProgramT &program);

  /// Maps or reads every weight. May be called once.
  Status load(const WeightSource &source, unsigned threads, Progress &progress);

  /// An instance's rows, in order; one run for all but the weights of products.
  std::span<const RowRun> rows(size_t weight, size_t instance) const {
    return runs[starts[weight] + instance];
  }
  /// Its memory, for who fills it without a checkpoint.
  std::byte *at(size_t weight, size_t instance) {
    return memory.data + layout.weightOffsets[weight] +
           instance * layout.instanceBytes[weight];
  }
  /// Likewise the scales of an FP8 one: of each matrix a grid of its blocks,
  /// row by row.
  std::span<float> scalesAt(size_t weight, size_t instance) {
    return grids[starts[weight] + instance];
  }

private:
  explicit Weights(const program::ProgramT &program);

  /// Rows of FP8 in files, which stay there.
  Status loadScaled(const WeightSource &source, size_t weight, size_t instance,
                    const std::vector<StoredRows> &stored);
  Expected<const MappedFile *> file(const std::string &path);

  const program::ProgramT *program;
  MemoryLayout layout;
  Memory memory;
  std::map<std::string, MappedFile> files;
  /// Of each weight: its first instance in `runs`.
  std::vector<size_t> starts;
  std::vector<std::vector<RowRun>> runs;
  /// Of FP8 beside each of `runs`: a grid for each matrix, or those of the
  /// stored tensors.
  std::vector<std::vector<float>> grids;
};

} // namespace mbc::host
