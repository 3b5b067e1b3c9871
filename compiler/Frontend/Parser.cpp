//===- Parser.cpp - Tokens, lists, recovery and files ---------------------===//

#include "compiler/Frontend/Parser.h"
#include "compiler/Frontend/ParserImpl.h"

#include "llvm/ADT/ScopeExit.h"

using namespace mbc;
using llvm::failure;
using llvm::StringRef;
using llvm::success;
using llvm::Twine;
using Result = Parser::Result;

std::string ast::Path::str() const {
  std::string text;
  for (const Ident &part : parts)
    text += (text.empty() ? "" : ".") + part.name.str();
  return text;
}

//===----------------------------------------------------------------------===//
// Tokens
//===----------------------------------------------------------------------===//

mlir::InFlightDiagnostic Parser::unexpectedError(const Twine &what) {
  // What is missing at the end of a line is missed there, not on the next one.
  llvm::SMLoc loc = peek().loc();
  if (position && (peek().isEnd() || what.str() == "';'")) {
    const Token &last = tokens[position - 1];
    StringRef gap(last.text.end(), peek().text.begin() - last.text.end());
    if (gap.contains('\n'))
      loc = last.endLoc();
  }
  auto diagnostic = diagnostics.error(loc) << "expected " << what << ", found ";
  if (peek().isEnd()) {
    reportedEnd = true;
    return std::move(diagnostic) << endName;
  }
  if (peek().isString())
    return std::move(diagnostic) << peek().text;
  return std::move(diagnostic) << "'" << peek().text << "'";
}

Result Parser::unexpected(const Twine &what) { // L06
  return unexpectedError(what);
}

Result Parser::expect(StringRef punctuation) {
  if (accept(punctuation))
    return success();
  return unexpected("'" + punctuation + "'");
}

Result Parser::expectWord(StringRef word) {
  if (acceptWord(word))
    return success();
  return unexpected("'" + word + "'");
}

Result Parser::expectClose(StringRef punctuation, Token open) {
  if (accept(punctuation))
    return success();
  if (peek().isEnd() && reportedEnd) // one error for all that is open there
    return failure();
  auto diagnostic = unexpectedError("'" + punctuation + "'"); // L07
  diagnostic.attachNote(diagnostics.at(open.loc()))
      << "to match this '" << open.text << "'";
  return diagnostic;
}

Result Parser::parseIdent(ast::Ident &ident, StringRef what) {
  if (!peek().isIdentifier())
    return unexpected(what);
  ident.loc = peek().loc();
  ident.name = take().text;
  return success();
}

Result Parser::parseText(ast::Text &text, StringRef what) {
  if (!peek().isString())
    return unexpected(what);
  text.loc = peek().loc();
  StringRef written = take().text.drop_front().drop_back();
  for (size_t i = 0; i < written.size(); ++i)
    text.value += written[i] == '\\' ? unescape(written[++i]) : written[i];
  return success();
}

Result Parser::parsePath(ast::Path &path, StringRef what) {
  return parseList(".", [&] {
    return parseIdent(path.parts.emplace_back(),
                      path.parts.size() == 1 ? what : "a name after '.'");
  });
}

//===----------------------------------------------------------------------===//
// Lists, nesting and recovery
//===----------------------------------------------------------------------===//

Result Parser::parseList(StringRef separator, Rule item) {
  do
    if (item())
      return failure();
  while (accept(separator));
  return success();
}

Result Parser::parseNames(std::vector<ast::Ident> &names, StringRef what) {
  return parseList(",", [&] { return parseIdent(names.emplace_back(), what); });
}

Result Parser::nested(Rule rule) {
  if (depth == maxDepth) { // L08
    error(peek()) << "nested deeper than " << maxDepth << " levels";
    return failure();
  }
  ++depth;
  llvm::scope_exit leave([this] { --depth; });
  return rule();
}

Result Parser::parseBraces(Rule item) {
  return nested([&]() -> Result {
    const Token open = peek();
    if (expect("{"))
      return failure();
    while (!peek().is("}") && !peek().isEnd()) {
      size_t start = position;
      if (item())
        recover(start);
    }
    return expectClose("}", open);
  });
}

void Parser::recover(size_t start) {
  int open = 0;
  for (size_t i = start; i < position; ++i)
    open += tokens[i].is("{") ? 1 : tokens[i].is("}") ? -1 : 0;
  for (; !peek().isEnd(); take()) {
    if (peek().is("{")) {
      ++open;
    } else if (peek().is("}")) {
      if (!open) // closes the list of items
        return;
      // The end of a braced item, unless the item goes on behind it.
      const Token &next = peek(1);
      if (!--open && next.kind != Token::Kind::Punctuation &&
          !next.isWord("mcore") && !next.isWord("stored")) {
        take();
        return;
      }
    } else if (peek().is(";") && !open) {
      take();
      return;
    }
  }
}

//===----------------------------------------------------------------------===//
// Files
//===----------------------------------------------------------------------===//

void Parser::parseFile(ast::File &file) {
  auto item = [&]() -> Result {
    if (acceptWord("model"))
      return parseModel(file.models.emplace_back());
    if (acceptWord("mapping"))
      return parseMapping(file.mappings.emplace_back());
    if (acceptWord("library"))
      return parseLibrary(file.libraries.emplace_back());
    return unexpected("'model', 'mapping' or 'library'"); // L09
  };
  while (!peek().isEnd()) {
    if (peek().is("}")) { // L10
      error(take()) << "unmatched '}'";
      continue;
    }
    size_t start = position;
    if (item())
      recover(start);
  }
}

mlir::FailureOr<ast::File> mbc::parseFile(llvm::SourceMgr &sources,
                                          unsigned buffer,
                                          mlir::MLIRContext *context) {
  Diagnostics diagnostics(sources, context);
  std::vector<Token> tokens =
      lex(sources.getMemoryBuffer(buffer)->getBuffer(), diagnostics);
  // The tokens of a broken string or number would only bring more errors.
  if (diagnostics.hadError())
    return failure();
  ast::File file;
  Parser(std::move(tokens), diagnostics).parseFile(file);
  if (diagnostics.hadError())
    return failure();
  return file;
}
