#include "runtime/text/template/Filters.h"

#include "runtime/core/Text.h"
#include "runtime/text/template/Access.h"
#include "runtime/text/template/Case.h"
#include "runtime/text/template/Format.h"
#include "runtime/text/template/Iteration.h"
#include "runtime/text/template/JsonText.h"
#include "runtime/text/template/Operators.h"
#include "runtime/text/template/Printing.h"
#include "runtime/text/template/Texts.h"
#include "runtime/text/template/Unicode.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fmt/format.h>

namespace mbc::text::jinja {
namespace {

/// Markup as it is, anything else as its str.
Value softText(Run &run, const Value &value) {
  return value.isStr() ? value : run.str(printed(run, value));
}

void noArguments(const Arguments &arguments, std::string_view filter) {
  bindArguments(arguments, fmt::format("the filter '{}'", filter), {});
}

template <std::string (*change)(std::string_view)>
Value cased(Run &run, const Value &self, const Arguments &arguments) {
  noArguments(arguments, "lower', 'upper' or 'capitalize");
  Value text = softText(run, self);
  return run.str(change(text.text()), text.isMarkup());
}

/// Not str.title: words start behind blanks and brackets.
Value title(Run &run, const Value &self, const Arguments &arguments) {
  noArguments(arguments, "title");
  Value text = softText(run, self);
  auto splits = [](uint32_t code) {
    return isSpace(code) || code == '-' || code == '(' || code == '{' ||
           code == '[' || code == '<';
  };
  std::string out;
  for (std::string_view rest = text.text(); !rest.empty();) {
    size_t end = 0;
    bool blank = splits(decode(rest));
    while (end < rest.size() && splits(decode(rest.substr(end))) == blank)
      end += utf8Length(rest.substr(end));
    unsigned first = utf8Length(rest);
    out += upperCase(rest.substr(0, first));
    out += lowerCase(rest.substr(first, end - first));
    rest.remove_prefix(end);
  }
  return run.str(std::move(out));
}

Value trim(Run &run, const Value &self, const Arguments &arguments) {
  auto values = bindArguments(arguments, "the filter 'trim'", {"chars"});
  Value text = softText(run, self);
  return run.str(std::string(stripped(text.text(), values[0], true, true)),
                 text.isMarkup());
}

Value replace(Run &run, const Value &self, const Arguments &arguments) {
  auto values = bindArguments(arguments, "the filter 'replace'",
                              {"old", "new", "count"}, 2);
  int64_t most = values[2].is(Kind::None)
                     ? -1
                     : integerOr(values[2], -1, "'count' of replace");
  return Value::str(replaced(run, printed(run, self), printed(run, values[0]),
                             printed(run, values[1]), most));
}

Value string(Run &run, const Value &self, const Arguments &arguments) {
  noArguments(arguments, "string");
  return softText(run, self);
}

Value safe(Run &run, const Value &self, const Arguments &arguments) {
  noArguments(arguments, "safe");
  return run.str(printed(run, self), true);
}

Value escape(Run &run, const Value &self, const Arguments &arguments) {
  noArguments(arguments, "escape");
  return self.isMarkup() ? self : run.str(escapeHtml(printed(run, self)), true);
}

Value forceEscape(Run &run, const Value &self, const Arguments &arguments) {
  noArguments(arguments, "forceescape");
  return run.str(escapeHtml(printed(run, self)), true);
}

Value center(Run &run, const Value &self, const Arguments &arguments) {
  auto values = bindArguments(arguments, "the filter 'center'", {"width"});
  Value text = softText(run, self);
  return run.str(padded(run, text.text(),
                        integerOr(values[0], 80, "'width' of center"), " ",
                        true, true),
                 text.isMarkup());
}

Value indent(Run &run, const Value &self, const Arguments &arguments) {
  auto values = bindArguments(arguments, "the filter 'indent'",
                              {"width", "first", "blank"});
  std::string text = requireText(self, "what indent indents");
  std::string indention =
      values[0].isStr()
          ? values[0].text()
          : padded(run, "", integerOr(values[0], 4, "'width' of indent"), " ",
                   false, true);
  bool blank = flagOr(values[2], false);
  text += '\n';
  std::vector<std::string_view> all = lines(text, false);
  std::string out = flagOr(values[1], false) ? indention : "";
  for (size_t i = 0; i != all.size(); ++i) {
    run.allocate(all[i].size() + indention.size() + 1);
    if (i > 0) {
      out += '\n';
      if (blank || !all[i].empty())
        out += indention;
    }
    out += all[i];
  }
  return Value::str(std::move(out), self.isMarkup());
}

Value wordCount(Run &run, const Value &self, const Arguments &arguments) {
  noArguments(arguments, "wordcount");
  Value text = softText(run, self);
  int64_t words = 0;
  bool within = false;
  for (std::string_view c : characters(text.text())) {
    bool word = c == "_" || isAlnum(decode(c));
    words += word && !within;
    within = word;
  }
  return Value::integer(words);
}

Value truncate(Run &run, const Value &self, const Arguments &arguments) {
  auto values = bindArguments(arguments, "the filter 'truncate'",
                              {"length", "killwords", "end", "leeway"});
  int64_t length = integerOr(values[0], 255, "'length' of truncate");
  std::string end =
      values[2].is(Kind::Missing) ? "..." : requireText(values[2], "'end'");
  int64_t leeway = values[3].is(Kind::None)
                       ? 5
                       : integerOr(values[3], 5, "'leeway' of truncate");
  int64_t kept = length - int64_t(codePoints(end));
  if (kept < 0 || leeway < 0)
    throw Problem{"truncate needs a length of at least that of its end"};
  std::optional<int64_t> size = lengthOf(run, self);
  if (size && *size <= length + leeway)
    return self;
  const std::string &text = requireText(self, "what truncate shortens");
  std::string head = text.substr(0, offsetOf(text, kept));
  if (!flagOr(values[1], false))
    head = head.substr(0, head.rfind(' '));
  return run.str(head + end, self.isMarkup());
}

Value format(Run &run, const Value &self, const Arguments &arguments) {
  if (!arguments.positional.empty() && !arguments.keywords.empty())
    throw Problem{"the filter 'format' takes values by place or by name, not "
                  "both"};
  Value text = softText(run, self);
  if (arguments.keywords.empty())
    return formatPercent(run, text, run.tuple(arguments.positional));
  auto dict = std::make_shared<Mapping>();
  for (const auto &[name, value] : arguments.keywords)
    dict->set(Value::str(name), value);
  return formatPercent(run, text, Value::of(Kind::Dict, std::move(dict)));
}

Value toJson(Run &run, const Value &self, const Arguments &arguments) {
  auto values =
      bindArguments(arguments, "the filter 'tojson'",
                    {"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonOptions options;
  options.asciiOnly = flagOr(values[0], false);
  options.indent = values[1];
  options.separators = values[2];
  options.sortKeys = flagOr(values[3], false);
  return Value::str(jsonText(run, self, options));
}

//===-- Numbers -----------------------------------------------------------===//

/// Digits of an int or a float: single underscores between them are left out.
std::optional<std::string> plainNumber(std::string_view text) {
  text = stripRight(stripLeft(text));
  std::string plain;
  for (size_t i = 0; i != text.size(); ++i) {
    if (text[i] & 0x80)
      throw Problem{"digits beyond ASCII are not supported in numbers"};
    if (text[i] != '_') {
      plain += text[i];
      continue;
    }
    auto alnum = [&](size_t at) {
      return at < text.size() && isAlnum(uint8_t(text[at]));
    };
    if (i == 0 || !alnum(i - 1) || !alnum(i + 1))
      return std::nullopt;
  }
  return plain;
}

std::optional<double> parseReal(std::string_view text) {
  std::optional<std::string> plain = plainNumber(text);
  if (!plain)
    return std::nullopt;
  std::string_view digits = *plain;
  bool negative = digits.starts_with('-');
  if (negative || digits.starts_with('+'))
    digits.remove_prefix(1);
  // from_chars also takes "inf(...)" and hexadecimal "nan(...)".
  if (digits.empty() || digits.find('(') != digits.npos ||
      digits.starts_with('-'))
    return std::nullopt;
  double number = 0;
  auto [end, failed] =
      std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (end != digits.data() + digits.size() ||
      failed == std::errc::invalid_argument)
    return std::nullopt;
  if (failed == std::errc::result_out_of_range)
    number = std::strtod(std::string(digits).c_str(), nullptr);
  return negative ? -number : number;
}

std::optional<Value> parseInteger(std::string_view text, int64_t base) {
  std::optional<std::string> plain = plainNumber(text);
  if (!plain)
    return std::nullopt;
  std::string_view digits = *plain;
  bool negative = digits.starts_with('-');
  if (negative || digits.starts_with('+'))
    digits.remove_prefix(1);
  if (base != 0 && (base < 2 || base > 36))
    return std::nullopt; // Python's ValueError, too
  char prefix =
      digits.size() > 1 && digits[0] == '0' ? char(digits[1] | 0x20) : 0;
  int64_t named = prefix == 'x'   ? 16
                  : prefix == 'o' ? 8
                  : prefix == 'b' ? 2
                                  : 0;
  if (named && (base == 0 || base == named)) {
    digits.remove_prefix(2);
    base = named;
  } else if (base == 0) {
    if (digits.size() > 1 && digits[0] == '0' &&
        digits.find_first_not_of('0') != digits.npos)
      return std::nullopt;
    base = 10;
  }
  std::string number = (negative ? "-" : "") + std::string(digits);
  if (digits.empty() || !isAlnum(uint8_t(digits[0])))
    return std::nullopt;
  int64_t value = 0;
  auto [end, failed] = std::from_chars(
      number.data(), number.data() + number.size(), value, int(base));
  if (end != number.data() + number.size() ||
      failed == std::errc::invalid_argument)
    return std::nullopt;
  if (failed == std::errc::result_out_of_range)
    throw Problem{fmt::format("the integer {} is beyond 64 bits", quote(text))};
  return Value::integer(value);
}

std::optional<Value> truncated(double number) {
  if (!std::isfinite(number))
    return std::nullopt;
  if (!(std::abs(number) < 9.2e18))
    throw Problem{"an integer beyond 64 bits is not supported"};
  return Value::integer(int64_t(number));
}

Value toInteger(Run &, const Value &self, const Arguments &arguments) {
  auto values =
      bindArguments(arguments, "the filter 'int'", {"default", "base"});
  int64_t base = integerOr(values[1], 10, "'base' of int");
  Value fallback = values[0].is(Kind::Missing) ? Value::integer(0) : values[0];
  if (self.is(Kind::Undefined))
    throw Problem{self.text()};
  if (self.isInteger())
    return Value::integer(self.asInt());
  if (self.is(Kind::BigInt))
    return self;
  std::optional<Value> number;
  if (self.isStr()) {
    number = parseInteger(self.text(), base);
    if (!number)
      if (std::optional<double> real = parseReal(self.text()))
        number = truncated(*real);
  } else if (self.is(Kind::Float)) {
    if (std::isinf(self.asReal()))
      throw Problem{"infinity is no integer"};
    number = truncated(self.asReal());
  }
  return number.value_or(fallback);
}

Value toReal(Run &, const Value &self, const Arguments &arguments) {
  auto values = bindArguments(arguments, "the filter 'float'", {"default"});
  if (self.is(Kind::Undefined))
    throw Problem{self.text()};
  if (self.isNumber())
    return Value::real(self.asReal());
  if (self.is(Kind::BigInt))
    return Value::real(*parseReal(self.text()));
  if (self.isStr())
    if (std::optional<double> number = parseReal(self.text()))
      return Value::real(*number);
  return values[0].is(Kind::Missing) ? Value::real(0) : values[0];
}

Value absolute(Run &, const Value &self, const Arguments &arguments) {
  noArguments(arguments, "abs");
  if (self.is(Kind::Float))
    return Value::real(std::abs(self.asReal()));
  Value number = positive(self);
  return number.isInteger() && number.asInt() < 0 ? negated(number) : number;
}

/// Correctly rounded, as CPython: through the decimal text.
double roundedReal(double number, int64_t precision) {
  if (!std::isfinite(number) || precision > 308)
    return number;
  if (precision < -308)
    return 0.0 * number;
  if (precision >= 0)
    return std::strtod(fmt::format("{:.{}f}", number, precision).c_str(),
                       nullptr);
  double scale = std::pow(10.0, double(-precision)), scaled = number / scale;
  double whole = std::nearbyint(scaled);
  return whole * scale;
}

Value round(Run &run, const Value &self, const Arguments &arguments) {
  auto values =
      bindArguments(arguments, "the filter 'round'", {"precision", "method"});
  std::string method =
      values[1].is(Kind::Missing) ? "common" : requireText(values[1], "method");
  if (method != "common" && method != "ceil" && method != "floor")
    throw Problem{fmt::format("the method of round must be 'common', 'ceil' "
                              "or 'floor', not {}",
                              quote(method))};
  if (self.is(Kind::Undefined))
    throw Problem{self.text()};
  if (self.is(Kind::BigInt) && method == "common" &&
      integerOr(values[0], 0, "'precision' of round") >= 0)
    return self;
  if (!self.isNumber())
    throw Problem{fmt::format("a {} cannot be rounded", typeName(self))};
  int64_t precision = integerOr(values[0], 0, "'precision' of round");
  if (method == "common") {
    if (self.is(Kind::Float))
      return Value::real(roundedReal(self.asReal(), precision));
    if (precision < 0)
      throw Problem{"rounding an integer to tens is not supported"};
    return Value::integer(self.asInt());
  }
  Value scale =
      binary(run, "**", Value::integer(10), Value::integer(precision));
  double scaled = binary(run, "*", self, scale).asReal();
  double whole = method == "ceil" ? std::ceil(scaled) : std::floor(scaled);
  std::optional<Value> integer = truncated(whole);
  if (!integer)
    throw Problem{"a number that is not finite cannot be rounded"};
  return binary(run, "/", *integer, scale);
}

//===-- Any value ---------------------------------------------------------===//

Value defaulted(Run &, const Value &self, const Arguments &arguments) {
  auto values = bindArguments(arguments, "the filter 'default'",
                              {"default_value", "boolean"});
  if (self.is(Kind::Undefined) || (flagOr(values[1], false) && !truthy(self)))
    return values[0].is(Kind::Missing) ? Value::str("") : values[0];
  return self;
}

Value length(Run &run, const Value &self, const Arguments &arguments) {
  noArguments(arguments, "length");
  if (std::optional<int64_t> size = lengthOf(run, self))
    return Value::integer(*size);
  throw Problem{fmt::format("a {} has no length", typeName(self))};
}

Value attribute(Run &run, const Value &self, const Arguments &arguments) {
  auto values = bindArguments(arguments, "the filter 'attr'", {"name"}, 1);
  const std::string &name = requireText(values[0], "'name' of attr");
  if (self.is(Kind::Dict) && self.mapping().find(name)) {
    // An item is no attribute.
    static const Value empty =
        Value::of(Kind::Dict, std::make_shared<Mapping>());
    return member(run, empty, name);
  }
  return member(run, self, name);
}

const std::vector<Filter> &valueFilters() {
  static const std::vector<Filter> filters = {
      {"abs", absolute},
      {"attr", attribute},
      {"capitalize", cased<capitalized>},
      {"center", center},
      {"count", length},
      {"d", defaulted},
      {"default", defaulted},
      {"e", escape},
      {"escape", escape},
      {"float", toReal},
      {"forceescape", forceEscape},
      {"format", format},
      {"indent", indent},
      {"int", toInteger},
      {"length", length},
      {"lower", cased<lowerCase>},
      {"replace", replace},
      {"round", round},
      {"safe", safe},
      {"string", string},
      {"title", title},
      {"tojson", toJson},
      {"trim", trim},
      {"truncate", truncate},
      {"upper", cased<upperCase>},
      {"wordcount", wordCount},
  };
  return filters;
}

} // namespace

const Filter *findFilter(std::string_view name) {
  for (const auto *filters : {&valueFilters(), &sequenceFilters()})
    for (const Filter &filter : *filters)
      if (filter.name == name)
        return &filter;
  return nullptr;
}

std::string unknownFilter(std::string_view name) {
  std::vector<std::string_view> names;
  for (const auto *filters : {&valueFilters(), &sequenceFilters()})
    for (const Filter &filter : *filters)
      names.push_back(filter.name);
  std::ranges::sort(names);
  return fmt::format("unknown filter {}; supported are {}", quote(name),
                     fmt::join(names, ", "));
}

} // namespace mbc::text::jinja
