//===- Printing.h - Values as Python prints them ----------------*- C++ -*-===//
#pragma once

#include "runtime/text/template/Run.h"

namespace mbc::text::jinja {

/// Python's str(). A Problem for what Python prints with an address.
std::string printed(Run &run, const Value &value);
/// Appends it, without a copy of a text.
void print(Run &run, std::string &out, const Value &value);
/// Python's repr().
std::string repr(Run &run, const Value &value);
std::string reprText(std::string_view text);
std::string realText(double number);
/// markupsafe's escape: & < > ' ".
std::string escapeHtml(std::string_view text);

} // namespace mbc::text::jinja
