//===- Pattern.h - Where a split pattern matches ----------------*- C++ -*-===//
#pragma once

#include "runtime/core/Error.h"

#include <memory>
#include <string>
#include <string_view>

namespace mbc::text {

/// What one thread needs for matching.
class PatternScratch {
public:
  PatternScratch();
  ~PatternScratch();
  PatternScratch(const PatternScratch &) = delete;
  PatternScratch &operator=(const PatternScratch &) = delete;

private:
  friend class Pattern;
  struct State;
  std::unique_ptr<State> state;
};

struct PatternMatch {
  size_t begin, end; ///< begin == npos: none
  bool found() const { return begin != std::string_view::npos; }
};

/// A compiled pattern; immutable.
class Pattern {
public:
  /// `pattern` in the syntax that toPcre2 reads.
  static Expected<std::unique_ptr<Pattern>> compile(std::string_view pattern);
  ~Pattern();

  /// The first match in `text` that starts at or after `from`, a boundary of
  /// characters of the well-formed text. An Input error where the search is
  /// given up.
  Expected<PatternMatch> find(std::string_view text, size_t from,
                              PatternScratch &scratch) const;

  /// `fn(begin, end)` for every match, one after another. Empty ones are given
  /// too, but not where another match has just ended.
  template <typename Fn>
  Status forEach(std::string_view text, PatternScratch &scratch,
                 Fn &&fn) const {
    size_t from = 0, lastEnd = std::string_view::npos;
    while (from <= text.size()) {
      MBC_ASSIGN(PatternMatch match, find(text, from, scratch));
      if (!match.found())
        break;
      if (match.begin == match.end && match.end == lastEnd) {
        from = nextCharacter(text, match.end);
        continue;
      }
      fn(match.begin, match.end);
      from = lastEnd = match.end;
    }
    return {};
  }

private:
  Pattern() = default;
  static size_t nextCharacter(std::string_view text, size_t at);
  struct Code;
  std::unique_ptr<Code> code;
};

} // namespace mbc::text
