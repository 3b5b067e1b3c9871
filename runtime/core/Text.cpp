//===- Text.cpp - Names and quantities in messages ------------------------===//

#include "runtime/core/Text.h"

#include <fmt/format.h>
#include <limits>

namespace mbc {

unsigned utf8Length(std::string_view text) {
  if (text.empty())
    return 0;
  auto at = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  unsigned char lead = at(0);
  if (lead < 0x80)
    return 1;
  unsigned length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < length)
    return 0;
  for (unsigned i = 1; i < length; ++i)
    if ((at(i) & 0xC0) != 0x80)
      return 0;
  // The second byte rules out overlong forms, surrogates and > U+10FFFF.
  if ((lead == 0xE0 && at(1) < 0xA0) || (lead == 0xED && at(1) > 0x9F) ||
      (lead == 0xF0 && at(1) < 0x90) || (lead == 0xF4 && at(1) > 0x8F))
    return 0;
  return length;
}

size_t utf8Prefix(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    uint64_t word;
    if (text.size() - at >= sizeof word) {
      std::memcpy(&word, text.data() + at, sizeof word);
      if (!(word & 0x8080808080808080u)) {
        at += sizeof word;
        continue;
      }
    }
    unsigned length = utf8Length(text.substr(at, 4));
    if (!length)
      return at;
    at += length;
  }
  return at;
}

Character firstCharacter(std::string_view text) {
  auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  auto rest = [&](size_t i) { return char32_t(byte(i) & 0x3F); };
  uint8_t lead = byte(0);
  if (lead < 0x80)
    return {lead, 1};
  if (lead < 0xE0)
    return {char32_t(lead & 0x1F) << 6 | rest(1), 2};
  if (lead < 0xF0)
    return {char32_t(lead & 0x0F) << 12 | rest(1) << 6 | rest(2), 3};
  return {char32_t(lead & 7) << 18 | rest(1) << 12 | rest(2) << 6 | rest(3), 4};
}

void appendUtf8(std::string &out, char32_t code) {
  auto put = [&](char32_t byte) { out += static_cast<char>(byte); };
  auto putRest = [&](unsigned shift) { put(0x80 | (code >> shift & 0x3F)); };
  if (code < 0x80) {
    put(code);
    return;
  }
  if (code < 0x800) {
    put(0xC0 | code >> 6);
  } else {
    if (code < 0x10000) {
      put(0xE0 | code >> 12);
    } else {
      put(0xF0 | code >> 18);
      putRest(12);
    }
    putRest(6);
  }
  putRest(0);
}

std::string quote(std::string_view name) {
  constexpr size_t limit = 200;
  std::string out = "'";
  while (!name.empty()) {
    if (out.size() > limit) {
      out += "...";
      break;
    }
    unsigned length = utf8Length(name);
    auto first = static_cast<unsigned char>(name[0]);
    // U+0080..U+009F are control characters too.
    bool control = first < 0x20 || first == 0x7F ||
                   (length == 2 && first == 0xC2 &&
                    static_cast<unsigned char>(name[1]) < 0xA0);
    if (length == 0 || control) {
      out += fmt::format("\\x{:02x}", first);
      name.remove_prefix(1);
      continue;
    }
    out += name.substr(0, length);
    name.remove_prefix(length);
  }
  return out + "'";
}

std::string sizeText(uint64_t bytes) {
  if (bytes < 1000)
    return fmt::format("{} byte{}", bytes, bytes == 1 ? "" : "s");
  static constexpr const char *units[] = {"kB", "MB", "GB", "TB", "PB", "EB"};
  double value = static_cast<double>(bytes);
  const char *unit = "";
  for (const char *next : units) {
    value /= 1000;
    unit = next;
    if (value < 999.5)
      break;
  }
  int digits = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
  return fmt::format("{:.{}f} {}", value, digits, unit);
}

static char lower(char c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; }

/// Bytes of one unit ("gb", "gib", "b", ""), or 0.
static uint64_t unitBytes(std::string_view unit) {
  std::string name;
  for (char c : unit)
    name += lower(c);
  if (name.empty() || name == "b")
    return 1;
  static constexpr std::string_view prefixes = "kmgt";
  size_t power = prefixes.find(name[0]);
  if (power == std::string_view::npos)
    return 0;
  uint64_t base = name.substr(1) == "b"    ? 1000
                  : name.substr(1) == "ib" ? 1024
                                           : 0;
  uint64_t bytes = base;
  for (; power > 0; --power)
    bytes *= base;
  return bytes;
}

Expected<uint64_t> parseByteSize(std::string_view text) {
  auto bad = [&](std::string_view why) {
    return inputError(fmt::format("size {} {}; expected a number and a unit, "
                                  "like 5GB, 500MB or 1GiB",
                                  quote(text), why));
  };
  auto isDigit = [](char c) { return c >= '0' && c <= '9'; };
  constexpr uint64_t most = std::numeric_limits<int64_t>::max();
  // The number as an integer `digits` over a power of ten.
  uint64_t digits = 0, scale = 1;
  size_t i = 0;
  bool fraction = false;
  for (; i < text.size() && (isDigit(text[i]) || text[i] == '.'); ++i) {
    if (text[i] == '.') {
      if (fraction || i == 0 || i + 1 >= text.size() || !isDigit(text[i + 1]))
        return bad("is not a number");
      fraction = true;
      continue;
    }
    if (digits > most / 10 - 1 || scale > most / 10)
      return bad("is too large");
    digits = digits * 10 + static_cast<uint64_t>(text[i] - '0');
    if (fraction)
      scale *= 10;
  }
  if (i == 0)
    return bad("is not a number");
  std::string_view unit = text.substr(i);
  while (!unit.empty() && unit.front() == ' ')
    unit.remove_prefix(1);
  uint64_t factor = unitBytes(unit);
  if (factor == 0)
    return bad(fmt::format("has an unknown unit {}", quote(unit)));
  auto bytes = static_cast<unsigned __int128>(digits) * factor;
  if (bytes % scale != 0)
    return bad("is not a whole number of bytes");
  bytes /= scale;
  if (bytes > most)
    return bad("is too large");
  if (bytes == 0)
    return bad("is zero");
  return static_cast<uint64_t>(bytes);
}

} // namespace mbc
