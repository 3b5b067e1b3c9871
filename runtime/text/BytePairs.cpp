//===- BytePairs.cpp ------------------------------------------------------===//
#include "runtime/text/BytePairs.h"

#include "runtime/text/ByteAlphabet.h"
#include "runtime/text/Unicode.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <fmt/format.h>
#include <queue>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace mbc::text {

bool Vocabulary::add(std::string text, int32_t id) {
  size_t index = static_cast<size_t>(id);
  if (index < texts.size() && texts[index])
    return false;
  auto [it, added] = ids.emplace(std::move(text), id);
  if (!added)
    return false;
  if (index >= texts.size())
    texts.resize(std::max(index + 1, texts.size() + texts.size() / 2));
  texts[index] = &it->first;
  last = std::max(last, index + 1);
  return true;
}

std::optional<int32_t> Vocabulary::find(std::string_view text) const {
  auto it = ids.find(text);
  return it == ids.end() ? std::nullopt : std::optional(it->second);
}

const std::string *Vocabulary::text(int32_t id) const {
  size_t index = static_cast<size_t>(id);
  return id >= 0 && index < texts.size() ? texts[index] : nullptr;
}

static uint64_t pairKey(int32_t left, int32_t right) {
  return uint64_t(uint32_t(left)) << 32 | uint32_t(right);
}

static size_t pairHash(uint64_t key) {
  key *= 0x9E3779B97F4A7C15u;
  return key ^ key >> 32;
}

void MergeTable::reserve(size_t count) {
  rehash(std::bit_ceil(std::max<size_t>(2 * count, 16)));
}

void MergeTable::rehash(size_t size) {
  std::vector<Slot> old(size);
  std::swap(old, slots);
  used = 0;
  for (const Slot &slot : old)
    if (slot.key != UINT64_MAX)
      set(static_cast<int32_t>(slot.key >> 32),
          static_cast<int32_t>(slot.key & UINT32_MAX), slot.merge);
}

void MergeTable::set(int32_t left, int32_t right, Merge merge) {
  if (2 * (used + 1) > slots.size())
    rehash(std::max<size_t>(16, 2 * slots.size()));
  uint64_t key = pairKey(left, right);
  size_t mask = slots.size() - 1, at = pairHash(key) & mask;
  while (slots[at].key != key && slots[at].key != UINT64_MAX)
    at = (at + 1) & mask;
  used += slots[at].key != key;
  slots[at] = {key, merge};
}

MergeTable::Merge MergeTable::find(int32_t left, int32_t right) const {
  if (slots.empty())
    return {none, 0};
  uint64_t key = pairKey(left, right);
  size_t mask = slots.size() - 1, at = pairHash(key) & mask;
  while (slots[at].key != key) {
    if (slots[at].key == UINT64_MAX)
      return {none, 0};
    at = (at + 1) & mask;
  }
  return slots[at].merge;
}

/// One cache line. A longer word, or one of more tokens, is rare.
struct alignas(64) WordCache::Entry {
  uint8_t length = 0, count = 0; ///< of no tokens too; length 0: empty
  char word[30];
  int32_t ids[8];
};

static constexpr size_t cacheEntries = size_t(1) << 15;

WordCache::WordCache() : entries(std::make_unique<Entry[]>(cacheEntries)) {}
WordCache::~WordCache() = default;

bool WordCache::find(std::string_view word, std::vector<int32_t> &out) const {
  if (word.size() > sizeof Entry::word)
    return false;
  const Entry &entry =
      entries[XXH3_64bits(word.data(), word.size()) % cacheEntries];
  if (entry.length != word.size() ||
      std::memcmp(entry.word, word.data(), word.size()) != 0)
    return false;
  out.insert(out.end(), entry.ids, entry.ids + entry.count);
  return true;
}

void WordCache::store(std::string_view word, std::span<const int32_t> ids) {
  if (word.size() > sizeof Entry::word || ids.size() > std::size(Entry().ids))
    return;
  Entry &entry = entries[XXH3_64bits(word.data(), word.size()) % cacheEntries];
  entry.length = static_cast<uint8_t>(word.size());
  entry.count = static_cast<uint8_t>(ids.size());
  std::memcpy(entry.word, word.data(), word.size());
  std::ranges::copy(ids, entry.ids);
}

BytePairs::BytePairs(Vocabulary vocabulary, MergeTable merges, Options options,
                     bool bytes, bool rawTokens)
    : tokens(std::move(vocabulary)), merges(std::move(merges)),
      options(std::move(options)), bytes(bytes), rawTokens(rawTokens) {
  if (!bytes)
    return;
  if (!rawTokens)
    for (size_t id = 0; id < tokens.end(); ++id)
      if (const std::string *text = tokens.text(static_cast<int32_t>(id)))
        if (auto form = fromByteCharacters(*text))
          byBytes.add(std::move(*form), static_cast<int32_t>(id));
  for (unsigned byte = 0; byte < 256; ++byte) {
    char c = static_cast<char>(byte);
    byteTokens[byte] = (rawTokens ? tokens : byBytes)
                           .find(std::string_view(&c, 1))
                           .value_or(-1);
  }
}

void BytePairs::encode(std::string_view word, MergeScratch &scratch,
                       std::vector<int32_t> &out) const {
  if (word.empty() || scratch.cache.find(word, out))
    return;
  scratch.symbols.clear();
  encodeUncached(word, scratch);
  scratch.cache.store(word, scratch.symbols);
  out.insert(out.end(), scratch.symbols.begin(), scratch.symbols.end());
}

