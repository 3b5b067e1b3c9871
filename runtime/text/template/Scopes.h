//===- Scopes.h - Which variable a name is ----------------------*- C++ -*-===//
//
// Jinja decides when it compiles a template where each name lives, and chat
// templates rest on what follows: a `set` in a loop is gone with the iteration,
// one in an `if` stays; a name that is set further down is no variable of the
// caller before that. The rules are those of jinja2's idtracking.
//
//===----------------------------------------------------------------------===//
#pragma once

#include "runtime/text/template/Ast.h"

namespace mbc::text::jinja {

/// Numbers the variables, finds filters and tests, and makes the checks that
/// Jinja makes when it compiles. Throws a SyntaxProblem.
void bindNames(Template &tree);

} // namespace mbc::text::jinja
