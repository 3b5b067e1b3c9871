//===- Tokens.h - Token ids from an option ----------------------*- C++ -*-===//
#pragma once

#include "runtime/core/Error.h"

#include <cstdint>
#include <string>
#include <vector>

namespace mbc {

/// `batch` sequences of `length` tokens each.
struct Tokens {
  int64_t batch = 0, length = 0;
  std::vector<int32_t> ids; ///< [batch, length]
};

/// The text of --tokens: "1,2,3", or a .npy file of integers [length] or
/// [batch, length]. An Input error for what cannot be a token.
Expected<Tokens> readTokens(const std::string &text);

} // namespace mbc
