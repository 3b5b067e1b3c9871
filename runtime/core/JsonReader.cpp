//===- JsonReader.cpp - Strict JSON, one token at a time ------------------===//

#include "runtime/core/JsonReader.h"
#include "runtime/core/Text.h"

#include <charconv>
#include <fmt/format.h>

namespace mbc {

Failure JsonReader::failAt(size_t offset, std::string_view what) const {
  offset = std::min(offset, text.size());
  size_t line = 1, column = 1;
  for (size_t i = 0; i < offset; ++i) {
    if (text[i] == '\n') {
      ++line;
      column = 1;
    } else if ((static_cast<unsigned char>(text[i]) & 0xC0) != 0x80) {
      ++column; // a column is a character, not a byte
    }
  }
  return inputError(
      fmt::format("{}: {} at line {} column {}", name, what, line, column));
}

Failure JsonReader::unexpected(std::string_view expected) const {
  if (position >= text.size())
    return failAt(position, fmt::format("the JSON text ends where {} is "
                                        "expected; the file is truncated?",
                                        expected));
  if (text.substr(position).starts_with("\xEF\xBB\xBF"))
    return failAt(position, "invalid JSON: a byte order mark is not allowed");
  std::string_view rest = text.substr(position);
  for (std::string_view word : {"NaN", "Infinity", "-Infinity"})
    if (rest.starts_with(word))
      return failAt(
          position,
          fmt::format("invalid JSON: '{}' is not a JSON number", word));
  unsigned length = utf8Length(rest);
  if (length == 0)
    return failAt(position, "invalid JSON: the text is not valid UTF-8");
  return failAt(position, fmt::format("invalid JSON: expected {}, found {}",
                                      expected, quote(rest.substr(0, length))));
}

void JsonReader::skipSpace() {
  while (position < text.size()) {
    char c = text[position];
    if (c != ' ' && c != '\n' && c != '\r' && c != '\t')
      return;
    ++position;
  }
}

Expected<JsonReader::Kind> JsonReader::peek() {
  skipSpace();
  start = position;
  char c = current();
  switch (c) {
  case '{':
    return Kind::Object;
  case '[':
    return Kind::Array;
  case '"':
    return Kind::String;
  case 't':
  case 'f':
    return Kind::Bool;
  case 'n':
    return Kind::Null;
  default:
    bool infinity = text.substr(position).starts_with("-I");
    if ((c >= '0' && c <= '9') || (c == '-' && !infinity))
      return Kind::Number;
    return unexpected("a value");
  }
}

Status JsonReader::enter(char open, std::string_view expected) {
  skipSpace();
  start = position;
  if (current() != open)
    return unexpected(expected);
  if (depth == maxDepth)
    return failAt(position, fmt::format("JSON is nested deeper than {} levels",
                                        maxDepth));
  ++depth;
  ++position;
  first = true;
  return {};
}

/// Whether another entry follows, past the comma; else past the bracket.
Expected<bool> JsonReader::next(char close) {
  skipSpace();
  if (current() == close) {
    ++position;
    --depth;
    first = false;
    return false;
  }
  if (!first) {
    if (current() != ',')
      return unexpected(fmt::format("',' or '{}'", close));
    ++position;
    skipSpace();
  }
  first = false;
  return true;
}

/// True and the key, or false after the closing brace.
Expected<bool> JsonReader::nextMember(std::string_view &key) {
  MBC_ASSIGN(bool more, next('}'));
  if (!more)
    return false;
  if (current() != '"')
    return unexpected("a key in double quotes");
  MBC_ASSIGN(key, scanString());
  skipSpace();
  if (current() != ':')
    return unexpected("':'");
  ++position;
  return true;
}

Expected<std::string_view> JsonReader::readString() {
  skipSpace();
  if (current() != '"') {
    start = position;
    return unexpected("a string");
  }
  return scanString();
}

Expected<std::string_view> JsonReader::scanString() {
  start = position++;
  size_t begin = position;
  bool escaped = false;
  while (position < text.size()) {
    auto c = static_cast<unsigned char>(text[position]);
    if (c == '"') {
      std::string_view rest = text.substr(begin, position++ - begin);
      if (!escaped)
        return rest;
      scratch += rest;
      return std::string_view(scratch);
    }
    if (c < 0x20)
      return failAt(position,
                    fmt::format("invalid JSON: control character \\x{:02x} in "
                                "a string; expected an escape",
                                c));
    if (c >= 0x80) {
      unsigned length = utf8Length(text.substr(position));
      if (length == 0)
        return failAt(position,
                      "invalid JSON: a string that is not valid UTF-8");
      position += length;
      continue;
    }
    if (c != '\\') {
      ++position;
      continue;
    }
    if (!escaped)
      scratch.clear();
    escaped = true;
    scratch += text.substr(begin, position - begin);
    MBC_TRY(scanEscape());
    begin = position;
  }
  return failAt(start, "the JSON text ends inside the string; the file is "
                       "truncated? it starts");
}

Expected<unsigned> JsonReader::scanHex4() {
  unsigned value = 0;
  for (size_t i = 0; i < 4; ++i) {
    static constexpr std::string_view digits = "0123456789abcdef";
    char c = position + i < text.size() ? text[position + i] : ' ';
    size_t digit = digits.find(c >= 'A' && c <= 'F' ? char(c + 32) : c);
    if (digit == std::string_view::npos)
      return failAt(position, "invalid JSON: expected four hexadecimal digits "
                              "after '\\u'");
    value = value * 16 + static_cast<unsigned>(digit);
  }
  position += 4;
  return value;
}

/// Appends what the escape sequence at the backslash stands for.
Status JsonReader::scanEscape() {
  size_t at = position++;
  char c = current();
  static constexpr std::string_view names = "\"\\/bfnrt";
  static constexpr std::string_view values = "\"\\/\b\f\n\r\t";
  if (size_t i = names.find(c); c != 0 && i != std::string_view::npos) {
    ++position;
    scratch += values[i];
    return {};
  }
  if (c != 'u')
    return failAt(at, "invalid JSON: unknown escape sequence in a string");
  ++position;
  MBC_ASSIGN(unsigned code, scanHex4());
  if (code >= 0xD800 && code < 0xE000) {
    bool paired = code < 0xDC00 && text.substr(position).starts_with("\\u");
    unsigned low = 0;
    if (paired) {
      position += 2;
      MBC_ASSIGN(low, scanHex4());
    }
    if (low < 0xDC00 || low > 0xDFFF)
      return failAt(at, "invalid JSON: half of a surrogate pair in a string");
    code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
  }
  appendUtf8(scratch, code);
  return {};
}

Expected<std::string_view> JsonReader::readNumber() {
  skipSpace();
  start = position;
  auto isDigit = [&] { return current() >= '0' && current() <= '9'; };
  auto digits = [&] {
    size_t begin = position;
    while (isDigit())
      ++position;
    return position > begin;
  };
  if (!isDigit() && current() != '-')
    return unexpected("a number");
  if (current() == '-')
    ++position;
  if (!isDigit()) {
    if (text.substr(position).starts_with("Infinity"))
      position = start; // for a message about the whole of "-Infinity"
    return unexpected("a digit");
  }
  if (current() == '0') {
    ++position;
    if (isDigit())
      return failAt(start, "invalid JSON: a number with a leading zero");
  } else {
    digits();
  }
  if (current() == '.') {
    ++position;
    if (!digits())
      return unexpected("a digit");
  }
  if (current() == 'e' || current() == 'E') {
    ++position;
    if (current() == '+' || current() == '-')
      ++position;
    if (!digits())
      return unexpected("a digit");
  }
  return text.substr(start, position - start);
}

Expected<uint64_t> JsonReader::readUnsigned(std::string_view what) {
  MBC_ASSIGN(Kind kind, peek());
  if (kind != Kind::Number)
    return fail(fmt::format("{} is not an integer", what));
  MBC_ASSIGN(std::string_view raw, readNumber());
  int64_t value = 0;
  auto [stop, error] =
      std::from_chars(raw.data(), raw.data() + raw.size(), value);
  if (error == std::errc::result_out_of_range)
    return fail(fmt::format("{} is {}, beyond 2^63 - 1", what, raw));
  if (stop != raw.data() + raw.size() || value < 0 || raw[0] == '-')
    return fail(
        fmt::format("{} is {}; expected an integer, not negative", what, raw));
  return static_cast<uint64_t>(value);
}

Status JsonReader::literal(std::string_view word) {
  skipSpace();
  start = position;
  if (!text.substr(position).starts_with(word))
    return unexpected(word);
  position += word.size();
  return {};
}

Expected<bool> JsonReader::readBool() {
  skipSpace();
  bool value = current() == 't';
  MBC_TRY(literal(value ? "true" : "false"));
  return value;
}

Status JsonReader::readNull() { return literal("null"); }

Status JsonReader::skip() {
  MBC_ASSIGN(Kind kind, peek());
  switch (kind) {
  case Kind::Null:
    return readNull();
  case Kind::Bool:
    return readBool().map([](bool) {});
  case Kind::Number:
    return readNumber().map([](std::string_view) {});
  case Kind::String:
    return readString().map([](std::string_view) {});
  case Kind::Array:
    return readArray([&] { return skip(); });
  case Kind::Object:
    return readObject([&](std::string_view) { return skip(); });
  }
  return {};
}

Status JsonReader::finish() {
  skipSpace();
  if (position == text.size())
    return {};
  start = position;
  return unexpected("the end of the text");
}

} // namespace mbc
