//===- StopStrings.cpp ----------------------------------------------------===//
#include "runtime/generate/StopStrings.h"

#include <algorithm>
#include <utility>

namespace mbc::generate {

StopStrings::StopStrings(std::vector<std::string> texts)
    : strings(std::move(texts)) {
  std::erase_if(strings, [](const std::string &text) { return text.empty(); });
}

std::string StopStrings::push(std::string_view text) {
  if (stopped)
    return {};
  held += text;
  // The one that is complete first; of several the longest, which begins first.
  size_t begin = std::string::npos, end = std::string::npos;
  for (const std::string &stop : strings) {
    size_t at = held.find(stop);
    if (at == std::string::npos || at + stop.size() > end)
      continue;
    begin = at + stop.size() < end ? at : std::min(begin, at);
    end = at + stop.size();
  }
  size_t certain = held.size();
  if (begin != std::string::npos) {
    stopped = true;
    certain = begin;
  } else {
    for (const std::string &stop : strings)
      for (size_t size = std::min(stop.size() - 1, held.size()); size > 0;
           --size)
        if (held.ends_with(std::string_view(stop).substr(0, size))) {
          certain = std::min(certain, held.size() - size);
          break;
        }
  }
  std::string result = held.substr(0, certain);
  held.erase(0, certain);
  // What follows may not begin in the middle of a character.
  if (stopped)
    held.clear();
  return result;
}

std::string StopStrings::finish() {
  return stopped ? std::string() : std::exchange(held, {});
}

} // namespace mbc::generate
