//===- Error.h - A value or the reason why there is none --------*- C++ -*-===//
#pragma once

#include "tl/expected.hpp"

#include <string>

namespace mbc {

/// Who has to act on an error; decides the exit status of the tools.
enum class ErrorKind {
  Input,     ///< bad usage, bad input or a refused proof: exit status 2
  System,    ///< disk full, permission, I/O failure: exit status 3
  Difference ///< a comparison found a difference: exit status 1
};

/// A message is what the user reads: it names the offender, the expected value
/// and, where it helps, what to do. A refused proof has several lines, each
/// with its place.
struct Error {
  ErrorKind kind;
  std::string message;
};

/// A value or an `Error`; used as `std::expected` of C++23 is. `Expected<void>`
/// is spelled `Status`.
template <typename T> using Expected = tl::expected<T, Error>;
using Status = Expected<void>;

} // namespace mbc
