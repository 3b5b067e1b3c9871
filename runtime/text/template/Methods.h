//===- Methods.h - Methods of Python's types --------------------*- C++ -*-===//
#pragma once

#include "runtime/text/template/Arguments.h"
#include "runtime/text/template/Run.h"

namespace mbc::text::jinja {

enum class MethodStanding {
  None,        ///< Python has none of this name
  Supported,   ///< callMethod has it
  Unsafe,      ///< the sandbox refuses it
  Unsupported, ///< Python has it, this has not
};

MethodStanding methodStanding(const Value &object, std::string_view name);
/// "'get', 'items', ...".
std::string supportedMethods(const Value &object);
/// A supported one.
Value callMethod(Run &run, const Value &object, const std::string &name,
                 const Arguments &arguments);

using StringMethod = Value (*)(Run &, const Value &self, const Arguments &);
struct NamedStringMethod {
  std::string_view name;
  StringMethod call;
};
/// Sorted by name. StringMethods.cpp.
const std::vector<NamedStringMethod> &stringMethods();

} // namespace mbc::text::jinja
