#include "runtime/text/template/Case.h"

#include "runtime/core/Text.h"
#include "runtime/text/template/Unicode.h"

#include <algorithm>
#include <utf8proc.h>

namespace mbc::text::jinja {
namespace {

struct Special {
  uint32_t code;
  std::string_view upper, title;
};
constexpr Special specials[] = {
#include "runtime/text/template/SpecialCasing.inc"
};

const Special *findSpecial(uint32_t code) {
  const Special *found =
      std::ranges::lower_bound(specials, code, {}, &Special::code);
  return found != std::end(specials) && found->code == code ? found : nullptr;
}

bool isCased(uint32_t code) {
  return isUpper(code) || isLower(code) || isTitle(code);
}

bool isIgnorable(uint32_t code) {
  switch (utf8proc_category(utf8proc_int32_t(code))) {
  case UTF8PROC_CATEGORY_MN:
  case UTF8PROC_CATEGORY_ME:
  case UTF8PROC_CATEGORY_CF:
  case UTF8PROC_CATEGORY_LM:
  case UTF8PROC_CATEGORY_SK:
    return true;
  default:
    // What stands within words: Word_Break MidLetter, MidNumLet and
    // Single_Quote.
    static constexpr uint32_t within[] = {
        0x27,   0x2e,   0x3a,   0xb7,   0x387,  0x55f,  0x5f4,  0x2018, 0x2019,
        0x2024, 0x2027, 0xfe13, 0xfe52, 0xfe55, 0xff07, 0xff0e, 0xff1a};
    return std::ranges::binary_search(within, code);
  }
}

void appendUpper(std::string &out, uint32_t code) {
  if (const Special *special = findSpecial(code))
    out += special->upper;
  else
    appendUtf8(out, utf8proc_toupper(utf8proc_int32_t(code)));
}

void appendTitle(std::string &out, uint32_t code) {
  if (const Special *special = findSpecial(code))
    out += special->title;
  else
    appendUtf8(out, utf8proc_totitle(utf8proc_int32_t(code)));
}

constexpr uint32_t capitalSigma = 0x3a3, dottedI = 0x130;

/// Of the character at `offset` of `text`, which is a sigma.
bool endsWord(std::string_view text, size_t offset) {
  auto firstCased = [](auto characters) {
    for (std::string_view c : characters)
      if (uint32_t code = decode(c); !isIgnorable(code))
        return isCased(code);
    return false;
  };
  std::vector<std::string_view> before = characters(text.substr(0, offset));
  std::ranges::reverse(before);
  return firstCased(before) && !firstCased(characters(text.substr(offset + 2)));
}

void appendLower(std::string &out, std::string_view text, size_t offset) {
  uint32_t code = decode(text.substr(offset));
  if (code == capitalSigma)
    appendUtf8(out, endsWord(text, offset) ? 0x3c2 : 0x3c3);
  else if (code == dottedI)
    out += "i\u0307";
  else
    appendUtf8(out, utf8proc_tolower(utf8proc_int32_t(code)));
}

/// `change(out, code, offset)` for each character.
template <typename Fn> std::string mapped(std::string_view text, Fn change) {
  std::string out;
  out.reserve(text.size());
  for (size_t offset = 0; offset < text.size();) {
    std::string_view rest = text.substr(offset);
    change(out, decode(rest), offset);
    offset += utf8Length(rest);
  }
  return out;
}

} // namespace

std::string upperCase(std::string_view text) {
  return mapped(text, [](std::string &out, uint32_t code, size_t) {
    appendUpper(out, code);
  });
}

std::string lowerCase(std::string_view text) {
  return mapped(text, [&](std::string &out, uint32_t, size_t offset) {
    appendLower(out, text, offset);
  });
}

std::string titleCase(std::string_view text) {
  bool within = false;
  return mapped(text, [&](std::string &out, uint32_t code, size_t offset) {
    if (within)
      appendLower(out, text, offset);
    else
      appendTitle(out, code);
    within = isCased(code);
  });
}

std::string capitalized(std::string_view text) {
  return mapped(text, [&](std::string &out, uint32_t code, size_t offset) {
    if (offset == 0)
      appendTitle(out, code);
    else
      appendLower(out, text, offset);
  });
}

std::string swappedCase(std::string_view text) {
  return mapped(text, [&](std::string &out, uint32_t code, size_t offset) {
    if (isUpper(code))
      appendLower(out, text, offset);
    else if (isLower(code))
      appendUpper(out, code);
    else
      appendUtf8(out, code);
  });
}

bool isUpperCase(std::string_view text) {
  bool any = false;
  for (std::string_view c : characters(text)) {
    uint32_t code = decode(c);
    if (isLower(code) || isTitle(code))
      return false;
    any |= isUpper(code);
  }
  return any;
}

bool isLowerCase(std::string_view text) {
  bool any = false;
  for (std::string_view c : characters(text)) {
    uint32_t code = decode(c);
    if (isUpper(code) || isTitle(code))
      return false;
    any |= isLower(code);
  }
  return any;
}

bool isTitleCase(std::string_view text) {
  bool any = false, within = false;
  for (std::string_view c : characters(text)) {
    uint32_t code = decode(c);
    bool starts = isUpper(code) || isTitle(code);
    if (starts ? within : isLower(code) && !within)
      return false;
    within = starts || isLower(code);
    any |= within;
  }
  return any;
}

} // namespace mbc::text::jinja
