//===- JsonReader.h - Strict JSON, one token at a time ----------*- C++ -*-===//
//
// A pull parser over text in memory. `Json` builds values with it; headers and
// indexes with 100,000 entries are read through it directly, without a tree.
//
// It is strict: RFC 8259 and nothing else (no NaN, comments, trailing commas,
// byte order mark, lone surrogates or invalid UTF-8). Every error names the
// source and gives line and column.
//
//===----------------------------------------------------------------------===//
#pragma once

#include "runtime/core/Error.h"

#include <cstddef>
#include <string>
#include <string_view>

namespace mbc {

class JsonReader {
public:
  enum class Kind { Null, Bool, Number, String, Array, Object };

  /// `name`: what messages start with, a path. Both views must outlive the
  /// reader.
  JsonReader(std::string_view text, std::string_view name,
             unsigned maxDepth = 128)
      : text(text), name(name), maxDepth(maxDepth) {}

  /// The kind of the value that comes next; consumes only white space.
  Expected<Kind> peek();

  /// Reads an object. `readMember(std::string_view key)`, a Status, reads the
  /// value of one member; `key` is valid until it reads a string. Duplicate
  /// keys are its to find.
  template <typename Fn> Status readObject(Fn &&readMember) {
    MBC_TRY(enter('{', "an object"));
    while (true) {
      std::string_view key;
      MBC_ASSIGN(bool more, nextMember(key));
      if (!more)
        return {};
      MBC_TRY(readMember(key));
    }
  }
  /// Reads an array. `readElement()`, a Status, reads one element.
  template <typename Fn> Status readArray(Fn &&readElement) {
    MBC_TRY(enter('[', "an array"));
    while (true) {
      MBC_ASSIGN(bool more, next(']'));
      if (!more)
        return {};
      MBC_TRY(readElement());
    }
  }

  /// Decoded; valid until the next string is read.
  Expected<std::string_view> readString();
  /// The exact spelling of a number.
  Expected<std::string_view> readNumber();
  /// A number that is an integer >= 0 without fraction or exponent, at most
  /// 2^63 - 1; `what` names it in the error.
  Expected<uint64_t> readUnsigned(std::string_view what);
  Expected<bool> readBool();
  Status readNull();
  /// Checks and drops one value of any kind.
  Status skip();
  /// Nothing but white space may remain.
  Status finish();

  /// An error about the value or key that was read last: "NAME: WHAT at line L
  /// column C".
  Failure fail(std::string_view what) const { return failAt(start, what); }

private:
  Failure failAt(size_t offset, std::string_view what) const;
  Failure unexpected(std::string_view expected) const;
  void skipSpace();
  char current() const { return position < text.size() ? text[position] : 0; }
  Status enter(char open, std::string_view expected);
  Expected<bool> next(char close);
  Expected<bool> nextMember(std::string_view &key);
  Expected<std::string_view> scanString();
  Status scanEscape();
  Expected<unsigned> scanHex4();
  Status literal(std::string_view word);

  std::string_view text, name;
  unsigned maxDepth, depth = 0;
  size_t position = 0;
  /// Where the last value or key starts.
  size_t start = 0;
  /// The container was just opened, so no comma precedes its first entry.
  bool first = false;
  std::string scratch;
};

} // namespace mbc
