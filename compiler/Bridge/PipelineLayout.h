//===- PipelineLayout.h - Which stage holds what ----------------*- C++ -*-===//
#pragma once

#include "runtime/schema/plan_generated.h"

#include <cstdint>
#include <string_view>
#include <vector>

namespace mbc {

/// The layers of the decoder dealt out to pipeline stages and, on each, to
/// virtual chunks. Chunk k of the model is virtual chunk k / pp of stage k %
/// pp.
struct PipelineLayout {
  uint32_t pp = 1, vpp = 1;
  /// Layers of each chunk; pp * vpp of them.
  std::vector<int64_t> layers = {0};

  /// The chunk of a layer of the decoder.
  uint32_t chunkOf(uint32_t layer) const;
  /// The first layer of a chunk.
  uint32_t firstLayer(uint32_t chunk) const;
  uint32_t lastChunk() const { return pp * vpp - 1; }

  /// Whether a tensor outside of the decoder's layers comes before them.
  static bool isFirst(std::string_view name);

  /// The chunk of a tensor, `layer` its layer if it has one. Outside of the
  /// decoder's layers: the first or the last.
  uint32_t chunkOf(const plan::PlacementT &placement, std::string_view name,
                   uint32_t layer) const;
};

} // namespace mbc
