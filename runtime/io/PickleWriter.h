//===- PickleWriter.h - Writes pickles of protocol 2 ------------*- C++ -*-===//
//
// Protocol 2 is the newest that torch.load(weights_only=True) reads. The same
// calls give the same bytes: nothing depends on hashes, time or addresses.
//
//===----------------------------------------------------------------------===//
#pragma once

#include "runtime/io/Pickle.h"

#include <span>
#include <unordered_map>

namespace mbc {

/// Emits opcodes in the order of the calls. Values go on Python's stack; the
/// calls that combine values take them from there.
class PickleWriter {
public:
  PickleWriter();

  void none() { op('N'); }
  void boolean(bool value) { op(value ? '\x88' : '\x89'); }
  void integer(int64_t value);
  void real(double value);
  /// UTF-8.
  void string(std::string_view value);
  /// Written once, then fetched from the memo: for keys that recur.
  void recurring(std::string_view value);
  /// As a call of `_codecs.encode`, as Python does below protocol 3.
  void bytes(std::string_view value);
  /// Written once, then fetched from the memo.
  void global(std::string_view module, std::string_view name);

  void emptyTuple() { op(')'); }
  void emptyList() { op(']'); }
  void emptyDict() { op('}'); }
  void mark() { op('('); }
  /// Everything above the mark as one tuple.
  void tuple() { op('t'); }
  /// The topmost `count` values, 1 to 3, as one tuple.
  void tuple(unsigned count) { op(char(0x84 + count)); }
  /// A tuple of integers.
  void tuple(std::span<const int64_t> values);
  /// torch.Size(values).
  void torchSize(std::span<const int64_t> values);
  void append() { op('a'); }
  void appends() { op('e'); }
  void setItem() { op('s'); }
  void setItems() { op('u'); }
  /// class, arguments -> object.
  void newObject() { op('\x81'); }
  /// callable, arguments -> result.
  void reduce() { op('R'); }
  /// object, state -> object.
  void build() { op('b'); }
  /// id -> the object that the loader makes of it.
  void persistentId() { op('Q'); }

  /// Memoises the topmost value; `get` pushes it again.
  uint32_t put();
  void get(uint32_t index);

  /// A whole tree. Objects are written with NEWOBJ when they have a state, with
  /// REDUCE when not.
  void value(const PickleValue &value);

  /// STOP. The writer is empty afterwards.
  std::string finish();

private:
  void op(char code) { out.push_back(code); }
  void little(uint64_t value, unsigned width);
  std::string out;
  std::unordered_map<std::string, uint32_t> globals, strings;
  uint32_t memoSize = 0;
};

} // namespace mbc
