#include "runtime/text/template/Format.h"

#include "runtime/core/Text.h"
#include "runtime/text/template/Access.h"
#include "runtime/text/template/Printing.h"
#include "runtime/text/template/Texts.h"
#include "runtime/text/template/Unicode.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fmt/format.h>

namespace mbc::text::jinja {
namespace {

constexpr int64_t numberLimit = 1000;

/// Digits at the start of `text`, which it removes.
std::optional<int64_t> takeNumber(std::string_view &text) {
  int64_t number = 0;
  auto [end, failed] =
      std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || text[0] == '-' || end == text.data())
    return std::nullopt;
  if (failed != std::errc() || number > numberLimit)
    throw Problem{fmt::format("a width or precision of a format is beyond {}",
                              numberLimit)};
  text.remove_prefix(end - text.data());
  return number;
}

std::string upperAscii(std::string text) {
  for (char &c : text)
    if (c >= 'a' && c <= 'z')
      c -= 'a' - 'A';
  return text;
}

std::string realAs(char type, double number, int64_t precision,
                   bool alternate) {
  if (!std::isfinite(number))
    return type < 'a' ? upperAscii(realText(number)) : realText(number);
  const char *flags = alternate ? "%#.*" : "%.*";
  std::string format = std::string(flags) + type;
  int size = std::snprintf(nullptr, 0, format.c_str(), int(precision), number);
  std::string text(size + 1, '\0');
  std::snprintf(text.data(), text.size(), format.c_str(), int(precision),
                number);
  text.pop_back();
  return text;
}

std::string integerAs(char type, int64_t number, bool prefix) {
  uint64_t size = number < 0 ? -uint64_t(number) : uint64_t(number);
  std::string digits = type == 'x'   ? fmt::format("{:x}", size)
                       : type == 'X' ? fmt::format("{:X}", size)
                       : type == 'o' ? fmt::format("{:o}", size)
                                     : fmt::format("{}", size);
  std::string lead = number < 0 ? "-" : "";
  if (prefix && type != 'd')
    lead += std::string("0") + type;
  return lead + digits;
}

/// Puts zeros behind the sign, or the sign before.
std::string signedAs(std::string text, char sign) {
  if (!text.starts_with('-') && sign)
    text.insert(0, 1, sign);
  return text;
}

std::string zeroFilled(std::string text, int64_t width) {
  size_t lead = text.find_first_not_of("+- ");
  if (lead == std::string::npos)
    lead = text.size();
  if (text.size() >= lead + 2 && text[lead] == '0' &&
      (text[lead + 1] | 0x20) == 'x')
    lead += 2;
  if (int64_t(text.size()) < width)
    text.insert(lead, width - text.size(), '0');
  return text;
}

//===-- % -----------------------------------------------------------------===//

class Percent {
public:
  Percent(Run &run, const Value &format, const Value &values)
      : run(run), rest(format.text()), values(values),
        markup(format.isMarkup()), single(!values.is(Kind::Tuple)) {}

  Value format() {
    while (!rest.empty()) {
      size_t at = std::min(rest.find('%'), rest.size());
      put(rest.substr(0, at));
      rest.remove_prefix(at);
      if (!rest.empty()) {
        rest.remove_prefix(1);
        conversion();
      }
    }
    // What Python takes for a mapping may stay unused.
    bool mapping = values.is(Kind::Dict) || values.is(Kind::List) ||
                   values.is(Kind::Range) || values.is(Kind::Undefined);
    if (single ? !used && !mapping && !named : used < values.items().size())
      throw Problem{"a format with '%' does not use all of its values"};
    return Value::str(std::move(out), markup);
  }

private:
  void put(std::string_view text) {
    run.allocate(text.size());
    out += text;
  }

  const Value &nextValue() {
    if (single ? used == 1 : used == values.items().size())
      throw Problem{"a format with '%' has more places than values"};
    return single ? (++used, values) : values.items()[used++];
  }

