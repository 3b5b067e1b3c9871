//===- Guarded.h - Where exceptions end -------------------------*- C++ -*-===//
#pragma once

#include "runtime/core/Error.h"

#include <new>

namespace mbc {

/// The exception that is being handled: memory that is not there, or a defect.
inline Error currentException() noexcept {
  try {
    throw;
  } catch (const std::bad_alloc &) {
    return {ErrorKind::System, "out of memory"};
  } catch (...) {
    return {ErrorKind::System,
            "internal error: an unexpected exception; this is a defect of mbc"};
  }
}

/// Calls `fn`, which returns an `Expected`. What libraries below throw comes
/// back as an error.
template <typename Fn> auto guarded(Fn &&fn) noexcept -> decltype(fn()) {
  try {
    return fn();
  } catch (...) {
    return Failure(currentException());
  }
}

} // namespace mbc
