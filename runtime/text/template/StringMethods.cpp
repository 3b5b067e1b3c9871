#include "runtime/core/Text.h"
#include "runtime/text/template/Case.h"
#include "runtime/text/template/Format.h"
#include "runtime/text/template/Iteration.h"
#include "runtime/text/template/Methods.h"
#include "runtime/text/template/Printing.h"
#include "runtime/text/template/Texts.h"
#include "runtime/text/template/Unicode.h"

#include <algorithm>
#include <fmt/format.h>

namespace mbc::text::jinja {
namespace {

/// A result of a method of `self`: Markup stays Markup.
Value made(Run &run, const Value &self, std::string text) {
  return run.str(std::move(text), self.isMarkup());
}

Value made(Run &run, const Value &self,
           const std::vector<std::string_view> &parts) {
  run.allocate(parts.size() * (sizeof(Value) + sizeof(Text)));
  std::vector<Value> items;
  items.reserve(parts.size());
  for (std::string_view part : parts)
    items.push_back(made(run, self, std::string(part)));
  return Value::list(std::move(items));
}

/// An argument that a method of Markup escapes.
std::string argumentText(const Value &self, const Value &argument,
                         std::string_view what) {
  const std::string &text = requireText(argument, what);
  return self.isMarkup() && !argument.isMarkup() ? escapeHtml(text) : text;
}

template <std::string (*change)(std::string_view)>
Value cased(Run &run, const Value &self, const Arguments &arguments) {
  bindPositional(arguments, "this method of a str", 0, 0);
  return made(run, self, change(self.text()));
}

template <bool (*test)(std::string_view)>
Value tested(Run &run, const Value &self, const Arguments &arguments) {
  bindPositional(arguments, "this method of a str", 0, 0);
  run.step(self.text().size() / 16);
  return Value::boolean(test(self.text()));
}

template <bool (*test)(uint32_t)> bool all(std::string_view text) {
  return !text.empty() && std::ranges::all_of(characters(text), [](auto c) {
    return test(decode(c));
  });
}
bool isAscii(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return !(c & 0x80); });
}

enum Sides { Left = 1, Right = 2, Both = 3 };

template <Sides sides>
Value strip(Run &run, const Value &self, const Arguments &arguments) {
  auto values = bindPositional(arguments, "strip()", 0, 1);
  return made(run, self,
              std::string(stripped(self.text(), values[0], sides & Left,
                                   sides & Right)));
}

template <bool fromRight>
Value split(Run &run, const Value &self, const Arguments &arguments) {
  auto values = bindArguments(arguments, "split()", {"sep", "maxsplit"});
  int64_t most = integerOr(values[1], -1, "'maxsplit'");
  bool bySpace = values[0].is(Kind::Missing) || values[0].is(Kind::None);
  std::string_view text = self.text();
  run.step(text.size() / 16);
  if (bySpace)
    return made(run, self, splitSpace(text, most, fromRight));
  const std::string &separator = requireText(values[0], "'sep' of split()");
  if (separator.empty())
    throw Problem{"the separator of split() is empty"};
  run.allocate(text.size() / separator.size() * sizeof(std::string_view));
  return made(run, self, splitText(text, separator, most, fromRight));
}

Value splitlines(Run &run, const Value &self, const Arguments &arguments) {
  auto values = bindArguments(arguments, "splitlines()", {"keepends"});
  return made(run, self, lines(self.text(), flagOr(values[0], false)));
}

template <bool fromRight>
Value partition(Run &run, const Value &self, const Arguments &arguments) {
  auto values = bindPositional(arguments, "partition()", 1, 1);
  std::string separator =
      argumentText(self, values[0], "the separator of partition()");
  if (separator.empty())
    throw Problem{"the separator of partition() is empty"};
  const std::string &text = self.text();
  size_t at = fromRight ? text.rfind(separator) : text.find(separator);
  std::string before, found, after;
  if (at != std::string::npos) {
    before = text.substr(0, at);
    found = separator;
    after = text.substr(at + separator.size());
  } else {
    (fromRight ? after : before) = text;
  }
  return run.tuple({made(run, self, before), made(run, self, found),
                    made(run, self, after)});
}

/// `text[start:stop]` of find() and others: bytes, and where they begin.
struct Window {
  std::string_view text;
  int64_t first; ///< code points before it
  bool empty;    ///< start is behind stop, or the end
};

Window window(const Value &self, const Value &start, const Value &stop) {
  std::string_view text = self.text();
  int64_t size = codePoints(text);
  auto given = [&](const Value &value, int64_t fallback) {
    if (value.is(Kind::Missing) || value.is(Kind::None))
      return fallback;
    int64_t at = integerOr(value, 0, "a bound of a text");
    return at < 0 ? std::max<int64_t>(at + size, 0) : at;
  };
  int64_t first = given(start, 0), last = std::min(given(stop, size), size);
  if (first > last)
    return {{}, first, true};
  size_t begin = offsetOf(text, first), end = offsetOf(text, last);
  return {text.substr(begin, end - begin), first, false};
}

template <bool fromRight, bool mustFind>
Value find(Run &run, const Value &self, const Arguments &arguments) {
  auto values = bindPositional(arguments, "find()", 1, 3);
  const std::string &wanted = requireText(values[0], "what find() looks for");
  run.step((self.text().size() + wanted.size()) / 16);
  Window in = window(self, values[1], values[2]);
  size_t at = in.empty    ? std::string_view::npos
              : fromRight ? in.text.rfind(wanted)
                          : in.text.find(wanted);
  if (at != std::string_view::npos)
    return Value::integer(in.first + codePoints(in.text.substr(0, at)));
  if (mustFind)
    throw Problem{
        fmt::format("index() does not find {} in the text", quote(wanted))};
  return Value::integer(-1);
}

