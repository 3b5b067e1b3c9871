//===- Error.h - Making errors and passing them on --------------*- C++ -*-===//
//
// A message is one lower-case sentence that names the offender, the expected
// value and, where it helps, what to do: it is what the user reads.
//
//===----------------------------------------------------------------------===//
#pragma once

#include "mbc/Error.h"

#include <string>
#include <utility>

namespace mbc {

using Failure = tl::unexpected<Error>;

inline Failure inputError(std::string message) {
  return Failure(Error{ErrorKind::Input, std::move(message)});
}
inline Failure systemError(std::string message) {
  return Failure(Error{ErrorKind::System, std::move(message)});
}

/// `MBC_TRY(expr)`: returns the error of a `Status` expression to the caller.
#define MBC_TRY(...)                                                           \
  do {                                                                         \
    if (auto mbcStatus = (__VA_ARGS__); !mbcStatus)                            \
      return ::tl::unexpected(std::move(mbcStatus.error()));                   \
  } while (false)

/// `MBC_ASSIGN(auto x, expr)`: unwraps an `Expected`, or returns its error.
#define MBC_ASSIGN(decl, ...)                                                  \
  MBC_ASSIGN_IMPL(MBC_CONCAT(mbcValue, __LINE__), decl, __VA_ARGS__)
#define MBC_CONCAT(a, b) MBC_CONCAT_IMPL(a, b)
#define MBC_CONCAT_IMPL(a, b) a##b
#define MBC_ASSIGN_IMPL(tmp, decl, ...)                                        \
  auto tmp = (__VA_ARGS__);                                                    \
  if (!tmp)                                                                    \
    return ::tl::unexpected(std::move(tmp.error()));                           \
  decl = std::move(*tmp)

} // namespace mbc
