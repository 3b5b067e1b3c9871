//===- Interpreter.h - Running a template -----------------------*- C++ -*-===//
#pragma once

#include "runtime/text/template/Ast.h"
#include "runtime/text/template/Run.h"

namespace mbc::text::jinja {

/// A Problem, or a Refusal, and where it happened.
struct RunError {
  Place place;
  std::string message;
  /// The template itself refused the conversation.
  bool refused = false;
};

/// `variables` is a dict. Throws a RunError.
std::string runTemplate(const Template &tree, const Json &variables);

} // namespace mbc::text::jinja
