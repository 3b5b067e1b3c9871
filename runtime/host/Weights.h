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

private:
  explicit Weights(const program::ProgramT &program);

  Expected<const MappedFile *> file(const std::string &path);

  const program::ProgramT *program;
  MemoryLayout layout;
  Memory memory;
  std::map<std::string, MappedFile> files;
  /// Of each weight: its first instance in `runs`.
  std::vector<size_t> starts;
  std::vector<std::vector<RowRun>> runs;
};

} // namespace mbc::host
