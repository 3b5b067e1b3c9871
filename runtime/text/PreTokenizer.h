//===- PreTokenizer.h - A text cut into words -------------------*- C++ -*-===//
#pragma once

#include "runtime/text/Field.h"
#include "runtime/text/Pattern.h"

#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace mbc::text {

/// A part of a text. `atStart`: it begins where the whole text does.
struct Piece {
  std::string_view text;
  bool atStart = false;
};

/// The pieces of a text while it is cut; those that were changed lie in
/// `changed`.
struct Pieces {
  std::vector<Piece> list, next;
  std::deque<std::string> changed;
  PatternScratch patterns;
};

/// What becomes of what a pattern matches, and of what lies between.
enum class SplitBehavior {
  Removed,
  Isolated,
  MergedWithPrevious,
  MergedWithNext,
  Contiguous
};

/// The "pre_tokenizer" of a tokenizer.json, as steps that each act on every
/// piece that the step before has left.
class PreTokenizer {
public:
  class Step {
  public:
    virtual ~Step();
    /// Replaces `pieces.list`; none of the new pieces is empty.
    virtual Status apply(Pieces &pieces) const = 0;
  };

  PreTokenizer();
  PreTokenizer(PreTokenizer &&) noexcept;
  PreTokenizer &operator=(PreTokenizer &&) noexcept;
  ~PreTokenizer();

  static Expected<PreTokenizer> parse(const Field &field);
  /// Cuts at the matches of one pattern, and gives bytes.
  static Expected<PreTokenizer> bytesOfMatches(std::string_view pattern);

  /// Of the pieces in `pieces.list`.
  Status apply(Pieces &pieces) const;
  /// The words are bytes for the byte alphabet: the last step, which writes
  /// them in it, is left to the model.
  bool givesBytes() const { return bytes; }

private:
  Status add(const Field &field);
  Status addSplit(std::string_view pattern, SplitBehavior behavior,
                  bool invert = false);
  std::vector<std::unique_ptr<Step>> steps;
  bool bytes = false;
};

} // namespace mbc::text
