//===- Filters.h - Jinja's filters ------------------------------*- C++ -*-===//
#pragma once

#include "runtime/text/template/Arguments.h"
#include "runtime/text/template/Run.h"

#include <string>
#include <string_view>

namespace mbc::text::jinja {

struct Filter {
  std::string_view name;
  Value (*apply)(Run &, const Value &self, const Arguments &);
};

/// Null when there is none.
const Filter *findFilter(std::string_view name);
/// What to say about that.
std::string unknownFilter(std::string_view name);

/// Of lists and other things that are iterated over. SequenceFilters.cpp.
const std::vector<Filter> &sequenceFilters();

} // namespace mbc::text::jinja
