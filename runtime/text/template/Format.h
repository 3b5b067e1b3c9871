//===- Format.h - Python's two ways of formatting ---------------*- C++ -*-===//
#pragma once

#include "runtime/text/template/Arguments.h"
#include "runtime/text/template/Run.h"

namespace mbc::text::jinja {

/// `format % values`: one value, a tuple of them, or a dict for %(name)s.
Value formatPercent(Run &run, const Value &format, const Value &values);
/// `format.format(...)`: fields of names and numbers, with attributes and
/// items, !r and !s, and specifications of alignment, width, precision and the
/// types s, d, f, e, x and X.
Value formatBraces(Run &run, const Value &format, const Arguments &arguments);

} // namespace mbc::text::jinja