  int64_t star() {
    return std::clamp(integerOr(nextValue(), 0, "'*' of a format"),
                      -numberLimit, numberLimit);
  }

  void conversion() {
    Value value;
    if (rest.starts_with('(')) {
      size_t end = rest.find(')');
      if (!values.is(Kind::Dict) || end == rest.npos)
        throw Problem{"'%(name)' of a format needs a dict"};
      std::string name(rest.substr(1, end - 1));
      const Value *found = values.mapping().find(name);
      if (!found)
        throw Problem{fmt::format("a format needs the item {}", quote(name))};
      value = *found;
      named = true;
      rest.remove_prefix(end + 1);
    }
    bool left = false, zero = false, alternate = false;
    char sign = 0;
    for (; !rest.empty(); rest.remove_prefix(1)) {
      char c = rest[0];
      if (c == '-')
        left = true;
      else if (c == '0')
        zero = true;
      else if (c == '#')
        alternate = true;
      else if (c == '+' || c == ' ')
        sign = sign == '+' ? '+' : c;
      else
        break;
    }
    auto measure = [&]() -> std::optional<int64_t> {
      if (!rest.starts_with('*'))
        return takeNumber(rest);
      rest.remove_prefix(1);
      return star();
    };
    int64_t width = measure().value_or(0);
    if (width < 0) {
      left = true;
      width = -width;
    }
    int64_t precision = -1;
    if (rest.starts_with('.')) {
      rest.remove_prefix(1);
      precision = std::max<int64_t>(measure().value_or(0), 0);
    }
    if (rest.empty())
      throw Problem{"a format ends behind '%'"};
    char type = rest[0];
    rest.remove_prefix(1);
    if (type == '%')
      return put("%");
    if (value.is(Kind::Missing))
      value = nextValue();
    bool text = type == 's' || type == 'r' || type == 'a' || type == 'c';
    std::string made = text ? textAs(type, value, precision)
                            : numberAs(type, value, precision, sign, alternate);
    if (zero && !left && !text)
      made = zeroFilled(std::move(made), width);
    if (markup && !value.isMarkup())
      made = escapeHtml(made);
    put(padded(run, made, width, " ", !left, left));
  }

  std::string textAs(char type, const Value &value, int64_t precision) {
    if (type == 'a')
      throw Problem{"'%a' of a format is not supported"};
    if (type == 'c') {
      std::string made;
      if (value.isInteger() && value.asInt() >= 0 && value.asInt() < 0x110000 &&
          (value.asInt() < 0xd800 || value.asInt() > 0xdfff))
        appendUtf8(made, value.asInt());
      else if (codePoints(requireText(value, "'%c' of a format")) == 1)
        made = value.text();
      else
        throw Problem{"'%c' of a format needs one character"};
      return made;
    }
    std::string made = type == 'r' ? repr(run, value) : printed(run, value);
    if (precision >= 0)
      made.resize(offsetOf(made, precision));
    return made;
  }

  std::string numberAs(char type, const Value &value, int64_t precision,
                       char sign, bool alternate) {
    if (value.is(Kind::Undefined))
      throw Problem{value.text()};
    if (!value.isNumber())
      throw Problem{fmt::format("'%{}' of a format needs a number, not a {}",
                                type, typeName(value))};
    if (std::string_view("eEfFgG").find(type) != std::string_view::npos)
      return signedAs(realAs(type, value.asReal(),
                             precision < 0 ? 6 : precision, alternate),
                      sign);
    if (type == 'i' || type == 'u')
      type = 'd';
    if (std::string_view("dxXo").find(type) == std::string_view::npos)
      throw Problem{fmt::format("'%{}' is no conversion of a format",
                                quote(std::string(1, type)))};
    int64_t number = 0;
    if (value.is(Kind::Float)) {
      if (type != 'd')
        throw Problem{fmt::format("'%{}' of a format needs an integer", type)};
      if (!(std::abs(value.asReal()) < 9e18))
        throw Problem{"a number of a format is beyond 64 bits"};
      number = int64_t(value.asReal());
    } else {
      number = value.asInt();
    }
    std::string made = integerAs(type, number, alternate);
    if (precision >= 0) {
      size_t lead = made.find_first_not_of("-");
      if (alternate && type != 'd')
        lead += 2;
      if (int64_t(made.size() - lead) < precision)
        made.insert(lead, precision - (made.size() - lead), '0');
    }
    return signedAs(std::move(made), sign);
  }

