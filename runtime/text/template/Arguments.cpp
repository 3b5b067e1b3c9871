#include "runtime/text/template/Arguments.h"

#include "runtime/core/Text.h"

#include <algorithm>
#include <fmt/format.h>

namespace mbc::text::jinja {

Value Arguments::takeKeyword(std::string_view name) {
  auto found =
      std::ranges::find(keywords, name, &std::pair<std::string, Value>::first);
  if (found == keywords.end())
    return {};
  Value value = std::move(found->second);
  keywords.erase(found);
  return value;
}

std::vector<Value> bindArguments(const Arguments &arguments,
                                 std::string_view function,
                                 std::initializer_list<std::string_view> names,
                                 size_t required) {
  if (arguments.positional.size() > names.size())
    throw Problem{fmt::format("{} takes at most {} arguments, got {}", function,
                              names.size(), arguments.positional.size())};
  std::vector<Value> values = arguments.positional;
  values.resize(names.size());
  for (const auto &[name, value] : arguments.keywords) {
    size_t index = std::ranges::find(names, name) - names.begin();
    if (index == names.size())
      throw Problem{fmt::format(
          "{} has no argument {}; expected {}", function, quote(name),
          names.size() ? fmt::format("'{}'", fmt::join(names, "', '"))
                       : "none")};
    if (!values[index].is(Kind::Missing))
      throw Problem{
          fmt::format("{} got two values for {}", function, quote(name))};
    values[index] = value;
  }
  for (size_t i = 0; i != required; ++i)
    if (values[i].is(Kind::Missing))
      throw Problem{fmt::format("{} needs the argument {}", function,
                                quote(names.begin()[i]))};
  return values;
}

std::vector<Value> bindPositional(const Arguments &arguments,
                                  std::string_view function, size_t least,
                                  size_t most) {
  if (!arguments.keywords.empty())
    throw Problem{fmt::format("{} takes no argument by name, got {}", function,
                              quote(arguments.keywords[0].first))};
  size_t count = arguments.positional.size();
  if (count < least || count > most)
    throw Problem{fmt::format("{} takes {} arguments, got {}", function,
                              least == most
                                  ? fmt::format("{}", least)
                                  : fmt::format("{} to {}", least, most),
                              count)};
  std::vector<Value> values = arguments.positional;
  values.resize(most);
  return values;
}

int64_t integerOr(const Value &value, int64_t fallback, std::string_view what) {
  if (value.is(Kind::Missing))
    return fallback;
  if (value.is(Kind::Undefined))
    throw Problem{value.text()};
  if (!value.isInteger())
    throw Problem{
        fmt::format("{} must be an integer, not a {}", what, typeName(value))};
  return value.asInt();
}

bool flagOr(const Value &value, bool fallback) {
  return value.is(Kind::Missing) ? fallback : truthy(value);
}

const std::string &requireText(const Value &value, std::string_view what) {
  if (value.is(Kind::Undefined))
    throw Problem{value.text()};
  if (!value.isStr())
    throw Problem{
        fmt::format("{} must be a str, not a {}", what, typeName(value))};
  return value.text();
}

} // namespace mbc::text::jinja
