//===- RowValues.h - Values of a row kernel, piece by piece -----*- C++ -*-===//
#pragma once

#include "compiler/Codegen/RowStages.h"
#include "compiler/Codegen/VectorMath.h"

#include <map>

namespace mbc::codegen {

/// `lanes` places of a segment, from chunk + offset on.
struct Piece {
  mlir::Value chunk, offset;
  int64_t lanes;
};

/// The values of a step at a piece: one vector for each of the stage's points.
using Values = llvm::SmallVector<mlir::Value, 2>;

/// What a machine's memory is to generated code.
struct MemoryKind {
  unsigned operands = 0, scratch = 0; ///< address spaces
  /// Whether an operand's alignment may be relied upon.
  bool aligned = false;
};

/// Emits the values of steps at pieces of a stage, which differ by machine in
/// nothing but how memory is reached. Who runs through the pieces derives from
/// it: loops over vectors (EmitRows), or threads (EmitGpuRows).
class RowValues {
protected:
  RowValues(mlir::ImplicitLocOpBuilder &builder, const RowKernel &kernel,
            const StagePlan &plan, Machine machine, MemoryKind memory)
      : b(builder), math(builder, machine), kernel(kernel), plan(plan),
        memory(memory) {}

  using Value = mlir::Value;

  // Numbers.
  /// One value for equal numbers: pieces are known by theirs.
  Value constant(int64_t value);
  Value number(float value);
  Value plus(Value x, Value y);
  Value times(Value x, int64_t y);

  // Values.
  Values valueAt(int64_t step, Path path, const Piece &piece);
  /// Of the stage, each load that is done at its pieces, and how it is reached.
  std::vector<std::pair<int64_t, Path>> loadsOfStage() const;
  bool isRoot(int64_t step) const {
    return llvm::is_contained(stage->roots, step);
  }
  /// The values of a root, and their places in memory.
  Values rootAt(int64_t root, const Piece &piece);
  void storeRoot(int64_t root, const Piece &piece, const Values &values);

  /// Emits a body of a loop: what is known outside is so inside, but not the
  /// other way.
  template <typename Body> void keepingKnown(Body body) {
    auto outside = known;
    body();
    known = std::move(outside);
  }

  // Memory.
  Value address(mlir::Type stored, Value base, Value element);
  static mlir::Type storedType(mlir::Type element);
  /// The address of an operand's first element in `row`, by `rowBase`.
  Value rowAddress(int64_t operand, Value base, Value row);

  mlir::ImplicitLocOpBuilder &b;
  VectorMath math;
  const RowKernel &kernel;
  const StagePlan &plan;
  const MemoryKind memory;

  mlir::Block *entry = nullptr;
  // Of the row, the stage and the segment at hand.
  llvm::SmallVector<Value> rowBase;
  Value scratch;
  const Stage *stage = nullptr;
  Value segment; ///< its first element
  /// Of norms: 1 / deviation, and of layer norms the mean.
  llvm::DenseMap<int64_t, Value> factors, means;
  /// Values that are known where code is emitted, by step, path, segment where
  /// it matters, and piece.
  std::map<std::tuple<int64_t, Path, const void *, const void *, const void *,
                      int64_t>,
           Values>
      known;

private:
  Values compute(int64_t step, Path path, const Piece &piece);
  void collectLoads(int64_t step, Path path, bool isRoot,
                    std::vector<std::pair<int64_t, Path>> &loads) const;
  std::pair<Value, Value> elementAt(Path path, const Piece &piece, int64_t n);
  Value runAt(const RowLayout &layout, Value element);
  unsigned alignmentAt(int64_t operand, int64_t lanes) const;
  Value load(int64_t operand, Path path, const Piece &piece, int64_t n);
  void store(int64_t operand, const Piece &piece, int64_t n, Value value);
  Value keptAddress(int64_t step, Path path, const Piece &piece, int64_t n);

  llvm::DenseMap<int64_t, Value> constants;
};

} // namespace mbc::codegen