  Run &run;
  std::string_view rest;
  const Value &values;
  bool markup, single, named = false;
  size_t used = 0;
  std::string out;
};

//===-- str.format --------------------------------------------------------===//

class Braces {
public:
  Braces(Run &run, const Value &format, const Arguments &arguments)
      : run(run), rest(format.text()), arguments(arguments) {}

  std::string format() {
    while (!rest.empty()) {
      size_t at = std::min(rest.find_first_of("{}"), rest.size());
      put(rest.substr(0, at));
      rest.remove_prefix(at);
      if (rest.empty())
        break;
      if (rest.size() > 1 && rest[0] == rest[1]) {
        put(rest.substr(0, 1));
        rest.remove_prefix(2);
      } else if (rest[0] == '}') {
        throw Problem{"a '}' of format() closes nothing"};
      } else {
        rest.remove_prefix(1);
        field();
      }
    }
    return std::move(out);
  }

private:
  void put(std::string_view text) {
    run.allocate(text.size());
    out += text;
  }

  void field() {
    size_t end = rest.find('}');
    if (end == rest.npos)
      throw Problem{"a '{' of format() has no end"};
    std::string_view whole = rest.substr(0, end);
    if (whole.find('{') != whole.npos)
      throw Problem{"a field of format() within another is not supported"};
    rest.remove_prefix(end + 1);
    std::string_view path = whole.substr(0, whole.find_first_of("!:"));
    std::string_view tail = whole.substr(path.size());
    Value value = lookUp(path);
    bool asRepr = false, asText = false;
    if (tail.starts_with('!')) {
      char conversion = tail.size() > 1 ? tail[1] : 0;
      asRepr = conversion == 'r';
      asText = conversion == 's';
      if (!asRepr && !asText)
        throw Problem{"format() supports the conversions !r and !s alone"};
      tail.remove_prefix(2);
    }
    if (!tail.empty() && tail[0] != ':')
      throw Problem{"a field of format() has text behind its conversion"};
    if (asRepr)
      value = run.str(repr(run, value));
    else if (asText)
      value = run.str(printed(run, value));
    put(specified(value, tail.empty() ? tail : tail.substr(1)));
  }

  Value lookUp(std::string_view path) {
    std::string_view first = path.substr(0, path.find_first_of(".["));
    path.remove_prefix(first.size());
    Value value = argument(first);
    while (!path.empty()) {
      bool isItem = path[0] == '[';
      path.remove_prefix(1);
      size_t end = isItem ? path.find(']') : path.find_first_of(".[");
      end = std::min(end, path.size());
      std::string name(path.substr(0, end));
      if (name.empty())
        throw Problem{"a field of format() has an empty attribute"};
      std::string_view digits = name;
      std::optional<int64_t> index = isItem ? takeNumber(digits) : std::nullopt;
      value = !isItem ? member(run, value, name)
                      : item(run, value,
                             index && digits.empty() ? Value::integer(*index)
                                                     : Value::str(name));
      path.remove_prefix(std::min(end + isItem, path.size()));
      if (isItem && !path.empty() && path[0] != '.' && path[0] != '[')
        throw Problem{"a field of format() has text behind ']'"};
    }
    return value;
  }

