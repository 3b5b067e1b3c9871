//===- ByteAlphabet.cpp ---------------------------------------------------===//
#include "runtime/text/ByteAlphabet.h"

#include "runtime/text/Unicode.h"

#include <array>

namespace mbc::text {

namespace {

struct Alphabet {
  std::array<std::string, 256> characters;
  std::array<int16_t, 0x144> bytes; ///< by character; -1: none

  Alphabet() {
    bytes.fill(-1);
    char32_t next = 0x100;
    for (unsigned byte = 0; byte < 256; ++byte) {
      bool printable = (byte >= 0x21 && byte <= 0x7E) ||
                       (byte >= 0xA1 && byte <= 0xFF && byte != 0xAD);
      char32_t character = printable ? byte : next++;
      appendUtf8(characters[byte], character);
      bytes[character] = static_cast<int16_t>(byte);
    }
  }
};

const Alphabet &alphabet() {
  static const Alphabet instance;
  return instance;
}

} // namespace

std::string_view byteCharacter(uint8_t byte) {
  return alphabet().characters[byte];
}

std::optional<uint8_t> byteOf(char32_t character) {
  const auto &bytes = alphabet().bytes;
  if (character >= bytes.size() || bytes[character] < 0)
    return std::nullopt;
  return static_cast<uint8_t>(bytes[character]);
}

std::string toByteCharacters(std::string_view bytes) {
  std::string out;
  out.reserve(2 * bytes.size());
  for (char byte : bytes)
    out += byteCharacter(static_cast<uint8_t>(byte));
  return out;
}

std::optional<std::string> fromByteCharacters(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    Character next = firstCharacter(text);
    auto byte = byteOf(next.code);
    if (!byte)
      return std::nullopt;
    out += static_cast<char>(*byte);
    text.remove_prefix(next.length);
  }
  return out;
}

} // namespace mbc::text
