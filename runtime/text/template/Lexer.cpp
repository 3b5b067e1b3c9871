#include "runtime/text/template/Lexer.h"

#include "runtime/core/Text.h"
#include "runtime/text/template/Unicode.h"

#include <charconv>
#include <fmt/format.h>

namespace mbc::text::jinja {
namespace {

bool asciiDigit(char c) { return c >= '0' && c <= '9'; }
bool isHexDigit(char c) {
  return asciiDigit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/// "\r\n" and "\r" become "\n"; the last newline goes.
std::string withPlainNewlines(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (size_t i = 0; i != source.size(); ++i) {
    if (source[i] != '\r')
      out += source[i];
    else if (i + 1 == source.size() || source[i + 1] != '\n')
      out += '\n';
  }
  if (out.ends_with('\n'))
    out.pop_back();
  return out;
}

class Lexer {
public:
  explicit Lexer(std::string_view text) : source(withPlainNewlines(text)) {}

  std::vector<Token> run() {
    while (root())
      ;
    tokens.push_back({Token::Type::End, place(source.size()), "", {}});
    return std::move(tokens);
  }

private:
  using Type = Token::Type;

  bool at(std::string_view text, size_t where) const {
    return source.compare(where, text.size(), text) == 0;
  }
  char peek(size_t where) const {
    return where < source.size() ? source[where] : '\0';
  }
  Place place(size_t offset) {
    // Offsets come in rising order, but for errors.
    if (offset < placed) {
      placed = 0;
      last = {};
    }
    for (; placed < offset; ++placed) {
      if (source[placed] == '\n') {
        ++last.line;
        last.column = 1;
      } else if ((source[placed] & 0xc0) != 0x80) {
        ++last.column;
      }
    }
    return last;
  }
  [[noreturn]] void fail(size_t offset, std::string message) {
    throw SyntaxProblem{place(offset), std::move(message)};
  }
  void push(Type type, size_t offset, std::string text, Value number = {}) {
    tokens.push_back({type, place(offset), std::move(text), std::move(number)});
  }
  size_t pastSpace(size_t where) const {
    while (size_t length = spaceLength(std::string_view(source).substr(where)))
      where += length;
    return where;
  }

  /// Of a tag's end at `where`, with or without its sign: where the text goes
  /// on; 0 when there is none.
  size_t pastEnd(std::string_view end, size_t where, bool trims) const {
    if (peek(where) == '-' && at(end, where + 1))
      return pastSpace(where + 1 + end.size());
    if (trims && peek(where) == '+' && at(end, where + 1))
      return where + 1 + end.size();
    if (!at(end, where))
      return 0;
    where += end.size();
    return trims && peek(where) == '\n' ? where + 1 : where;
  }

  /// Of "{% raw %}" at `where`: where the raw text starts; 0 when it is none.
  size_t pastRawBegin(size_t where) const {
    where += 2;
    if (peek(where) == '-' || peek(where) == '+')
      ++where;
    where = pastSpace(where);
    if (!at("raw", where))
      return 0;
    where = pastSpace(where + 3);
    if (at("-%}", where))
      return pastSpace(where + 3);
    return at("%}", where) ? where + 2 : 0;
  }

  /// The text up to a tag whose sign is `sign`.
  void pushData(size_t begin, size_t end, char sign, bool variable) {
    std::string_view text = std::string_view(source).substr(begin, end - begin);
    if (sign == '-') {
      text = stripRight(text);
    } else if (sign != '+' && !variable) {
      size_t line = text.rfind('\n') + 1; // npos + 1 is 0
      if ((line > 0 || lineStarting) && line < text.size() &&
          stripRight(text.substr(line)).empty())
        text = text.substr(0, line);
    }
    if (!text.empty())
      push(Type::Data, begin, std::string(text));
  }

  void moveTo(size_t where) {
    position = where;
    lineStarting = where > 0 && source[where - 1] == '\n';
  }

  bool root() {
    size_t tag = position;
    while (true) {
      tag = source.find('{', tag);
      if (tag == std::string::npos) {
        if (position != source.size())
          push(Type::Data, position, source.substr(position));
        return false;
      }
      char kind = peek(tag + 1);
      if (kind == '%' || kind == '{' || kind == '#')
        break;
      ++tag;
    }
    char kind = peek(tag + 1), sign = peek(tag + 2);
    if (sign != '-' && sign != '+')
      sign = 0;
    if (size_t raw = kind == '%' ? pastRawBegin(tag) : 0) {
      pushData(position, tag, sign, false);
      moveTo(raw);
      rawText(tag);
      return true;
    }
    pushData(position, tag, sign, kind == '{');
    size_t inside = tag + 2 + (sign ? 1 : 0);
    if (kind == '#') {
      comment(tag, inside);
      return true;
    }
    push(kind == '%' ? Type::BlockBegin : Type::VariableBegin, tag,
         kind == '%' ? "{%" : "{{");
    moveTo(inside);
    code(kind == '%');
    return true;
  }

  void comment(size_t tag, size_t inside) {
    for (size_t where = inside; where < source.size(); ++where)
      if (size_t past = pastEnd("#}", where, true))
        return moveTo(past);
    fail(tag, "the comment '{#' has no end '#}'");
  }

  void rawText(size_t tag) {
    for (size_t where = source.find("{%", position); where != std::string::npos;
         where = source.find("{%", where + 1)) {
      size_t word = where + 2;
      char sign = peek(word);
      if (sign == '-' || sign == '+')
        ++word;
      word = pastSpace(word);
      if (!at("endraw", word))
        continue;
      if (size_t past = pastEnd("%}", pastSpace(word + 6), true)) {
        pushData(position, where, sign, false);
        return moveTo(past);
      }
    }
    fail(tag, "'{% raw %}' has no '{% endraw %}'");
  }

  /// Inside of a block, else of a variable, up to its end.
  void code(bool block) {
    std::string open;
    while (true) {
      if (position >= source.size())
        return; // the parser misses the end
      if (open.empty()) {
        std::string_view end = block ? "%}" : "}}";
        if (size_t past = pastEnd(end, position, block)) {
          push(block ? Type::BlockEnd : Type::VariableEnd, position,
               std::string(end));
          return moveTo(past);
        }
      }
      if (size_t past = pastSpace(position); past != position) {
        moveTo(past);
        continue;
      }
      token(open);
    }
  }

  void token(std::string &open) {
    size_t start = position;
    if (number() || name())
      return;
    char c = source[start];
    if (c == '\'' || c == '"')
      return string(c);
    static constexpr std::string_view operators[] = {
        "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[",
        "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ",", ";"};
    for (std::string_view op : operators) {
      if (!at(op, start))
        continue;
      balance(open, c);
      push(Type::Operator, start, std::string(op));
      return moveTo(start + op.size());
    }
    unsigned length = utf8Length(std::string_view(source).substr(start));
    fail(start, fmt::format("{} has no meaning in a template",
                            quote(source.substr(start, length))));
  }

  void balance(std::string &open, char c) {
    if (c == '{' || c == '(' || c == '[') {
      open += c == '{' ? '}' : c == '(' ? ')' : ']';
    } else if (c == '}' || c == ')' || c == ']') {
      if (open.empty())
        fail(position, fmt::format("'{}' closes nothing", c));
      if (open.back() != c)
        fail(position, fmt::format("expected '{}', got '{}'", open.back(), c));
      open.pop_back();
    }
  }

  /// Past digits, between which single underscores may be; `where` when there
  /// is none.
  template <typename Fn> size_t pastDigits(size_t where, Fn isOne) const {
    if (!isOne(peek(where)))
      return where;
    while (true) {
      if (isOne(peek(where)))
        ++where;
      else if (peek(where) == '_' && isOne(peek(where + 1)))
        where += 2;
      else
        return where;
    }
  }

  bool number() {
    size_t start = position;
    if (!asciiDigit(source[start]))
      return false;
    if (size_t end = pastFloat(start)) {
      std::string text = digitsOf(start, end);
      push(Type::Float, start, text,
           Value::real(std::strtod(text.c_str(), nullptr)));
      moveTo(end);
      return true;
    }
    int base = 10;
    size_t digits = start, end = start;
    char prefix = source[start] == '0' ? peek(start + 1) | 0x20 : 0;
    if (prefix == 'b' || prefix == 'o' || prefix == 'x') {
      base = prefix == 'b' ? 2 : prefix == 'o' ? 8 : 16;
      digits = start + 2;
      if (peek(digits) == '_')
        ++digits;
      end = pastDigits(digits, [&](char c) {
        return base == 16 ? isHexDigit(c) : asciiDigit(c) && c - '0' < base;
      });
    }
    if (end <= digits || base == 10) {
      base = 10;
      digits = start;
      end = source[start] == '0'
                ? pastDigits(start, [](char c) { return c == '0'; })
                : pastDigits(start, asciiDigit);
    }
    std::string text = digitsOf(digits, end);
    int64_t value = 0;
    auto parsed =
        std::from_chars(text.data(), text.data() + text.size(), value, base);
    if (parsed.ec != std::errc() && base != 10)
      fail(start, "the integer is beyond 64 bits");
    push(Type::Integer, start, text,
         parsed.ec == std::errc() ? Value::integer(value)
                                  : Value::bigInt(text));
    moveTo(end);
    return true;
  }

  /// 0 when there is no float.
  size_t pastFloat(size_t start) const {
    if (start > 0 && source[start - 1] == '.')
      return 0;
    size_t end = pastDigits(start, asciiDigit);
    bool fraction = false;
    if (peek(end) == '.' && asciiDigit(peek(end + 1))) {
      end = pastDigits(end + 1, asciiDigit);
      fraction = true;
    }
    if ((peek(end) | 0x20) == 'e') {
      size_t exponent = end + 1;
      if (peek(exponent) == '+' || peek(exponent) == '-')
        ++exponent;
      if (asciiDigit(peek(exponent)))
        return pastDigits(exponent, asciiDigit);
    }
    return fraction ? end : 0;
  }

  std::string digitsOf(size_t begin, size_t end) const {
    std::string text = source.substr(begin, end - begin);
    std::erase(text, '_');
    return text;
  }

  bool name() {
    size_t end = position;
    while (end < source.size()) {
      char c = source[end];
      if (asciiDigit(c) || c == '_' ||
          ((c | 0x20) >= 'a' && (c | 0x20) <= 'z')) {
        ++end;
        continue;
      }
      std::string_view rest = std::string_view(source).substr(end);
      if (!(c & 0x80) || !isAlpha(decode(rest)))
        break;
      end += utf8Length(rest);
    }
    if (end == position)
      return false;
    push(Type::Name, position, source.substr(position, end - position));
    moveTo(end);
    return true;
  }

  void string(char delimiter) {
    size_t start = position, end = start + 1;
    while (end < source.size() && source[end] != delimiter)
      end += source[end] == '\\' ? 2 : 1;
    if (end >= source.size())
      fail(start, "the string has no end");
    push(Type::String, start,
         unescape(start, source.substr(start + 1, end - start - 1)));
    moveTo(end + 1);
  }

  /// What Python's unicode-escape reads, after what is not ASCII has become
  /// escapes, too, as Jinja has it.
  std::string unescape(size_t offset, std::string_view text) {
    if (text.find('\\') == std::string_view::npos)
      return std::string(text);
    std::string ascii;
    for (size_t i = 0; i < text.size();) {
      unsigned length = utf8Length(text.substr(i));
      uint32_t code = decode(text.substr(i));
      if (length == 1)
        ascii += text[i];
      else
        ascii += code < 0x100     ? fmt::format("\\x{:02x}", code)
                 : code < 0x10000 ? fmt::format("\\u{:04x}", code)
                                  : fmt::format("\\U{:08x}", code);
      i += length;
    }
    std::string out;
    for (size_t i = 0; i < ascii.size();) {
      if (ascii[i] != '\\')
        out += ascii[i++];
      else
        i = escape(offset, ascii, i + 1, out);
    }
    return out;
  }

  size_t escape(size_t offset, std::string_view text, size_t i,
                std::string &out) {
    char c = text[i++];
    static constexpr std::string_view plain = "\\'\"abfnrtv",
                                      meaning = "\\'\"\a\b\f\n\r\t\v";
    if (c == '\n')
      return i;
    if (size_t index = plain.find(c); index != std::string_view::npos) {
      out += meaning[index];
      return i;
    }
    if (c >= '0' && c <= '7') {
      uint32_t code = c - '0';
      for (int n = 1;
           n != 3 && i < text.size() && text[i] >= '0' && text[i] <= '7'; ++n)
        code = code * 8 + (text[i++] - '0');
      appendUtf8(out, code);
      return i;
    }
    unsigned digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    if (c == 'N')
      fail(offset, "'\\N{...}' is not supported in a string");
    if (!digits) {
      out += '\\';
      out += c;
      return i;
    }
    uint32_t code = 0;
    for (unsigned n = 0; n != digits; ++n, ++i) {
      if (i >= text.size() || !isHexDigit(text[i]))
        fail(offset, fmt::format("'\\{}' in a string needs {} hexadecimal "
                                 "digits",
                                 c, digits));
      code = code * 16 + (asciiDigit(text[i]) ? text[i] - '0'
                                              : (text[i] | 0x20) - 'a' + 10);
    }
    if (code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
      fail(offset, fmt::format("U+{:04X} in a string is no character", code));
    appendUtf8(out, code);
    return i;
  }

  std::string source;
  size_t position = 0;
  bool lineStarting = true;
  std::vector<Token> tokens;
  size_t placed = 0;
  Place last;
};

} // namespace

std::string describe(const Token &token) {
  switch (token.type) {
  case Token::Type::End:
    return "the end of the template";
  case Token::Type::Data:
    return "text";
  case Token::Type::String:
    return "a string";
  default:
    return quote(token.text);
  }
}

std::vector<Token> tokenize(std::string_view source) {
  return Lexer(source).run();
}

} // namespace mbc::text::jinja
