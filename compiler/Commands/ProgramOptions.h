//===- ProgramOptions.h - Sizes of programs ---------------------*- C++ -*-===//
#pragma once

#include <cstdint>

namespace mbc {

/// Tokens of a chunk where --chunk says nothing.
constexpr uint64_t defaultChunk = 512;
/// Most tokens of a chunk, and sequences of a call.
constexpr uint64_t mostRows = 1 << 20;

} // namespace mbc
