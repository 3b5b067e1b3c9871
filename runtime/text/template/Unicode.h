//===- Unicode.h - Characters as Python sees them ---------------*- C++ -*-===//
//
// Over valid UTF-8. Positions and lengths of texts count code points.
//
//===----------------------------------------------------------------------===//
#pragma once

#include "runtime/core/Text.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace mbc::text::jinja {

/// The first code point of `text`, which is not empty.
inline uint32_t decode(std::string_view text) {
  return firstCharacter(text).code;
}
size_t codePoints(std::string_view text);
/// The offset of code point `index`, at most the size.
size_t offsetOf(std::string_view text, size_t index);
/// One text a code point.
std::vector<std::string_view> characters(std::string_view text);

/// str.isspace of one character.
bool isSpace(uint32_t code);
/// Bytes of the white space at the start of `text`; 0: there is none.
size_t spaceLength(std::string_view text);
std::string_view stripLeft(std::string_view text);
std::string_view stripRight(std::string_view text);
/// At the ends, the characters of `set`.
std::string_view stripLeft(std::string_view text, std::string_view set);
std::string_view stripRight(std::string_view text, std::string_view set);

bool isAlpha(uint32_t code);
bool isDecimal(uint32_t code);
bool isDigit(uint32_t code);
/// isAlpha, isDecimal, isDigit or isNumeric of Python.
bool isAlnum(uint32_t code);
/// Lu, Ll or Lt; Python's istitle and isupper look at these.
bool isUpper(uint32_t code);
bool isLower(uint32_t code);
bool isTitle(uint32_t code);
/// repr shows it as it is.
bool isPrintable(uint32_t code);

} // namespace mbc::text::jinja
