//===- BytePairs.h - The BPE model ------------------------------*- C++ -*-===//
#pragma once

#include "runtime/core/Error.h"

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace mbc::text {

/// Text of tokens by id, and the way back.
class Vocabulary {
public:
  /// False where the id or the text has been added before.
  bool add(std::string text, int32_t id);
  std::optional<int32_t> find(std::string_view text) const;
  /// None where no token has this id.
  const std::string *text(int32_t id) const;
  size_t size() const { return ids.size(); }
  /// The largest id, and one; 0 without tokens.
  size_t end() const { return last; }

private:
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>()(text);
    }
  };
  std::unordered_map<std::string, int32_t, Hash, std::equal_to<>> ids;
  std::vector<const std::string *> texts; ///< keys of `ids`
  size_t last = 0;
};

/// Which neighbours merge, how early, and into what.
class MergeTable {
public:
  struct Merge {
    uint32_t rank;
    int32_t id;
  };
  static constexpr uint32_t none = UINT32_MAX;

  /// The later of two entries for the same pair is the one that counts.
  void set(int32_t left, int32_t right, Merge merge);
  /// Of rank `none` where the pair does not merge.
  Merge find(int32_t left, int32_t right) const;
  void reserve(size_t count);

private:
  struct Slot {
    uint64_t key = UINT64_MAX;
    Merge merge = {none, 0};
  };
  void rehash(size_t size);
  std::vector<Slot> slots;
  size_t used = 0;
};

/// Words that were encoded lately; of one thread.
class WordCache {
public:
  WordCache();
  ~WordCache();
  /// Appends the tokens of a word that is here.
  bool find(std::string_view word, std::vector<int32_t> &out) const;
  void store(std::string_view word, std::span<const int32_t> ids);

private:
  struct Entry;
  std::unique_ptr<Entry[]> entries;
};

/// What one thread needs for merging.
struct MergeScratch {
  WordCache cache;
  std::vector<int32_t> symbols;
  std::vector<uint32_t> ranks;
  std::vector<int32_t> results;
  std::vector<uint32_t> before, after;
};

/// Byte pair encoding as `tokenizers` computes it: of all neighbours that may
/// merge those of the lowest rank, the first of them, until none is left.
class BytePairs {
public:
  struct Options {
    /// Words that are tokens are not taken apart.
    bool ignoreMerges = false;
    /// Characters without a token become tokens of their bytes, "<0xE4>".
    bool byteFallback = false;
    /// Unknown characters that follow each other are one unknown token.
    bool fuseUnknown = false;
    /// Without one, characters that have no token vanish.
    std::optional<int32_t> unknown;
    /// Before every character but the first, and behind the last.
    std::string prefix, suffix;
  };

  /// `words` are given as bytes where `bytes`, which stand for characters of
  /// the byte alphabet unless the tokens are `rawTokens`, bytes themselves.
  BytePairs(Vocabulary vocabulary, MergeTable merges, Options options,
            bool bytes, bool rawTokens);

  /// Appends the tokens of a word.
  void encode(std::string_view word, MergeScratch &scratch,
              std::vector<int32_t> &out) const;
  const Vocabulary &vocabulary() const { return tokens; }

private:
  void encodeUncached(std::string_view word, MergeScratch &scratch) const;
  void takeCharacters(std::string_view word,
                      std::vector<int32_t> &symbols) const;
  void mergeShort(MergeScratch &scratch) const;
  void mergeLong(MergeScratch &scratch) const;

  Vocabulary tokens;
  /// Tokens by the bytes that they stand for; used where words are bytes in
  /// the byte alphabet.
  Vocabulary byBytes;
  MergeTable merges;
  Options options;
  bool bytes, rawTokens;
  std::array<int32_t, 256> byteTokens; ///< -1: none
};

} // namespace mbc::text
