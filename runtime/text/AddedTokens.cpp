//===- AddedTokens.cpp ----------------------------------------------------===//
#include "runtime/text/AddedTokens.h"

#include "runtime/text/Unicode.h"

#include <algorithm>

namespace mbc::text {

AddedTokenFinder::AddedTokenFinder() : nodes(1) {}

void AddedTokenFinder::add(std::string_view pattern, const AddedToken &token) {
  if (pattern.empty())
    return;
  starts[static_cast<uint8_t>(pattern[0])] = true;
  uint32_t node = 0;
  for (char c : pattern) {
    uint8_t byte = static_cast<uint8_t>(c);
    auto &next = nodes[node].next;
    auto it = std::ranges::lower_bound(next, byte, {},
                                       &std::pair<uint8_t, uint32_t>::first);
    if (it == next.end() || it->first != byte) {
      uint32_t made = static_cast<uint32_t>(nodes.size());
      next.insert(it, {byte, made});
      nodes.emplace_back();
      node = made;
    } else {
      node = it->second;
    }
  }
  // Of two with one pattern the first counts.
  if (!nodes[node].token)
    nodes[node].token = &token;
}

const AddedTokenFinder::Node *AddedTokenFinder::child(const Node &node,
                                                      uint8_t byte) const {
  auto it = std::ranges::lower_bound(node.next, byte, {},
                                     &std::pair<uint8_t, uint32_t>::first);
  return it == node.next.end() || it->first != byte ? nullptr
                                                    : &nodes[it->second];
}

/// Bytes of white space at the end of `text`.
static size_t spaceAtEnd(std::string_view text) {
  size_t length = 0;
  while (length < text.size()) {
    Character last = lastCharacter(text.substr(0, text.size() - length));
    if (!isWhiteSpace(last.code))
      break;
    length += last.length;
  }
  return length;
}

static size_t spaceAtStart(std::string_view text) {
  size_t length = 0;
  while (length < text.size()) {
    Character first = firstCharacter(text.substr(length));
    if (!isWhiteSpace(first.code))
      break;
    length += first.length;
  }
  return length;
}

void AddedTokenFinder::split(std::string_view text,
                             std::vector<AddedSpan> &out) const {
  size_t done = 0;
  for (size_t at = 0; at < text.size();) {
    if (!starts[static_cast<uint8_t>(text[at])]) {
      ++at;
      continue;
    }
    const AddedToken *token = nullptr;
    size_t end = at;
    const Node *node = nodes.data();
    for (size_t i = at; i < text.size(); ++i) {
      node = child(*node, static_cast<uint8_t>(text[i]));
      if (!node)
        break;
      if (node->token) {
        token = node->token;
        end = i + 1;
      }
    }
    if (!token) {
      ++at;
      continue;
    }
    size_t begin = at;
    at = end;
    if (token->singleWord) {
      bool before = begin > 0 &&
                    isWordCharacter(lastCharacter(text.substr(0, begin)).code);
      bool behind = end < text.size() &&
                    isWordCharacter(firstCharacter(text.substr(end)).code);
      if (before || behind)
        continue;
    }
    if (token->lstrip)
      begin = std::max(begin - spaceAtEnd(text.substr(0, begin)), done);
    if (token->rstrip)
      end += spaceAtStart(text.substr(end));
    if (done < begin)
      out.push_back({done, begin, nullptr});
    out.push_back({begin, end, token});
    done = end;
  }
  if (done != text.size())
    out.push_back({done, text.size(), nullptr});
}

} // namespace mbc::text
