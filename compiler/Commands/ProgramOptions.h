//===- ProgramOptions.h - Sizes of programs ---------------------*- C++ -*-===//
#pragma once

#include "compiler/Commands/Command.h"

#include <cstdint>
#include <string>

namespace mbc {

/// Tokens of a chunk where --chunk says nothing.
constexpr uint64_t defaultChunk = 512;
/// A GPU needs more rows for its products to be as fast as they can be.
constexpr uint64_t defaultGpuChunk = 4096;
/// Patches of pictures in a call where --patches says nothing: one of 1792 x
/// 1792 pixels, for patches of 14.
constexpr uint64_t defaultPatches = 128 * 128;
/// Most tokens of a chunk, and sequences of a call.
constexpr uint64_t mostRows = 1 << 20;

/// Declares --weight-dtype, of commands that compile; `text` is what it says.
void declareWeightType(Command &command, std::string &text);
/// Whether weights that are stored as FP8 stay so. An Input error for another
/// type.
Expected<bool> parseWeightType(const std::string &text);

} // namespace mbc
