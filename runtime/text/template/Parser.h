//===- Parser.h - From tokens to a tree -------------------------*- C++ -*-===//
#pragma once

#include "runtime/text/template/Ast.h"

namespace mbc::text::jinja {

/// Jinja's grammar, with its loop controls and the `generation` tag of
/// transformers. Throws a SyntaxProblem. The variables have no slots yet:
/// Scopes.h.
Template parseTemplate(std::string_view source);

} // namespace mbc::text::jinja
