//===- Unicode.h - UTF-8 and properties of characters -----------*- C++ -*-===//
#pragma once

#include "runtime/core/Text.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace mbc::text {

/// The text itself where it is well-formed UTF-8. Else a copy in `storage`,
/// each longest start of a character that does not go on being one U+FFFD: as
/// Python decodes with errors="replace".
std::string_view replaceMalformed(std::string_view text, std::string &storage);

/// Appends `bytes` to `out` as replaceMalformed reads them. With `more`, what
/// may be the start of a character that is not complete stays: the number of
/// bytes at the end that were left.
size_t appendReplaced(std::string &out, std::string_view bytes, bool more);

/// The character at the end of well-formed text, which is not empty.
Character lastCharacter(std::string_view text);

/// White_Space of Unicode.
bool isWhiteSpace(char32_t code);
/// What `\w` is by UTS 18: letters, marks, decimal digits, connectors and
/// joiners.
bool isWordCharacter(char32_t code);
bool isNonspacingMark(char32_t code);

enum class NormalForm { C, D, KC, KD };
/// Well-formed `text` in a normal form. The view is of `storage`, or of `text`
/// where nothing changes.
std::string_view normalized(std::string_view text, NormalForm form,
                            std::string &storage);
/// Character by character, without regard to language or position.
std::string lowercase(std::string_view text);

} // namespace mbc::text
