//===- PipelineLayout.cpp -------------------------------------------------===//
#include "compiler/Bridge/PipelineLayout.h"

namespace mbc {

uint32_t PipelineLayout::chunkOf(uint32_t layer) const {
  int64_t left = layer;
  for (uint32_t chunk = 0; chunk < layers.size(); ++chunk)
    if ((left -= layers[chunk]) < 0)
      return chunk;
  return lastChunk();
}

uint32_t PipelineLayout::firstLayer(uint32_t chunk) const {
  int64_t first = 0;
  for (uint32_t before = 0; before < chunk; ++before)
    first += layers[before];
  return static_cast<uint32_t>(first);
}

/// The embedding, and a vision tower.
bool PipelineLayout::isFirst(std::string_view name) {
  return name.find("embedding.") != std::string_view::npos ||
         name.starts_with("visual.");
}

uint32_t PipelineLayout::chunkOf(const plan::PlacementT &placement,
                                 std::string_view name, uint32_t layer) const {
  if (placement.stack == "decoder")
    return chunkOf(layer);
  return isFirst(name) ? 0 : lastChunk();
}

} // namespace mbc
