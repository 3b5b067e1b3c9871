//===- JsonText.h - json.dumps ----------------------------------*- C++ -*-===//
#pragma once

#include "runtime/text/template/Run.h"

namespace mbc::text::jinja {

/// The arguments of transformers' tojson, with Python's defaults; Missing and
/// None are the same.
struct JsonOptions {
  bool asciiOnly = false, sortKeys = false;
  Value indent;     ///< spaces, or the text of one step
  Value separators; ///< of items, and behind keys
};

/// Python's json.dumps; a Problem for what JSON has no form of.
std::string jsonText(Run &run, const Value &value, const JsonOptions &options);

} // namespace mbc::text::jinja
