//===- PreparedPicture.h - A picture as a model takes it --------*- C++ -*-===//
#pragma once

#include "runtime/vision/Patches.h"
#include "runtime/vision/Picture.h"

#include <memory>
#include <string>

namespace mbc::vision {

/// What each of the 256 values of a channel is for a model.
struct ValueTables {
  float channels[3][256];
};

/// Float32 values that a call takes.
struct PatchValues {
  std::unique_ptr<float[]> values;
  size_t count = 0;
};

/// A picture of the size that a model takes; its values, which need eight times
/// the memory, are made when they are needed.
struct PreparedPicture {
  PatchGrid grid = {}; ///< frames is 1: a picture stands still
  /// Pixels a side of a patch, patches a side of a square that becomes one
  /// token, and how often a picture is repeated in time.
  int64_t patch = 0, merge = 0, frames = 0;
  Picture pixels;
  std::shared_ptr<const ValueTables> tables;
  /// Of the pixels and their number: pictures of which a model sees the same
  /// have the same.
  std::string digest;

  int64_t tokens() const {
    return int64_t(grid.rows) * grid.columns / (merge * merge);
  }
  /// [patches, channels (3), frames, patch, patch], patches in the processor's
  /// order: squares of merge x merge, row by row.
  Expected<PatchValues> values(unsigned threads) const;
};

} // namespace mbc::vision
