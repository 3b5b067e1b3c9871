//===- MemoryLayout.h - Where weights and state lie -------------*- C++ -*-===//
#pragma once

#include "runtime/schema/program_generated.h"

#include <cstdint>
#include <vector>

namespace mbc {

/// Bytes that a session takes for a program, and the places of its weights and
/// its state in them; every matrix starts at a multiple of 64 bytes.
struct MemoryLayout {
  uint64_t weights = 0, states = 0;
  /// The largest arena and the largest inputs and outputs of a function: calls
  /// come one after another.
  uint64_t arena = 0, ports = 0;

  /// Of each weight: its first instance, and the bytes from one to the next.
  std::vector<uint64_t> weightOffsets, instanceBytes;
  /// Of each state and part: its first layer, and the bytes to the next.
  std::vector<std::vector<uint64_t>> stateOffsets, layerBytes;

  uint64_t total() const { return weights + states + arena + ports; }
};

/// The layout with a state of `slots` tokens, of all sequences together.
MemoryLayout layoutMemory(const program::ProgramT &program, int64_t slots);

/// Bytes of a function's inputs and outputs.
uint64_t portBytes(const program::FunctionT &function);

} // namespace mbc
