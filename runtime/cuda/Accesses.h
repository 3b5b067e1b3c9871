//===- Accesses.h - What commands read and write ----------------*- C++ -*-===//
//
// Buffers of a function share memory over time: whoever leaves out a command's
// result, or reads at another time than the program says, proves here that
// nobody is hurt.
//
//===----------------------------------------------------------------------===//
#pragma once

#include "runtime/schema/program_generated.h"

#include <cstdint>
#include <vector>

namespace mbc::cuda {

/// Views of a function, by number. `fills`: those that are written whole; of a
/// part that is written nothing is said.
struct Accesses {
  std::vector<uint32_t> reads, fills;
};
/// Of one command that is no Repeat.
Accesses accessesOf(const program::ProgramT &program,
                    const program::OpUnion &op);

/// The bytes of a view, whatever rows a call has.
struct Region {
  program::Space space;
  uint32_t index;
  /// Its first row has bytes [begin, begin + rowBytes), with gaps or without;
  /// all of them lie before `end`.
  uint64_t begin, rowBytes, end;
  uint64_t rowStride, rows;
  /// A row has no gaps.
  bool dense;
};
Region regionOf(const program::ViewT &view);
/// Whether they may share a byte.
bool overlap(const Region &a, const Region &b);
/// Whether element i of every row is the same memory in both.
bool areSame(const program::ViewT &a, const program::ViewT &b);

/// Where a command is: number `index` of `body`, which is the function's, or
/// that of its command number `repeat`.
struct Position {
  const program::BodyT *body;
  size_t index;
  int64_t repeat = -1;
};
/// Whether no command behind `from` reads what was written to `view` before,
/// in this layer, in the next ones or after them.
bool isDeadAfter(const program::ProgramT &program,
                 const program::FunctionT &function, const Position &from,
                 uint32_t view);

} // namespace mbc::cuda
