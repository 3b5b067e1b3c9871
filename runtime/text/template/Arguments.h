//===- Arguments.h - What a call passes -------------------------*- C++ -*-===//
#pragma once

#include "runtime/text/template/Value.h"

#include <initializer_list>

namespace mbc::text::jinja {

struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> keywords;

  /// Removes the keyword; Missing when there is none.
  Value takeKeyword(std::string_view name);
};

/// One value a name, Missing where none was passed; the first `required` must
/// be. `function` is for messages: "the filter 'join'".
std::vector<Value> bindArguments(const Arguments &arguments,
                                 std::string_view function,
                                 std::initializer_list<std::string_view> names,
                                 size_t required = 0);

/// As bindArguments, where Python takes no keywords: `least` to `most` values.
std::vector<Value> bindPositional(const Arguments &arguments,
                                  std::string_view function, size_t least,
                                  size_t most);

/// `fallback` when `value` is Missing.
int64_t integerOr(const Value &value, int64_t fallback, std::string_view what);
/// Python's truth of any value.
bool flagOr(const Value &value, bool fallback);
/// A Problem unless `value` is a str.
const std::string &requireText(const Value &value, std::string_view what);

} // namespace mbc::text::jinja
