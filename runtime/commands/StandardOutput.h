//===- StandardOutput.h - Text that is seen at once -------------*- C++ -*-===//
#pragma once

#include "runtime/core/Error.h"

#include <string_view>

namespace mbc {

/// Writes to stdout and flushes. False once its reader has gone away, which is
/// no failure; a System error where it cannot be written, such as a full disk.
Expected<bool> writeOutput(std::string_view text);

} // namespace mbc
