//===- DataUrl.h - Files inside of a request --------------------*- C++ -*-===//
#pragma once

#include "runtime/core/Error.h"

#include <string>
#include <string_view>

namespace mbc::serve {

/// The bytes of a picture in a URL "data:image/png;base64,..." (RFC 2397,
/// 4648), or image/jpeg. An Input error for any other URL: nothing is fetched,
/// and no file of the server is read.
Expected<std::string> readPictureUrl(std::string_view url);

} // namespace mbc::serve