Value count(Run &run, const Value &self, const Arguments &arguments) {
  auto values = bindPositional(arguments, "count()", 1, 3);
  const std::string &wanted = requireText(values[0], "what count() counts");
  run.step((self.text().size() + wanted.size()) / 16);
  Window in = window(self, values[1], values[2]);
  if (in.empty)
    return Value::integer(0);
  if (wanted.empty())
    return Value::integer(codePoints(in.text) + 1);
  int64_t found = 0;
  for (size_t at = in.text.find(wanted); at != std::string_view::npos;
       at = in.text.find(wanted, at + wanted.size()))
    ++found;
  return Value::integer(found);
}

template <bool atEnd>
Value starts(Run &run, const Value &self, const Arguments &arguments) {
  std::string_view method = atEnd ? "endswith()" : "startswith()";
  auto values = bindPositional(arguments, method, 1, 3);
  Window in = window(self, values[1], values[2]);
  auto one = [&](const Value &wanted) {
    const std::string &text = requireText(wanted, method);
    return !in.empty &&
           (atEnd ? in.text.ends_with(text) : in.text.starts_with(text));
  };
  if (!values[0].is(Kind::Tuple))
    return Value::boolean(one(values[0]));
  run.step(values[0].items().size());
  return Value::boolean(std::ranges::any_of(values[0].items(), one));
}

Value join(Run &run, const Value &self, const Arguments &arguments) {
  auto values = bindPositional(arguments, "join()", 1, 1);
  std::string out;
  bool first = true;
  auto source = iterate(run, values[0]);
  for (Value item; source->next(run, item); first = false) {
    std::string text = self.isMarkup() && !item.isStr()
                           ? escapeHtml(printed(run, item))
                           : argumentText(self, item, "an item of join()");
    run.allocate(text.size() + self.text().size());
    if (!first)
      out += self.text();
    out += text;
  }
  return Value::str(std::move(out), self.isMarkup());
}

Value replace(Run &run, const Value &self, const Arguments &arguments) {
  auto values = bindPositional(arguments, "replace()", 2, 3);
  std::string from = self.isMarkup()
                         ? requireText(values[0], "what replace() replaces")
                         : argumentText(self, values[0],
                                        "what replace() "
                                        "replaces");
  std::string to = argumentText(self, values[1], "what replace() puts there");
  return made(run, self,
              replaced(run, self.text(), from, to,
                       integerOr(values[2], -1, "the count of replace()")));
}

template <bool suffix>
Value remove(Run &run, const Value &self, const Arguments &arguments) {
  auto values = bindPositional(arguments, "removeprefix()", 1, 1);
  const std::string &part = requireText(values[0], "what is removed");
  std::string_view text = self.text();
  if (suffix && text.ends_with(part))
    text.remove_suffix(part.size());
  else if (!suffix && text.starts_with(part))
    text.remove_prefix(part.size());
  return made(run, self, std::string(text));
}

template <Sides sides>
Value justify(Run &run, const Value &self, const Arguments &arguments) {
  auto values = bindPositional(arguments, "a method that fills", 1, 2);
  int64_t width = integerOr(values[0], 0, "the width");
  std::string fill =
      values[1].is(Kind::Missing) ? " " : requireText(values[1], "the filling");
  if (codePoints(fill) != 1)
    throw Problem{"the filling must be one character"};
  return made(
      run, self,
      padded(run, self.text(), width, fill, sides & Left, sides & Right));
}

Value zfill(Run &run, const Value &self, const Arguments &arguments) {
  auto values = bindPositional(arguments, "zfill()", 1, 1);
  std::string_view text = self.text();
  std::string sign(
      text.substr(0, text.starts_with('+') || text.starts_with('-')));
  int64_t width = integerOr(values[0], 0, "the width of zfill()");
  text.remove_prefix(sign.size());
  return made(
      run, self,
      sign + padded(run, text, width - int64_t(sign.size()), "0", true, false));
}

Value format(Run &run, const Value &self, const Arguments &arguments) {
  return formatBraces(run, self, arguments);
}

} // namespace

const std::vector<NamedStringMethod> &stringMethods() {
  static const std::vector<NamedStringMethod> methods = {
      {"capitalize", cased<capitalized>},
      {"center", justify<Both>},
      {"count", count},
      {"endswith", starts<true>},
      {"find", find<false, false>},
      {"format", format},
      {"index", find<false, true>},
      {"isalnum", tested<all<isAlnum>>},
      {"isalpha", tested<all<isAlpha>>},
      {"isascii", tested<isAscii>},
      {"isdecimal", tested<all<isDecimal>>},
      {"isdigit", tested<all<isDigit>>},
      {"islower", tested<isLowerCase>},
      {"isspace", tested<all<isSpace>>},
      {"istitle", tested<isTitleCase>},
      {"isupper", tested<isUpperCase>},
      {"join", join},
      {"ljust", justify<Right>},
      {"lower", cased<lowerCase>},
      {"lstrip", strip<Left>},
      {"partition", partition<false>},
      {"removeprefix", remove<false>},
      {"removesuffix", remove<true>},
      {"replace", replace},
      {"rfind", find<true, false>},
      {"rindex", find<true, true>},
      {"rjust", justify<Left>},
      {"rpartition", partition<true>},
      {"rsplit", split<true>},
      {"rstrip", strip<Right>},
      {"split", split<false>},
      {"splitlines", splitlines},
      {"startswith", starts<false>},
      {"strip", strip<Both>},
      {"swapcase", cased<swappedCase>},
      {"title", cased<titleCase>},
      {"upper", cased<upperCase>},
      {"zfill", zfill},
  };
  return methods;
}

} // namespace mbc::text::jinja
