#include "runtime/text/template/Texts.h"

#include "runtime/core/Text.h"
#include "runtime/text/template/Arguments.h"
#include "runtime/text/template/Unicode.h"

#include <algorithm>

namespace mbc::text::jinja {

std::string_view stripped(std::string_view text, const Value &set, bool left,
                          bool right) {
  bool space = set.is(Kind::Missing) || set.is(Kind::None);
  if (space) {
    if (left)
      text = stripLeft(text);
    return right ? stripRight(text) : text;
  }
  const std::string &all = requireText(set, "the characters to strip");
  if (left)
    text = stripLeft(text, all);
  return right ? stripRight(text, all) : text;
}

std::vector<std::string_view> splitSpace(std::string_view text, int64_t most,
                                         bool fromRight) {
  std::vector<std::string_view> parts;
  text = fromRight ? stripRight(text) : stripLeft(text);
  while (!text.empty()) {
    if (most >= 0 && int64_t(parts.size()) == most) {
      parts.push_back(text);
      break;
    }
    std::string_view word;
    if (fromRight) {
      size_t start = text.size();
      // Back over characters that are no space.
      while (start > 0) {
        size_t before = start - 1;
        while ((text[before] & 0xc0) == 0x80)
          --before;
        if (isSpace(decode(text.substr(before))))
          break;
        start = before;
      }
      word = text.substr(start);
      text = stripRight(text.substr(0, start));
    } else {
      size_t end = 0;
      while (end < text.size() && !spaceLength(text.substr(end)))
        end += utf8Length(text.substr(end));
      word = text.substr(0, end);
      text = stripLeft(text.substr(end));
    }
    parts.push_back(word);
  }
  if (fromRight)
    std::ranges::reverse(parts);
  return parts;
}

std::vector<std::string_view> splitText(std::string_view text,
                                        std::string_view separator,
                                        int64_t most, bool fromRight) {
  std::vector<std::string_view> parts;
  while (most < 0 || int64_t(parts.size()) < most) {
    size_t at = fromRight ? text.rfind(separator) : text.find(separator);
    if (at == std::string_view::npos)
      break;
    size_t behind = at + separator.size();
    parts.push_back(fromRight ? text.substr(behind) : text.substr(0, at));
    text = fromRight ? text.substr(0, at) : text.substr(behind);
  }
  parts.push_back(text);
  if (fromRight)
    std::ranges::reverse(parts);
  return parts;
}

std::vector<std::string_view> lines(std::string_view text, bool keepEnds) {
  auto endLength = [](std::string_view rest) -> size_t {
    if (rest.starts_with("\r\n"))
      return 2;
    uint32_t code = decode(rest);
    bool ends = (code >= 0x0a && code <= 0x0d) ||
                (code >= 0x1c && code <= 0x1e) || code == 0x85 ||
                code == 0x2028 || code == 0x2029;
    return ends ? utf8Length(rest) : 0;
  };
  std::vector<std::string_view> all;
  while (!text.empty()) {
    size_t end = 0, past = 0;
    while (end < text.size() && !(past = endLength(text.substr(end))))
      end += utf8Length(text.substr(end));
    all.push_back(text.substr(0, keepEnds ? end + past : end));
    text.remove_prefix(end + past);
  }
  return all;
}

std::string replaced(Run &run, std::string_view text, std::string_view from,
                     std::string_view to, int64_t most) {
  std::string out;
  run.step(text.size() / 16);
  auto put = [&](std::string_view part) {
    run.allocate(part.size());
    out += part;
  };
  if (from.empty()) {
    // Before each character, and behind the last.
    for (std::string_view c : characters(text)) {
      if (most-- != 0)
        put(to);
      else
        most = 0;
      put(c);
    }
    if (most != 0)
      put(to);
    return out;
  }
  for (size_t at; most != 0 && (at = text.find(from)) != text.npos; --most) {
    put(text.substr(0, at));
    put(to);
    text.remove_prefix(at + from.size());
  }
  put(text);
  return out;
}

std::string padded(Run &run, std::string_view text, int64_t width,
                   std::string_view fill, bool left, bool right) {
  int64_t missing = width - int64_t(codePoints(text));
  if (missing <= 0)
    return std::string(text);
  if (uint64_t(missing) > Run::byteLimit)
    run.allocate(missing);
  run.allocate(missing * fill.size());
  int64_t before = !right  ? missing
                   : !left ? 0
                           : missing / 2 + (missing & width & 1);
  std::string out;
  for (int64_t i = 0; i != before; ++i)
    out += fill;
  out += text;
  for (int64_t i = before; i != missing; ++i)
    out += fill;
  return out;
}

} // namespace mbc::text::jinja
