//===- Unicode.cpp --------------------------------------------------------===//
#include "runtime/text/Unicode.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utf8proc.h>

namespace mbc::text {

static constexpr std::string_view replacement = "\xEF\xBF\xBD";

/// How many bytes at the start of `text`, which is no character, are the start
/// of one (at least 1); `open` where a character could still come of them.
static size_t brokenLength(std::string_view text, bool &open) {
  auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  uint8_t lead = byte(0);
  open = false;
  unsigned length = lead >= 0xC2 && lead <= 0xDF   ? 2
                    : lead >= 0xE0 && lead <= 0xEF ? 3
                    : lead >= 0xF0 && lead <= 0xF4 ? 4
                                                   : 1;
  for (unsigned i = 1; i < length; ++i) {
    if (i == text.size()) {
      open = true;
      return i;
    }
    uint8_t least = 0x80, most = 0xBF;
    if (i == 1) {
      // No overlong forms, no surrogates, nothing beyond U+10FFFF.
      if (lead == 0xE0)
        least = 0xA0;
      else if (lead == 0xED)
        most = 0x9F;
      else if (lead == 0xF0)
        least = 0x90;
      else if (lead == 0xF4)
        most = 0x8F;
    }
    if (byte(i) < least || byte(i) > most)
      return i;
  }
  return 1;
}

size_t appendReplaced(std::string &out, std::string_view bytes, bool more) {
  while (true) {
    size_t good = utf8Prefix(bytes);
    out += bytes.substr(0, good);
    bytes.remove_prefix(good);
    if (bytes.empty())
      return 0;
    bool open = false;
    size_t broken = brokenLength(bytes, open);
    if (open && more)
      return bytes.size();
    out += replacement;
    bytes.remove_prefix(broken);
  }
}

std::string_view replaceMalformed(std::string_view text, std::string &storage) {
  if (utf8Prefix(text) == text.size())
    return text;
  storage.clear();
  appendReplaced(storage, text, /*more=*/false);
  return storage;
}

Character lastCharacter(std::string_view text) {
  size_t at = text.size() - 1;
  while (at > 0 && (static_cast<uint8_t>(text[at]) & 0xC0) == 0x80)
    --at;
  return firstCharacter(text.substr(at));
}

static utf8proc_category_t category(char32_t code) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(code));
}

bool isWhiteSpace(char32_t code) {
  if (code < 0x80)
    return code == ' ' || (code >= '\t' && code <= '\r');
  utf8proc_category_t kind = category(code);
  return code == 0x85 || kind == UTF8PROC_CATEGORY_ZS ||
         kind == UTF8PROC_CATEGORY_ZL || kind == UTF8PROC_CATEGORY_ZP;
}

bool isWordCharacter(char32_t code) {
  switch (category(code)) {
  case UTF8PROC_CATEGORY_LU:
  case UTF8PROC_CATEGORY_LL:
  case UTF8PROC_CATEGORY_LT:
  case UTF8PROC_CATEGORY_LM:
  case UTF8PROC_CATEGORY_LO:
  case UTF8PROC_CATEGORY_MN:
  case UTF8PROC_CATEGORY_MC:
  case UTF8PROC_CATEGORY_ME:
  case UTF8PROC_CATEGORY_ND:
  case UTF8PROC_CATEGORY_NL:
  case UTF8PROC_CATEGORY_PC:
    return true;
  default:
    // Circled and squared letters are alphabetic too; joiners.
    return (code >= 0x24B6 && code <= 0x24E9) ||
           (code >= 0x1F130 && code <= 0x1F149) ||
           (code >= 0x1F150 && code <= 0x1F169) ||
           (code >= 0x1F170 && code <= 0x1F189) || code == 0x200C ||
           code == 0x200D;
  }
}

bool isNonspacingMark(char32_t code) {
  return category(code) == UTF8PROC_CATEGORY_MN;
}

/// Whether a character neither changes in `form` nor acts on its neighbours.
static bool isInert(char32_t code, NormalForm form) {
  if (code < 0x80)
    return true;
  // Composed by rule, not by table.
  bool jamo = code >= 0x1100 && code <= 0x11FF;
  bool hangul = code >= 0xAC00 && code <= 0xD7A3;
  bool composes = form == NormalForm::C || form == NormalForm::KC;
  if (jamo || (hangul && !composes))
    return false;
  const utf8proc_property_t *property =
      utf8proc_get_property(static_cast<utf8proc_int32_t>(code));
  return property->combining_class == 0 &&
         property->decomp_seqindex == UINT16_MAX &&
         property->comb_index == UINT16_MAX;
}

std::string_view normalized(std::string_view text, NormalForm form,
                            std::string &storage) {
  size_t at = 0;
  while (at < text.size()) {
    Character next = firstCharacter(text.substr(at));
    if (!isInert(next.code, form))
      break;
    at += next.length;
  }
  if (at == text.size())
    return text;

  int options = UTF8PROC_STABLE;
  options |= form == NormalForm::C || form == NormalForm::KC
                 ? UTF8PROC_COMPOSE
                 : UTF8PROC_DECOMPOSE;
  if (form == NormalForm::KC || form == NormalForm::KD)
    options |= UTF8PROC_COMPAT;
  utf8proc_uint8_t *result = nullptr;
  utf8proc_ssize_t length =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t *>(text.data()),
                   static_cast<utf8proc_ssize_t>(text.size()), &result,
                   static_cast<utf8proc_option_t>(options));
  if (length < 0) // of well-formed text for want of memory alone
    throw std::bad_alloc();
  storage.assign(reinterpret_cast<const char *>(result),
                 static_cast<size_t>(length));
  std::free(result);
  return storage;
}

std::string lowercase(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    Character next = firstCharacter(text.substr(at));
    at += next.length;
    if (next.code == 0x130) // the one that becomes two
      out += "i\xCC\x87";
    else
      appendUtf8(out, static_cast<char32_t>(utf8proc_tolower(
                          static_cast<utf8proc_int32_t>(next.code))));
  }
  return out;
}

} // namespace mbc::text
