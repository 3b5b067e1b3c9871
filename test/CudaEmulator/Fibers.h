//===- Fibers.h - The threads of a block ------------------------*- C++ -*-===//
#pragma once

#include <cstdint>
#include <functional>

namespace mbc::emulator {

/// Runs `kernel` for every thread of every block, blocks one after another.
/// False where threads of a block wait for ones that have ended or wait
/// elsewhere: on a GPU the block would hang or be wrong.
bool runGrid(const std::function<void()> &kernel, unsigned x, unsigned y,
             unsigned z, unsigned threads, uint64_t shared);

} // namespace mbc::emulator
