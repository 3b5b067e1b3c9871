//===- Tests.h - Jinja's tests ----------------------------------*- C++ -*-===//
#pragma once

#include "runtime/text/template/Arguments.h"
#include "runtime/text/template/Run.h"

#include <string>
#include <string_view>

namespace mbc::text::jinja {

/// What stands behind `is`.
struct Test {
  std::string_view name;
  bool (*holds)(Run &, const Value &self, const Value &other);
  /// Whether it takes `other`.
  bool binary = false;
};

const Test *findTest(std::string_view name);
std::string unknownTest(std::string_view name);
bool applyTest(Run &run, const Test &test, const Value &self,
               const Arguments &arguments);

} // namespace mbc::text::jinja
