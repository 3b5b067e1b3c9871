//===- Functions.h - Functions that every template has ----------*- C++ -*-===//
#pragma once

#include "runtime/text/template/Arguments.h"
#include "runtime/text/template/Run.h"

namespace mbc::text::jinja {

struct Function : Object {
  std::string_view name;
  Value (*call)(Run &, const Arguments &);
};

/// raise_exception was called: the template refuses the conversation.
struct Refusal {
  std::string message;
};

/// range, namespace, dict, cycler, joiner, raise_exception and strftime_now;
/// Missing when there is no such function.
Value globalFunction(std::string_view name);

} // namespace mbc::text::jinja
