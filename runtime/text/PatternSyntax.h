//===- PatternSyntax.h - Split patterns, written for PCRE2 ------*- C++ -*-===//
#pragma once

#include "runtime/core/Error.h"

#include <string>
#include <string_view>

namespace mbc::text {

/// A regular expression, well-formed UTF-8, as tokenizers write them
/// (Oniguruma's syntax, which is what the library `tokenizers` uses), in
/// PCRE2's: the same matches under PCRE2_UTF, PCRE2_UCP and PCRE2_MULTILINE.
/// README.md lists the differences that it bridges. An Input error quotes the
/// part that it does not know.
Expected<std::string> toPcre2(std::string_view pattern);

/// A pattern of both syntaxes that matches `text` alone.
std::string escapePattern(std::string_view text);

} // namespace mbc::text
