//===- Case.h - Upper and lower case as Python has them ---------*- C++ -*-===//
//
// Full case mapping of Unicode: a character may become several, and a sigma at
// the end of a word has a form of its own.
//
//===----------------------------------------------------------------------===//
#pragma once

#include <string>
#include <string_view>

namespace mbc::text::jinja {

std::string upperCase(std::string_view text);
std::string lowerCase(std::string_view text);
/// str.title: each run of letters starts with a capital.
std::string titleCase(std::string_view text);
/// str.capitalize.
std::string capitalized(std::string_view text);
std::string swappedCase(std::string_view text);

/// str.isupper, str.islower, str.istitle.
bool isUpperCase(std::string_view text);
bool isLowerCase(std::string_view text);
bool isTitleCase(std::string_view text);

} // namespace mbc::text::jinja
