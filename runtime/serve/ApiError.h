//===- ApiError.h - What a client is told of its mistake --------*- C++ -*-===//
#pragma once

#include "runtime/core/Error.h"
#include "runtime/core/Json.h"

#include <string>

namespace mbc::serve {

/// A refused request, or one that failed.
struct ApiError {
  unsigned status = 400; ///< of HTTP
  std::string message;
  /// The field that is wrong, and a name for what is; empty: null.
  std::string param = {}, code = {};

  /// {"error": {"message", "type", "param", "code"}}, as OpenAI's clients take
  /// it.
  Json body() const;
};

template <typename T> using ApiResult = tl::expected<T, ApiError>;

/// Status 400.
inline tl::unexpected<ApiError> badRequest(std::string param,
                                           std::string message) {
  return tl::unexpected(ApiError{400, std::move(message), std::move(param)});
}

/// Our errors as a client's: bad input is the request's, the rest is ours.
ApiError toApi(const Error &error, std::string param = {});

} // namespace mbc::serve
