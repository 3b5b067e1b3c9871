//===- Text.h - Names and quantities in messages; UTF-8 ---------*- C++ -*-===//
#pragma once

#include "runtime/core/Error.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace mbc {

/// 'name', for messages: control characters and invalid UTF-8 are escaped
/// (a name comes from a file and may hold anything), long names are shortened.
std::string quote(std::string_view name);

/// "17 bytes", "1.50 GB": decimal units, three digits.
std::string sizeText(uint64_t bytes);

/// Parses a size: a number and an optional unit, of KB, MB, GB, TB (powers of
/// 1000) or KiB, MiB, GiB, TiB (powers of 1024), in any case; no unit or B is
/// bytes. The result must be a whole, positive number of bytes.
Expected<uint64_t> parseByteSize(std::string_view text);

/// Length of the UTF-8 sequence at the start of `text` (1 to 4), or 0 when the
/// bytes are not valid UTF-8 (overlong, surrogate or beyond U+10FFFF included).
unsigned utf8Length(std::string_view text);

/// How many bytes at the start of `text` are valid UTF-8; its size if all are.
size_t utf8Prefix(std::string_view text);

/// A character, and how many bytes it has in UTF-8.
struct Character {
  char32_t code;
  unsigned length;
};
/// The one at the start of `text`, which is valid UTF-8 and not empty.
Character firstCharacter(std::string_view text);
/// `code`: up to U+10FFFF.
void appendUtf8(std::string &out, char32_t code);

} // namespace mbc
