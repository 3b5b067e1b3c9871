//===- ProgramReport.h - What a program costs -------------------*- C++ -*-===//
#pragma once

#include "runtime/program/MemoryLayout.h"

#include <string>

namespace mbc {

/// What the commands of one kind of layer, or of all that is outside of layers,
/// do for one token. Counted from the commands of a program's first function,
/// in which every token is computed to its end.
struct PartCost {
  std::string name; ///< "decoder", "decoder kind 1", "outside of layers"
  uint64_t layers = 1;
  // Of one layer:
  uint64_t flops = 0; ///< multiplications and additions of matrix products
  uint64_t attentionFlops = 0; ///< likewise, for each token attended to
  uint64_t movedBytes = 0;     ///< activations that commands read and write
  uint64_t weightBytes = 0;
  uint64_t stateBytes = 0; ///< that the token adds to the state
};

/// A buffer of scratch, and the command that fills it.
struct BufferCost {
  uint64_t bytes = 0;
  std::string dtype;
  std::vector<uint32_t> dims;
  std::string origin; ///< "models/llama.mbc:7:3"; empty: the compiler's own
};

struct FunctionCost {
  std::string name;
  uint32_t rows = 0;
  uint64_t arena = 0, ports = 0;
  std::vector<BufferCost> largest; ///< three at most, the largest first
};

struct ProgramCost {
  std::vector<PartCost> parts;
  std::vector<FunctionCost> functions;
  int64_t slots = 0;   ///< tokens that the state holds
  MemoryLayout memory; ///< with so many
};

/// Counts for a checked program, with a state of as many tokens as it was
/// compiled for.
ProgramCost costOf(const program::ProgramT &program);

} // namespace mbc
