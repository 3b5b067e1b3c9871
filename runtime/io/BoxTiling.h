//===- BoxTiling.h - Which chunk holds which element ------------*- C++ -*-===//
//
// A stored tensor is cut into boxes (chunks) that must tile it: layer by layer,
// expert by expert, in rows, in columns, or in any other way. This checks that
// they do and finds the box of an element in logarithmic time.
//
//===----------------------------------------------------------------------===//
#pragma once

#include "runtime/core/Error.h"

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace mbc {

/// The boxes of one tensor: for each, its offsets and then its sizes, all of
/// the tensor's rank, in one array.
struct BoxList {
  std::span<const int64_t> shape;
  std::span<const int64_t> numbers;

  size_t rank() const { return shape.size(); }
  size_t count = 0;
  std::span<const int64_t> offsets(size_t box) const {
    return numbers.subspan(box * 2 * rank(), rank());
  }
  std::span<const int64_t> sizes(size_t box) const {
    return numbers.subspan((box * 2 + 1) * rank(), rank());
  }
  int64_t volume(size_t box) const;
  /// Row-major position in the tensor of the first element of a box.
  int64_t flatBegin(size_t box) const;
  /// True when the elements of a box are contiguous in the row-major tensor.
  bool isSlab(size_t box) const;
};

/// Elements of `shape`, or -1 beyond int64 or for a negative size.
int64_t checkedVolume(std::span<const int64_t> shape);

/// Valid for the BoxList it was built from (of which it keeps no reference).
class BoxTiling {
public:
  /// The boxes must be sorted by their offsets, lexicographically. Input error
  /// (without a path: "chunk [0, 8] of size [1, 8] ...") when they are not in
  /// bounds, overlap, or leave a gap.
  static Expected<BoxTiling> build(const BoxList &boxes);

  /// Calls `emit(box, localBegin, begin, count)` for the runs that make up
  /// elements [begin, begin + count) of the row-major tensor, in order.
  /// `localBegin` is the row-major position in the box.
  template <typename Emit>
  void forEachRun(const BoxList &boxes, int64_t begin, int64_t count,
                  Emit &&emit) const {
    while (count > 0) {
      Run run = runAt(boxes, begin);
      int64_t part = run.count < count ? run.count : count;
      emit(run.box, run.local, begin, part);
      begin += part;
      count -= part;
    }
  }

private:
  /// A cut along one axis: children in increasing order of `begin`. With axis
  /// -1 the children are boxes that no plane separates, in no order.
  struct Node {
    int32_t axis;
    uint32_t first, count;
  };
  struct Child {
    int64_t begin;
    uint32_t target; ///< index of a box or of a node
    bool isBox;
  };
  struct Run {
    size_t box;
    int64_t local, count;
  };

  Run runAt(const BoxList &boxes, int64_t position) const;
  size_t find(const BoxList &boxes, std::span<const int64_t> at) const;
  Expected<Child> cut(const BoxList &boxes, std::span<uint32_t> ids,
                      size_t axis, unsigned depth, uint64_t &budget);

  /// All boxes are contiguous: sorted by offset they are sorted by position,
  /// and no tree is needed.
  bool slabs = false;
  std::vector<Node> nodes;
  std::vector<Child> children;
  Child root = {};
};

} // namespace mbc
