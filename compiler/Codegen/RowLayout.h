//===- RowLayout.h - One row of a view, as runs -----------------*- C++ -*-===//
#pragma once

#include "mlir/IR/Value.h"
#include "llvm/ADT/SmallVector.h"

namespace mbc::codegen {

/// What a kernel is specialised for: how the elements of one row of an operand
/// lie. The number of rows is left open.
struct RowLayout {
  mlir::Type element;
  bool shared = false;   ///< a weight: the same for every row
  int64_t rowStride = 0; ///< elements
  /// Of a row: neighbouring dimensions that continue each other are one, those
  /// of size one are left out. At least one.
  llvm::SmallVector<int64_t> sizes, strides;

  /// Elements that follow each other at a fixed distance.
  int64_t run() const { return sizes.back(); }
  int64_t step() const { return strides.back(); }

  bool operator==(const RowLayout &) const = default;
};

/// The layout of an operand of `exec.rows`.
RowLayout layoutOf(mlir::Value view);

/// A power of two, at most 16, that the bytes of every row's first element, and
/// of the first of each of its runs, are a multiple of: arenas, arrays of
/// callers and weights begin at such ones.
int64_t alignmentOf(mlir::Value view);

/// How two operands lie in memory.
enum class Overlap {
  None,  ///< no row of one has an element of the other
  Same,  ///< element i of each row is the same memory
  Other, ///< anything else
};
Overlap overlapOf(mlir::Value a, mlir::Value b);

} // namespace mbc::codegen
