//===- BlockScale.h - One scale for each block of a matrix ------*- C++ -*-===//
#pragma once

#include "runtime/core/DType.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

namespace mbc {

/// Where the scales of one tensor lie. The tensor is a row-major stack of
/// matrices, each cut into blocks, of which the last ones may be smaller; the
/// scales are one row-major grid a matrix, `ceil(rows / blockRows)` by
/// `ceil(cols / blockCols)`.
struct BlockScale {
  std::string name; ///< of the tensor that holds the scales, for messages
  uint32_t file;    ///< index into TensorSet::files()
  uint64_t offset;  ///< of the first scale, in bytes
  DType dtype;      ///< a float, or F8E8M0: powers of two
  int64_t matrices, rows, cols;
  int64_t blockRows, blockCols;
  /// Counts the elements that were quantised with these scales and that they
  /// do not give back; shared by all who read. Null: nobody asks.
  std::shared_ptr<std::atomic<uint64_t>> lost = nullptr;

  int64_t gridRows() const { return (rows + blockRows - 1) / blockRows; }
  int64_t gridCols() const { return (cols + blockCols - 1) / blockCols; }
  /// The number of scales.
  int64_t count() const { return matrices * gridRows() * gridCols(); }

  /// Calls `fn(scale, first, length)` for the runs of elements
  /// [begin, begin + count) of the tensor that have one scale: its position in
  /// the grids, and the run's from `begin` on.
  template <typename Fn>
  void forEachRun(int64_t begin, int64_t count, Fn &&fn) const {
    int64_t col = begin % cols, row = begin / cols % rows,
            matrix = begin / cols / rows;
    for (int64_t at = 0; at < count;) {
      int64_t rowEnd = std::min(cols - col, count - at);
      int64_t grid = (matrix * gridRows() + row / blockRows) * gridCols() +
                     col / blockCols;
      for (int64_t end = at + rowEnd; at < end; ++grid) {
        int64_t length = std::min(blockCols - col % blockCols, end - at);
        fn(grid, at, length);
        at += length;
        col += length;
      }
      if (col < cols)
        return;
      col = 0;
      if (++row == rows) {
        row = 0;
        ++matrix;
      }
    }
  }
};

} // namespace mbc