  Value argument(std::string_view name) {
    std::string_view digits = name;
    std::optional<int64_t> index = takeNumber(digits);
    if (!name.empty() && !(index && digits.empty())) {
      for (const auto &[keyword, value] : arguments.keywords)
        if (keyword == name)
          return value;
      throw Problem{fmt::format("format() has no argument {}", quote(name))};
    }
    if (name.empty() ? explicitIndex : automatic > 0)
      throw Problem{"format() has places with and without numbers"};
    if (name.empty())
      index = automatic++;
    else
      explicitIndex = true;
    if (size_t(*index) >= arguments.positional.size())
      throw Problem{fmt::format("format() has no argument {}", *index)};
    return arguments.positional[*index];
  }

  std::string specified(const Value &value, std::string_view spec) {
    if (spec.empty())
      return printed(run, value);
    if (!value.isStr() && !value.isNumber())
      throw Problem{fmt::format("format() has no specifications for a {}",
                                typeName(value))};
    std::string_view whole = spec;
    auto unsupported = [&]() -> Problem {
      return {fmt::format("the specification {} of format() is not supported "
                          "for a {}",
                          quote(whole), typeName(value))};
    };
    auto isAlign = [](char c) { return c == '<' || c == '>' || c == '^'; };
    std::string fill = " ";
    char align = 0, sign = 0;
    unsigned first = utf8Length(spec);
    if (spec.size() > first && isAlign(spec[first])) {
      fill = spec.substr(0, first);
      align = spec[first];
      spec.remove_prefix(first + 1);
    } else if (isAlign(spec[0])) {
      align = spec[0];
      spec.remove_prefix(1);
    }
    if (!spec.empty() && (spec[0] == '+' || spec[0] == '-' || spec[0] == ' ')) {
      sign = spec[0] == '-' ? 0 : spec[0];
      if (value.isStr())
        throw unsupported();
      spec.remove_prefix(1);
    }
    bool zero = spec.starts_with('0');
    if (zero && (value.isStr() || align))
      throw unsupported();
    int64_t width = takeNumber(spec).value_or(0), precision = -1;
    if (spec.starts_with('.')) {
      spec.remove_prefix(1);
      std::optional<int64_t> digits = takeNumber(spec);
      if (!digits)
        throw unsupported();
      precision = *digits;
    }
    char type = spec.empty() ? (value.isStr()           ? 's'
                                : value.is(Kind::Float) ? 0
                                                        : 'd')
                             : spec[0];
    if (spec.size() > 1)
      throw unsupported();
    std::string made;
    if (value.isStr()) {
      if (type != 's')
        throw unsupported();
      made = value.text();
      if (precision >= 0)
        made.resize(offsetOf(made, precision));
    } else if (type == 'f' || type == 'e') {
      made = realAs(type, value.asReal(), precision < 0 ? 6 : precision, false);
    } else if ((type == 'd' || type == 'x' || type == 'X') &&
               value.is(Kind::Int) && precision < 0) {
      made = integerAs(type, value.asInt(), false);
    } else {
      throw unsupported();
    }
    if (!value.isStr())
      made = signedAs(std::move(made), sign);
    if (zero)
      return zeroFilled(std::move(made), width);
    if (!align)
      align = value.isStr() ? '<' : '>';
    // Unlike center(), '^' has the smaller half before the text.
    int64_t missing = width - int64_t(codePoints(made));
    int64_t before = align == '<'   ? 0
                     : align == '>' ? std::max<int64_t>(missing, 0)
                                    : std::max<int64_t>(missing, 0) / 2;
    made = padded(run, made, int64_t(codePoints(made)) + before, fill, true,
                  false);
    return padded(run, made, width, fill, false, true);
  }

  Run &run;
  std::string_view rest;
  const Arguments &arguments;
  int64_t automatic = 0;
  bool explicitIndex = false;
  std::string out;
};

} // namespace

Value formatPercent(Run &run, const Value &format, const Value &values) {
  return Percent(run, format, values).format();
}

Value formatBraces(Run &run, const Value &format, const Arguments &arguments) {
  if (format.isMarkup())
    throw Problem{"format() of a text that is marked as safe is not supported"};
  return Value::str(Braces(run, format, arguments).format());
}

} // namespace mbc::text::jinja
