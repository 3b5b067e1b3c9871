//===- MemoryLayout.cpp ---------------------------------------------------===//
#include "runtime/program/MemoryLayout.h"

#include "runtime/core/DType.h"
#include "runtime/program/Program.h"

#include <algorithm>

namespace mbc {

static uint64_t aligned(uint64_t bytes) {
  constexpr uint64_t alignment = 64;
  return (bytes + alignment - 1) / alignment * alignment;
}

static uint64_t layersOf(const program::StateT &state) {
  return std::max<size_t>(1, state.layers.size());
}

uint64_t portBytes(const program::FunctionT &function) {
  uint64_t bytes = 0;
  for (const auto *list : {&function.inputs, &function.outputs})
    for (const auto &port : *list) {
      int64_t elements = 1;
      for (uint32_t dim : port->dims)
        elements *= dim;
      bytes += bytesOf(static_cast<DType>(port->dtype), elements);
    }
  return bytes;
}

MemoryLayout layoutMemory(const program::ProgramT &program, int64_t slots) {
  MemoryLayout layout;
  for (const auto &weight : program.weights) {
    layout.weightOffsets.push_back(layout.weights);
    layout.instanceBytes.push_back(aligned(bytesOf(*weight)));
    layout.weights += layout.instanceBytes.back() * instancesOf(*weight);
  }
  for (const auto &state : program.states) {
    std::vector<uint64_t> &offsets = layout.stateOffsets.emplace_back();
    std::vector<uint64_t> &sizes = layout.layerBytes.emplace_back();
    for (uint32_t width : state->widths) {
      offsets.push_back(layout.states);
      sizes.push_back(aligned(
          bytesOf(static_cast<DType>(state->dtype), int64_t(width) * slots)));
      layout.states += sizes.back() * layersOf(*state);
    }
  }
  for (const auto &function : program.functions) {
    layout.ports = std::max(layout.ports, portBytes(*function));
    layout.arena = std::max(layout.arena, function->arena);
  }
  return layout;
}

} // namespace mbc
