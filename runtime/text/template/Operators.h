//===- Operators.h - Python's operators -------------------------*- C++ -*-===//
#pragma once

#include "runtime/text/template/Run.h"

namespace mbc::text::jinja {

/// `op` is one of + - * / // % **. Integers stay within 64 bits: a result
/// beyond is a Problem, never a wrong number.
Value binary(Run &run, std::string_view op, const Value &a, const Value &b);
Value negated(const Value &value);
Value positive(const Value &value);
/// `op` is one of == != < <= > >= in, not in.
bool compare(Run &run, std::string_view op, const Value &a, const Value &b);
/// Python's `item in container`.
bool contains(Run &run, const Value &container, const Value &item);

} // namespace mbc::text::jinja