void BytePairs::encodeUncached(std::string_view word,
                               MergeScratch &scratch) const {
  const Vocabulary &whole = bytes && !rawTokens ? byBytes : tokens;
  if (options.ignoreMerges)
    if (auto id = whole.find(word)) {
      scratch.symbols.push_back(*id);
      return;
    }
  bool plain = bytes && options.prefix.empty() && options.suffix.empty();
  if (plain)
    for (char byte : word) {
      int32_t id = byteTokens[static_cast<uint8_t>(byte)];
      if (id < 0) {
        plain = false;
        scratch.symbols.clear();
        break;
      }
      scratch.symbols.push_back(id);
    }
  if (!plain) {
    if (bytes && !rawTokens)
      takeCharacters(toByteCharacters(word), scratch.symbols);
    else if (!bytes)
      takeCharacters(word, scratch.symbols);
    else // a tiktoken.model has all bytes: its reader has checked that
      return;
  }
  // Moving the rest up beats a heap while it is short.
  if (scratch.symbols.size() <= 48)
    mergeShort(scratch);
  else
    mergeLong(scratch);
}

void BytePairs::takeCharacters(std::string_view word,
                               std::vector<int32_t> &symbols) const {
  bool unknown = false;
  auto flush = [&] {
    if (unknown)
      symbols.push_back(*options.unknown);
    unknown = false;
  };
  std::string text;
  for (std::string_view rest = word; !rest.empty();) {
    size_t length = firstCharacter(rest).length;
    text.clear();
    if (rest.data() != word.data())
      text = options.prefix;
    text += rest.substr(0, length);
    rest.remove_prefix(length);
    if (rest.empty())
      text += options.suffix;
    if (auto id = tokens.find(text)) {
      flush();
      symbols.push_back(*id);
      continue;
    }
    if (options.byteFallback) {
      std::vector<int32_t> parts;
      for (char byte : text)
        if (auto id = tokens.find(
                fmt::format("<0x{:02X}>", static_cast<uint8_t>(byte))))
          parts.push_back(*id);
      if (parts.size() == text.size()) {
        // An unknown token that waits is written behind these, as there.
        symbols.insert(symbols.end(), parts.begin(), parts.end());
        continue;
      }
    }
    if (!options.unknown)
      continue;
    if (!options.fuseUnknown)
      flush();
    unknown = true;
  }
  flush();
}

void BytePairs::mergeShort(MergeScratch &scratch) const {
  std::vector<int32_t> &symbols = scratch.symbols;
  std::vector<uint32_t> &ranks = scratch.ranks;
  std::vector<int32_t> &results = scratch.results;
  size_t count = symbols.size();
  if (count < 2)
    return;
  // ranks[i] is that of symbols i and i + 1.
  ranks.resize(count);
  results.resize(count);
  auto look = [&](size_t i) {
    MergeTable::Merge merge = merges.find(symbols[i], symbols[i + 1]);
    ranks[i] = merge.rank;
    results[i] = merge.id;
  };
  for (size_t i = 0; i + 1 < count; ++i)
    look(i);
  while (count > 1) {
    size_t best = 0;
    for (size_t i = 1; i + 1 < count; ++i)
      if (ranks[i] < ranks[best])
        best = i;
    if (ranks[best] == MergeTable::none)
      break;
    symbols[best] = results[best];
    std::copy(symbols.begin() + best + 2, symbols.begin() + count,
              symbols.begin() + best + 1);
    std::copy(ranks.begin() + best + 2, ranks.begin() + count,
              ranks.begin() + best + 1);
    std::copy(results.begin() + best + 2, results.begin() + count,
              results.begin() + best + 1);
    --count;
    if (best > 0)
      look(best - 1);
    if (best + 1 < count)
      look(best);
  }
  symbols.resize(count);
}

void BytePairs::mergeLong(MergeScratch &scratch) const {
  std::vector<int32_t> &symbols = scratch.symbols;
  std::vector<uint32_t> &ranks = scratch.ranks, &before = scratch.before,
                        &after = scratch.after;
  std::vector<int32_t> &results = scratch.results;
  size_t count = symbols.size();
  ranks.assign(count, MergeTable::none);
  results.resize(count);
  before.resize(count);
  after.resize(count);
  // Of rank and place; outdated where the rank of the place is another one.
  using Candidate = std::pair<uint32_t, uint32_t>;
  std::vector<Candidate> first;
  auto look = [&](uint32_t i) {
    MergeTable::Merge merge = merges.find(symbols[i], symbols[after[i]]);
    ranks[i] = merge.rank;
    results[i] = merge.id;
    return merge.rank != MergeTable::none;
  };
  for (uint32_t i = 0; i < count; ++i) {
    before[i] = i - 1;
    after[i] = i + 1;
    if (i + 1 < count && look(i))
      first.emplace_back(ranks[i], i);
  }
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue(
      {}, std::move(first));
  while (!queue.empty()) {
    auto [rank, i] = queue.top();
    queue.pop();
    if (ranks[i] != rank)
      continue;
    uint32_t gone = after[i];
    symbols[i] = results[i];
    symbols[gone] = -1;
    ranks[gone] = ranks[i] = MergeTable::none;
    after[i] = after[gone];
    if (after[i] < count) {
      before[after[i]] = i;
      if (look(i))
        queue.emplace(ranks[i], i);
    }
    if (i > 0 && look(before[i]))
      queue.emplace(ranks[before[i]], before[i]);
  }
  std::erase(symbols, -1);
}

} // namespace mbc::text
