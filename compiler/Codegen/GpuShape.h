//===- GpuShape.h - How a row kernel is spread over threads -----*- C++ -*-===//
#pragma once

#include "compiler/Codegen/RowStages.h"

namespace mbc::codegen {

/// A stage on the threads of a row. A thread works on items, one after another:
/// of a stage with sums an item is a thread's share of a segment, which `group`
/// threads have together; of another it is one piece.
struct StageShape {
  int64_t lanes = 1;  ///< places of a piece: one access of a thread
  int64_t pieces = 1; ///< of a segment
  int64_t group = 1;
  int64_t share = 1; ///< pieces of a segment that a thread has at most
  int64_t items = 1; ///< of a row, over all threads
  /// Items that a thread has at once: of other segments, at the same places,
  /// so that their weights and angles are read once.
  int64_t batch = 1;
};

/// Stages that the same blocks compute, one after another. A block has `rows`
/// rows of `threads` threads each; a row is that of `parts` blocks.
struct GpuTask {
  std::vector<size_t> stages;
  int64_t threads = 1, rows = 1, parts = 1;
};

struct GpuShape {
  std::vector<StageShape> stages;
  std::vector<GpuTask> tasks; ///< of different blocks
  int64_t threads = 32;       ///< of a block
};

/// Stages that know nothing of each other are tasks of their own, so that few
/// rows still keep many processors busy; others share blocks of one row each.
GpuShape planShape(const RowKernel &kernel, const StagePlan &plan);

} // namespace mbc::codegen
