//===- RowStages.h - Which loops a row kernel becomes -----------*- C++ -*-===//
#pragma once

#include "compiler/Codegen/RowLayout.h"
#include "dialects/Exec/ExecDialect.h"
#include "runtime/schema/program_generated.h"

#include <string>
#include <vector>

namespace mbc::codegen {

/// A step of `exec.kernel`.
struct Step {
  program::RowKind kind;
  llvm::SmallVector<int64_t, 3> inputs;
  int64_t operand = 0, vectors = 1, width = 1;
  double scalar = 0;

  int64_t count() const { return vectors * width; }
  bool isNorm() const {
    return kind == program::RowKind::RMSNorm ||
           kind == program::RowKind::LayerNorm;
  }
  bool isRope() const {
    return kind == program::RowKind::Rope ||
           kind == program::RowKind::RopePairs;
  }
  /// Takes many instructions: not done twice.
  bool isCostly() const {
    return kind == program::RowKind::Silu || kind == program::RowKind::Gelu ||
           kind == program::RowKind::Sigmoid;
  }
};

/// A kernel with the layouts of its operands: what one function is made for.
struct RowKernel {
  std::vector<Step> steps;
  std::vector<RowLayout> operands;
  /// Of operands a and b: overlaps[a * operands.size() + b].
  std::vector<Overlap> overlaps;
  std::vector<int64_t> alignments; ///< bytes: alignmentOf

  RowKernel(exec::KernelOp kernel, mlir::OperandRange views);
  /// Equal for what may share a function; `aligned`: one that relies on the
  /// operands' alignments.
  std::string key(llvm::StringRef name, bool aligned) const;

  Overlap overlap(int64_t operand, int64_t other) const {
    return overlaps[operand * operands.size() + other];
  }
};

/// Where a value is taken inside of a stage.
enum class Path {
  Main,   ///< at the stage's elements
  Weight, ///< at their place in the segment: a weight of a norm
  Angle,  ///< at their pair, and a half further: the angles of a rope
};

/// Elements that are computed together.
enum class Points {
  One,    ///< i
  Halves, ///< i and i + width / 2
  Pairs,  ///< 2i and 2i + 1
};

/// One loop nest over a row: segments of `width`, in each the sums of its
/// norms, then the elements of its roots.
struct Stage {
  std::vector<int64_t> roots; ///< stores, and values to keep; ascending
  std::vector<int64_t> norms; ///< ascending
  int64_t count = 0;          ///< elements of a row
  int64_t width = 0;          ///< of a segment; 0 while it does not matter
  Points points = Points::One;
  /// Inside of a segment's places (pairs, where points are two), as many that
  /// every view has them at a fixed distance.
  int64_t chunk = 0;

  int64_t places() const { return points == Points::One ? width : width / 2; }
};

/// The stages of a kernel in order. Values that no stage can compute where it
/// needs them are kept in float32 scratch.
struct StagePlan {
  std::vector<Stage> stages;
  std::vector<bool> kept;             ///< by step
  std::vector<int64_t> scratchOffset; ///< of kept steps; floats
  int64_t scratchFloats = 0;
};

/// `recomputes`: a norm's input that registers do not hold is computed again
/// for its elements, so that a costly one is kept; threads hold it.
StagePlan planStages(const RowKernel &kernel, bool recomputes = true);

} // namespace mbc::codegen
