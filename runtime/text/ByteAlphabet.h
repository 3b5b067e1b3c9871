//===- ByteAlphabet.h - Bytes written as visible characters -----*- C++ -*-===//
//
// GPT-2's bijection between bytes and characters: printable bytes of Latin-1
// stand for themselves, the others for U+0100 and what follows, in order.
//
//===----------------------------------------------------------------------===//
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace mbc::text {

/// The character of a byte, as UTF-8.
std::string_view byteCharacter(uint8_t byte);
/// The byte of a character; none where the character stands for none.
std::optional<uint8_t> byteOf(char32_t character);

/// Each byte replaced by its character.
std::string toByteCharacters(std::string_view bytes);
/// The bytes that a text in that alphabet stands for; none where it holds a
/// character of another one.
std::optional<std::string> fromByteCharacters(std::string_view text);

} // namespace mbc::text
