//===- ParserImpl.h - The recursive-descent parser --------------*- C++ -*-===//
//
// One function a grammar rule of README.md. A function fails after it has
// reported an error; a list of items in braces then goes on with the next item,
// so that one run shows several errors.
//
//===----------------------------------------------------------------------===//
#pragma once

#include "compiler/Frontend/AST.h"
#include "compiler/Frontend/Diagnostics.h"
#include "compiler/Frontend/Lexer.h"

#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/Support/LogicalResult.h"

namespace mbc {

class Parser {
public:
  using Result = llvm::ParseResult; // converts to true on failure

  /// How deep braces, parentheses and trees of expressions may nest.
  static constexpr unsigned maxDepth = 256;

  /// `endName` is what messages call the end of the tokens.
  Parser(std::vector<Token> tokens, Diagnostics &diagnostics,
         llvm::StringRef endName = "the end of the file")
      : tokens(std::move(tokens)), diagnostics(diagnostics), endName(endName) {}

  void parseFile(ast::File &file);

private:
  //===--------------------------------------------------------------------===//
  // Tokens
  //===--------------------------------------------------------------------===//

  const Token &peek(size_t ahead = 0) const {
    return tokens[std::min(position + ahead, tokens.size() - 1)];
  }
  const Token &take() {
    const Token &token = peek();
    position = std::min(position + 1, tokens.size() - 1);
    return token;
  }
  bool accept(llvm::StringRef punctuation) {
    return peek().is(punctuation) && (take(), true);
  }
  bool acceptWord(llvm::StringRef word) {
    return peek().isWord(word) && (take(), true);
  }
  Result expect(llvm::StringRef punctuation);
  Result expectWord(llvm::StringRef word);
  /// The bracket that closes `open`.
  Result expectClose(llvm::StringRef punctuation, Token open);
  Result parseIdent(ast::Ident &ident, llvm::StringRef what);
  Result parseText(ast::Text &text, llvm::StringRef what);
  Result parsePath(ast::Path &path, llvm::StringRef what);

  mlir::InFlightDiagnostic error(llvm::SMLoc loc) {
    return diagnostics.error(loc);
  }
  mlir::InFlightDiagnostic error(const Token &token) {
    return diagnostics.error(token.loc());
  }
  /// "expected WHAT, found the next token".
  Result unexpected(const llvm::Twine &what);
  mlir::InFlightDiagnostic unexpectedError(const llvm::Twine &what);

  //===--------------------------------------------------------------------===//
  // Lists and nesting
  //===--------------------------------------------------------------------===//

  using Rule = llvm::function_ref<Result()>;
  /// `{ item item }`, with recovery after an item that fails.
  Result parseBraces(Rule item);
  /// `item SEPARATOR item ...`, one or more.
  Result parseList(llvm::StringRef separator, Rule item);
  Result parseNames(std::vector<ast::Ident> &names, llvm::StringRef what);
  /// Goes on behind the item that began at token `start` and failed.
  void recover(size_t start);
  /// Runs `rule` one level deeper.
  Result nested(Rule rule);

  //===--------------------------------------------------------------------===//
  // Files and models (ParseModel.cpp)
  //===--------------------------------------------------------------------===//

  Result parseModel(ast::Model &model);
  Result parseLibrary(ast::Library &library);
  Result parseUse(ast::Use &use);

  Result parseConfig(std::vector<ast::ConfigEntry> &entries);
  Result parseConfigEntry(std::vector<ast::ConfigEntry> &entries);
  Result parseVariant(ast::Variant &variant);
  Result parseVariantCase(ast::VariantCase &variantCase);

  Result parseDim(ast::Dim &dim);
  Result parseParam(ast::Param &param);
  Result parseShape(ast::Shape &shape);
  Result parseAxis(ast::Axis &axis);
  bool atAxisParts() const;
  Result parseShardItem(ast::ShardItem &item);
  Result parseAxisRef(ast::AxisRef &ref);

  Result parseBlock(ast::Block &block);
  Result parseLayers(ast::Layers &layers);
  Result parseFunction(ast::Function &function);
  Result parseFormals(std::vector<ast::Formal> &formals);
  Result parseBody(std::vector<ast::BodyItem> &body, bool onlyStatements);
  Result parseStmt(ast::Stmt &stmt);

  //===--------------------------------------------------------------------===//
  // Mappings (ParseMapping.cpp)
  //===--------------------------------------------------------------------===//

  Result parseMapping(ast::Mapping &mapping);
  Result parseConfigLines(std::vector<ast::ConfigLine> &lines);
  Result parseConfigLine(ast::ConfigLine &line);
  Result parseScale(ast::Scale &scale);
  Result parseMappingItem(std::vector<ast::MappingItem> &items);
  Result parsePart(ast::Part &part);
  Result parseUsePart(ast::UsePart &use);
  Result parseEach(ast::Each &each);
  Result parsePrefixes(std::vector<ast::NamePattern> &hf,
                       std::vector<ast::KeySegment> &mcore);
  Result parseEntry(ast::Entry &entry);
  Result parseAlternative(ast::Alternative &alternative);
  Result parseStoredName(ast::StoredName &name);
  Result parseView(std::optional<std::vector<ast::StoredDim>> &view);
  Result parseEachIn(std::optional<std::pair<ast::Ident, ast::Ident>> &each);
  Result parseKey(std::vector<ast::KeySegment> &key);
  Result parseName(ast::NamePattern &pattern);
  Result parseHole(llvm::StringRef hole, ast::ExprPtr &expr);

  //===--------------------------------------------------------------------===//
  // Expressions (ParseExpr.cpp)
  //===--------------------------------------------------------------------===//

  /// An expression over the configuration.
  Result parseConfigExpr(ast::ExprPtr &expr);
  /// An expression of the dataflow: block calls and keyword arguments too.
  Result parseDataExpr(ast::ExprPtr &expr);
  Result parseExpr(ast::ExprPtr &expr);
  /// Operators that bind at least as tightly as `minPrecedence`.
  Result parseBinary(ast::ExprPtr &expr, unsigned minPrecedence);
  Result parseUnary(ast::ExprPtr &expr);
  Result parsePostfix(ast::ExprPtr &expr);
  Result parsePrimary(ast::ExprPtr &expr);
  Result parseBracketed(ast::ExprPtr &expr);
  Result parseCall(ast::ExprPtr &expr);
  Result parseArgument(ast::Expr &call);
  Result parseNumber(ast::Expr &expr, llvm::StringRef digits);
  Result onlyInDataflow(const Token &token, llvm::StringRef what);

  /// A node with its operands, unless the tree gets too deep.
  Result makeNode(ast::ExprPtr &expr, ast::Expr::Kind kind, const Token &token,
                  std::vector<ast::ExprPtr> operands = {});
  Result checkDepth(ast::Expr &expr);

  std::vector<Token> tokens;
  size_t position = 0;
  unsigned depth = 0;
  bool inDataflow = false;
  bool reportedEnd = false;
  Diagnostics &diagnostics;
  llvm::StringRef endName;
};

/// How tightly an operator binds: 1 (`??`) to 7 (`* / %`); 0: not an operator.
/// The conditional is looser than all, unary and postfix ones are tighter.
unsigned precedence(llvm::StringRef binaryOperator);
constexpr unsigned comparisonPrecedence = 4, productPrecedence = 7;

} // namespace mbc
