#include "runtime/text/template/Unicode.h"

#include <algorithm>
#include <utf8proc.h>

namespace mbc::text::jinja {

static bool continues(char byte) { return (byte & 0xc0) == 0x80; }

size_t codePoints(std::string_view text) {
  return text.size() - std::ranges::count_if(text, continues);
}

size_t offsetOf(std::string_view text, size_t index) {
  size_t offset = 0;
  for (; offset < text.size(); ++offset)
    if (!continues(text[offset]) && index-- == 0)
      break;
  return offset;
}

std::vector<std::string_view> characters(std::string_view text) {
  std::vector<std::string_view> all;
  all.reserve(text.size());
  while (!text.empty()) {
    unsigned length = utf8Length(text);
    all.push_back(text.substr(0, length));
    text.remove_prefix(length);
  }
  return all;
}

bool isSpace(uint32_t code) {
  return (code >= 0x09 && code <= 0x0d) || (code >= 0x1c && code <= 0x20) ||
         code == 0x85 || code == 0xa0 || code == 0x1680 ||
         (code >= 0x2000 && code <= 0x200a) || code == 0x2028 ||
         code == 0x2029 || code == 0x202f || code == 0x205f || code == 0x3000;
}

size_t spaceLength(std::string_view text) {
  return !text.empty() && isSpace(decode(text)) ? utf8Length(text) : 0;
}

/// The last character of a text that is not empty.
static std::string_view lastOf(std::string_view text) {
  size_t start = text.size() - 1;
  while (continues(text[start]))
    --start;
  return text.substr(start);
}

template <typename Fn>
static std::string_view stripLeftIf(std::string_view text, Fn drops) {
  while (!text.empty()) {
    std::string_view first = text.substr(0, utf8Length(text));
    if (!drops(first))
      break;
    text.remove_prefix(first.size());
  }
  return text;
}

template <typename Fn>
static std::string_view stripRightIf(std::string_view text, Fn drops) {
  while (!text.empty()) {
    std::string_view last = lastOf(text);
    if (!drops(last))
      break;
    text.remove_suffix(last.size());
  }
  return text;
}

static bool isSpaceText(std::string_view text) { return isSpace(decode(text)); }

std::string_view stripLeft(std::string_view text) {
  return stripLeftIf(text, isSpaceText);
}
std::string_view stripRight(std::string_view text) {
  return stripRightIf(text, isSpaceText);
}
std::string_view stripLeft(std::string_view text, std::string_view set) {
  return stripLeftIf(text, [&](std::string_view c) {
    return set.find(c) != std::string_view::npos;
  });
}
std::string_view stripRight(std::string_view text, std::string_view set) {
  return stripRightIf(text, [&](std::string_view c) {
    return set.find(c) != std::string_view::npos;
  });
}

static utf8proc_category_t categoryOf(uint32_t code) {
  return utf8proc_category(utf8proc_int32_t(code));
}

bool isAlpha(uint32_t code) {
  utf8proc_category_t category = categoryOf(code);
  return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO;
}

bool isDecimal(uint32_t code) {
  return categoryOf(code) == UTF8PROC_CATEGORY_ND;
}

bool isDigit(uint32_t code) {
  if (isDecimal(code))
    return true;
  // Digits that are no decimals: superscripts, subscripts, circled ones.
  static constexpr std::pair<uint32_t, uint32_t> ranges[] = {
      {0xb2, 0xb3},       {0xb9, 0xb9},       {0x1369, 0x1371},
      {0x19da, 0x19da},   {0x2070, 0x2070},   {0x2074, 0x2079},
      {0x2080, 0x2089},   {0x2460, 0x2468},   {0x2474, 0x247c},
      {0x2488, 0x2490},   {0x24ea, 0x24ea},   {0x24f5, 0x24fd},
      {0x24ff, 0x24ff},   {0x2776, 0x277e},   {0x2780, 0x2788},
      {0x278a, 0x2792},   {0x10a40, 0x10a43}, {0x10e60, 0x10e68},
      {0x11052, 0x1105a}, {0x1f100, 0x1f10a}};
  return std::ranges::any_of(ranges, [&](const auto &range) {
    return code >= range.first && code <= range.second;
  });
}

bool isAlnum(uint32_t code) {
  utf8proc_category_t category = categoryOf(code);
  return isAlpha(code) ||
         (category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO);
}

/// Other_Uppercase and Other_Lowercase have the circled letters and the Roman
/// numerals, and some modifiers.
bool isUpper(uint32_t code) {
  return categoryOf(code) == UTF8PROC_CATEGORY_LU ||
         (code >= 0x2160 && code <= 0x216f) ||
         (code >= 0x24b6 && code <= 0x24cf) ||
         (code >= 0x1f130 && code <= 0x1f149) ||
         (code >= 0x1f150 && code <= 0x1f169) ||
         (code >= 0x1f170 && code <= 0x1f189);
}

bool isLower(uint32_t code) {
  static constexpr std::pair<uint32_t, uint32_t> other[] = {
      {0xaa, 0xaa},       {0xba, 0xba},       {0x2b0, 0x2b8},
      {0x2c0, 0x2c1},     {0x2e0, 0x2e4},     {0x345, 0x345},
      {0x37a, 0x37a},     {0x1d2c, 0x1d6a},   {0x1d78, 0x1d78},
      {0x1d9b, 0x1dbf},   {0x2071, 0x2071},   {0x207f, 0x207f},
      {0x2090, 0x209c},   {0x2170, 0x217f},   {0x24d0, 0x24e9},
      {0x2c7c, 0x2c7d},   {0xa69c, 0xa69d},   {0xa770, 0xa770},
      {0xa7f8, 0xa7f9},   {0xab5c, 0xab5f},   {0x10780, 0x10780},
      {0x10783, 0x10785}, {0x10787, 0x107b0}, {0x107b2, 0x107ba}};
  return categoryOf(code) == UTF8PROC_CATEGORY_LL ||
         std::ranges::any_of(other, [&](const auto &range) {
           return code >= range.first && code <= range.second;
         });
}

bool isTitle(uint32_t code) { return categoryOf(code) == UTF8PROC_CATEGORY_LT; }

bool isPrintable(uint32_t code) {
  switch (categoryOf(code)) {
  case UTF8PROC_CATEGORY_CC:
  case UTF8PROC_CATEGORY_CF:
  case UTF8PROC_CATEGORY_CS:
  case UTF8PROC_CATEGORY_CO:
  case UTF8PROC_CATEGORY_CN:
  case UTF8PROC_CATEGORY_ZL:
  case UTF8PROC_CATEGORY_ZP:
    return false;
  case UTF8PROC_CATEGORY_ZS:
    return code == ' ';
  default:
    return true;
  }
}

} // namespace mbc::text::jinja
