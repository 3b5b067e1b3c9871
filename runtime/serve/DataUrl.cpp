//===- DataUrl.cpp --------------------------------------------------------===//
#include "runtime/serve/DataUrl.h"

#include "runtime/core/Text.h"

#include <fmt/format.h>

namespace mbc::serve {

/// The six bits of a digit; -1 for none.
static int bitsOfDigit(char c) {
  if (c >= 'A' && c <= 'Z')
    return c - 'A';
  if (c >= 'a' && c <= 'z')
    return c - 'a' + 26;
  if (c >= '0' && c <= '9')
    return c - '0' + 52;
  return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static Expected<std::string> decodeBase64(std::string_view text) {
  if (text.size() % 4 != 0)
    return inputError(fmt::format("has {} digits of base64, expected a "
                                  "multiple of 4",
                                  text.size()));
  size_t padding = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
  text.remove_suffix(padding);
  std::string bytes;
  bytes.reserve(text.size() / 4 * 3 + 2);
  uint32_t bits = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    int digit = bitsOfDigit(text[i]);
    if (digit < 0)
      return inputError(fmt::format("has {} at digit {}, which is none of "
                                    "base64",
                                    quote(text.substr(i, 1)), i));
    bits = bits << 6 | static_cast<uint32_t>(digit);
    // 6, 12, 18 and 24 bits are there after each digit of four.
    if (i % 4 != 0)
      bytes += static_cast<char>(bits >> (6 - 2 * (i % 4)));
  }
  return bytes;
}

Expected<std::string> readPictureUrl(std::string_view url) {
  constexpr std::string_view scheme = "data:", encoding = ";base64";
  if (!url.starts_with(scheme))
    return inputError(fmt::format(
        "is {}; expected data:image/png;base64,... or data:image/jpeg;base64,"
        "...: this server fetches nothing and reads no files",
        quote(url.substr(0, 60))));
  std::string_view head =
      url.substr(scheme.size(), url.find(',') - scheme.size());
  if (url.find(',') == std::string_view::npos)
    return inputError("has no comma, behind which the picture would be");
  if (!head.ends_with(encoding))
    return inputError(fmt::format("is {}, and not in base64", quote(head)));
  head.remove_suffix(encoding.size());
  std::string_view type = head.substr(0, head.find(';'));
  if (type != "image/png" && type != "image/jpeg" && type != "image/jpg")
    return inputError(fmt::format("is of type {}; expected image/png or "
                                  "image/jpeg",
                                  quote(type)));
  return decodeBase64(url.substr(url.find(',') + 1));
}

} // namespace mbc::serve
