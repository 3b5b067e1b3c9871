//===- Frame.h - The variables of one call ----------------------*- C++ -*-===//
#pragma once

#include "runtime/text/template/Value.h"

namespace mbc::text::jinja {

/// The variables of the template, or of one call of a macro or of a recursive
/// loop: places that Scopes.h has numbered.
struct Frame {
  std::vector<Value> slots;
  /// Of the code around; macros see its variables as they are when called.
  std::shared_ptr<Frame> parent;
  /// Run::keep has it.
  bool kept = false;
};

} // namespace mbc::text::jinja
