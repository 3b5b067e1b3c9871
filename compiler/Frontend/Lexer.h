//===- Lexer.h - Tokens of .mbc files ---------------------------*- C++ -*-===//
//
// A file is split into tokens at once, so that the parser can look ahead and
// step back freely. Words are not classified: the parser knows where a word is
// a keyword.
//
//===----------------------------------------------------------------------===//
#pragma once

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/SMLoc.h"

#include <string>
#include <vector>

namespace mbc {
class Diagnostics;

struct Token {
  enum class Kind { End, Identifier, Integer, Float, String, Punctuation };
  Kind kind;
  llvm::StringRef text; ///< as written; a string with its quotes

  llvm::SMLoc loc() const { return llvm::SMLoc::getFromPointer(text.data()); }
  llvm::SMLoc endLoc() const {
    return llvm::SMLoc::getFromPointer(text.data() + text.size());
  }
  bool isEnd() const { return kind == Kind::End; }
  bool isIdentifier() const { return kind == Kind::Identifier; }
  bool isString() const { return kind == Kind::String; }
  bool is(llvm::StringRef punctuation) const {
    return kind == Kind::Punctuation && text == punctuation;
  }
  bool isWord(llvm::StringRef word) const {
    return kind == Kind::Identifier && text == word;
  }
};

/// The tokens of `source`, a range of a buffer, with an End token behind them.
/// Lexical errors are reported to `diagnostics`; the tokens are then not to be
/// parsed.
std::vector<Token> lex(llvm::StringRef source, Diagnostics &diagnostics);

/// The character that `\c` stands for, or 0.
char unescape(char c);

} // namespace mbc
