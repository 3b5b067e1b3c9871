//===- Lexer.cpp - Tokens of .mbc files -----------------------------------===//

#include "compiler/Frontend/Lexer.h"
#include "compiler/Frontend/Diagnostics.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/ConvertUTF.h"

using namespace mbc;
using llvm::StringRef;

namespace {

bool isWordStart(char c) { return llvm::isAlpha(c) || c == '_'; }
bool isWordPart(char c) { return llvm::isAlnum(c) || c == '_'; }

class Lexer {
public:
  Lexer(StringRef source, Diagnostics &diagnostics)
      : source(source), rest(source), diagnostics(diagnostics) {}

  std::vector<Token> run();

private:
  bool checkEncoding();
  void lexToken();
  void lexNumber();
  void lexString();
  bool lexPunctuation();

  mlir::InFlightDiagnostic error(const char *place) {
    return diagnostics.error(llvm::SMLoc::getFromPointer(place));
  }
  void push(Token::Kind kind, size_t size) {
    tokens.push_back({kind, rest.take_front(size)});
    rest = rest.drop_front(size);
  }

  StringRef source, rest;
  Diagnostics &diagnostics;
  std::vector<Token> tokens;
};

} // namespace

std::vector<Token> Lexer::run() {
  if (!checkEncoding())
    rest = rest.take_back(0);
  for (;;) {
    rest = rest.ltrim(" \t\r\n");
    if (rest.starts_with("//"))
      rest = rest.drop_until([](char c) { return c == '\n'; });
    else if (rest.empty())
      break;
    else
      lexToken();
  }
  push(Token::Kind::End, 0);
  return std::move(tokens);
}

/// Reports the first byte that is not text.
bool Lexer::checkEncoding() {
  const auto *at = source.bytes_begin(), *end = source.bytes_end();
  while (at != end) {
    unsigned size = llvm::getNumBytesForUTF8(*at);
    if (*at == 0 || size > size_t(end - at) ||
        !llvm::isLegalUTF8Sequence(at, at + size)) { // L01
      error(reinterpret_cast<const char *>(at))
          << "byte 0x" << llvm::utohexstr(*at, /*LowerCase=*/true, 2)
          << (*at ? " is not UTF-8 text" : " is not text");
      return false;
    }
    at += size;
  }
  return true;
}

void Lexer::lexToken() {
  char c = rest.front();
  if (isWordStart(c))
    return push(Token::Kind::Identifier, rest.take_while(isWordPart).size());
  if (llvm::isDigit(c))
    return lexNumber();
  if (c == '"')
    return lexString();
  if (lexPunctuation())
    return;
  StringRef character = rest.take_front(llvm::getNumBytesForUTF8(uint8_t(c)));
  error(rest.data()) << "unexpected character '" << character << "'"; // L02
  rest = rest.drop_front(character.size());
}

/// `123`, `1.5`, `1e-5`. The dot belongs to the number only before a digit.
void Lexer::lexNumber() {
  auto digitAt = [&](size_t i) {
    return i < rest.size() && llvm::isDigit(rest[i]);
  };
  size_t size = rest.take_while(llvm::isDigit).size();
  Token::Kind kind = Token::Kind::Integer;
  if (rest.substr(size).starts_with(".") && digitAt(size + 1)) {
    kind = Token::Kind::Float;
    for (++size; digitAt(size);)
      ++size;
  }
  if (rest.substr(size).starts_with_insensitive("e")) {
    size_t sign = size + 1 < rest.size() &&
                  (rest[size + 1] == '+' || rest[size + 1] == '-');
    if (digitAt(size + 1 + sign)) {
      kind = Token::Kind::Float;
      for (size += 1 + sign; digitAt(size);)
        ++size;
    }
  }
  if (size_t tail = rest.substr(size).take_while(isWordPart).size()) { // L03
    error(rest.data()) << "malformed number '" << rest.take_front(size + tail)
                       << "': expected an integer or a float such as 1.5 or "
                          "1e-5";
    size += tail;
  }
  push(kind, size);
}

void Lexer::lexString() {
  size_t i = 1;
  for (; i < rest.size() && rest[i] != '"' && rest[i] != '\n'; ++i) {
    if (rest[i] != '\\' || i + 1 == rest.size() || rest[i + 1] == '\n')
      continue;
    ++i;
    if (!unescape(rest[i])) // L04
      error(rest.data() + i - 1)
          << "unknown escape '\\" << rest.substr(i, 1)
          << "' in a string: expected '\\\"', '\\\\' or '\\n'";
  }
  if (i == rest.size() || rest[i] == '\n') // L05
    error(rest.data()) << "unterminated string: expected '\"' before the end "
                          "of the line";
  else
    ++i;
  push(Token::Kind::String, i);
}

bool Lexer::lexPunctuation() {
  // Longer ones first.
  static constexpr StringRef table[] = {
      "<->", "==", "!=", "<=", ">=", "&&", "||", "??", "+=", "{",
      "}",   "(",  ")",  "[",  "]",  ",",  ";",  ":",  ".",  "=",
      "<",   ">",  "+",  "-",  "*",  "/",  "%",  "!",  "|",  "?"};
  for (StringRef spelling : table)
    if (rest.starts_with(spelling)) {
      push(Token::Kind::Punctuation, spelling.size());
      return true;
    }
  return false;
}

std::vector<Token> mbc::lex(StringRef source, Diagnostics &diagnostics) {
  return Lexer(source, diagnostics).run();
}

char mbc::unescape(char c) {
  switch (c) {
  case '"':
  case '\\':
    return c;
  case 'n':
    return '\n';
  default:
    return 0;
  }
}
