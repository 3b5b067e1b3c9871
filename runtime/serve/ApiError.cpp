//===- ApiError.cpp -------------------------------------------------------===//
#include "runtime/serve/ApiError.h"

namespace mbc::serve {

/// What OpenAI calls the kinds of errors.
static const char *typeOf(unsigned status) {
  if (status >= 500)
    return "server_error";
  return status == 429 ? "rate_limit_error" : "invalid_request_error";
}

static Json orNull(const std::string &text) {
  return text.empty() ? Json() : Json(text);
}

Json ApiError::body() const {
  return Json::object({{"error", Json::object({{"message", message},
                                               {"type", typeOf(status)},
                                               {"param", orNull(param)},
                                               {"code", orNull(code)}})}});
}

ApiError toApi(const Error &error, std::string param) {
  return {error.kind == ErrorKind::Input ? 400u : 500u, error.message,
          std::move(param)};
}

} // namespace mbc::serve
