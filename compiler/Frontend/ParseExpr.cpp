//===- ParseExpr.cpp - Expressions ----------------------------------------===//

#include "compiler/Frontend/ParserImpl.h"

#include "llvm/ADT/APFloat.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringSwitch.h"
#include "llvm/Support/Error.h"
#include "llvm/Support/SaveAndRestore.h"

using namespace mbc;
using ast::Expr;
using ast::ExprPtr;
using llvm::failure;
using llvm::StringRef;
using llvm::success;
using Result = Parser::Result;

unsigned mbc::precedence(StringRef binaryOperator) {
  return llvm::StringSwitch<unsigned>(binaryOperator)
      .Case("??", 1)
      .Case("||", 2)
      .Case("&&", 3)
      .Cases({"==", "!=", "<", "<=", ">", ">=", "in"}, comparisonPrecedence)
      .Case("|", 5)
      .Cases({"+", "-"}, 6)
      .Cases({"*", "/", "%"}, productPrecedence)
      .Default(0);
}

//===----------------------------------------------------------------------===//
// Nodes
//===----------------------------------------------------------------------===//

Result Parser::makeNode(ExprPtr &expr, Expr::Kind kind, const Token &token,
                        std::vector<ExprPtr> operands) {
  expr = std::make_unique<Expr>();
  expr->kind = kind;
  expr->loc = token.loc();
  expr->operands = std::move(operands);
  return checkDepth(*expr);
}

/// Bounds the recursion of everything that walks the tree: `a + b + c` is deep
/// though no parentheses are.
Result Parser::checkDepth(Expr &expr) {
  auto include = [&](const ExprPtr &child) {
    expr.depth = std::max(expr.depth, child->depth + 1);
  };
  llvm::for_each(expr.operands, include);
  llvm::for_each(expr.dimArgs, include);
  for (const ast::Argument &argument : expr.arguments)
    include(argument.value);
  if (expr.depth <= maxDepth)
    return success();
  diagnostics.error(expr.loc) // L08
      << "expression nested deeper than " << maxDepth << " levels";
  return failure();
}

//===----------------------------------------------------------------------===//
// Operators
//===----------------------------------------------------------------------===//

Result Parser::parseConfigExpr(ExprPtr &expr) {
  llvm::SaveAndRestore config(inDataflow, false);
  return parseExpr(expr);
}

Result Parser::parseDataExpr(ExprPtr &expr) {
  llvm::SaveAndRestore dataflow(inDataflow, true);
  return parseExpr(expr);
}

Result Parser::parseExpr(ExprPtr &expr) {
  return nested([&]() -> Result {
    if (parseBinary(expr, 1))
      return failure();
    const Token question = peek();
    if (!accept("?"))
      return success();
    std::vector<ExprPtr> operands(3);
    operands[0] = std::move(expr);
    if (parseExpr(operands[1]) || expect(":") || parseExpr(operands[2]))
      return failure();
    return makeNode(expr, Expr::Kind::Ternary, question, std::move(operands));
  });
}

Result Parser::parseBinary(ExprPtr &expr, unsigned minPrecedence) {
  if (parseUnary(expr))
    return failure();
  std::optional<Token> comparison;
  for (;;) {
    const Token token = peek();
    if (token.isString())
      return success();
    unsigned level = precedence(token.text);
    if (!level || level < minPrecedence)
      return success();
    if (level == comparisonPrecedence) {
      if (comparison) { // L11
        error(token) << "'" << token.text << "' compares the result of '"
                     << comparison->text
                     << "': join comparisons with '&&', or use parentheses";
        return failure();
      }
      comparison = token;
    } else if (level < comparisonPrecedence) {
      comparison.reset();
    }
    take();
    std::vector<ExprPtr> operands(2);
    operands[0] = std::move(expr);
    if (parseBinary(operands[1], level + 1) ||
        makeNode(expr, Expr::Kind::Binary, token, std::move(operands)))
      return failure();
    expr->op = token.text;
  }
}

Result Parser::parseUnary(ExprPtr &expr) {
  const Token token = peek();
  if (!accept("-") && !accept("!"))
    return parsePostfix(expr);
  return nested([&]() -> Result {
    std::vector<ExprPtr> operands(1);
    if (parseUnary(operands[0]) ||
        makeNode(expr, Expr::Kind::Unary, token, std::move(operands)))
      return failure();
    expr->op = token.text;
    return success();
  });
}

//===----------------------------------------------------------------------===//
// Members, indices and calls
//===----------------------------------------------------------------------===//

Result Parser::parsePostfix(ExprPtr &expr) {
  if (parsePrimary(expr))
    return failure();
  for (;;) {
    const Token token = peek();
    if (accept(".")) {
      std::vector<ExprPtr> operands;
      operands.push_back(std::move(expr));
      if (makeNode(expr, Expr::Kind::Member, token, std::move(operands)) ||
          parseIdent(expr->name, "a field after '.'"))
        return failure();
    } else if (token.is("[")) {
      if (parseBracketed(expr))
        return failure();
    } else if (token.is("(")) {
      if (parseCall(expr))
        return failure();
    } else {
      break;
    }
  }
  const Token as = peek();
  if (!acceptWord("as"))
    return success();
  if (expr->kind != Expr::Kind::Call) { // L12
    error(as) << "'as' names the instance of a block call: expected a call "
                 "before it";
    return failure();
  }
  if (onlyInDataflow(as, "'as'"))
    return failure();
  return parseIdent(expr->instance.emplace(), "the name of the instance");
}

/// `list[i]`, or the `[dims]` of `Block[dims](...)`.
Result Parser::parseBracketed(ExprPtr &expr) {
  const Token open = take();
  std::vector<ExprPtr> inside;
  llvm::SaveAndRestore config(inDataflow, false);
  if (parseList(",", [&] { return parseExpr(inside.emplace_back()); }) ||
      expectClose("]", open))
    return failure();
  if (peek().is("(") && expr->kind == Expr::Kind::Name) {
    expr->dimArgs = std::move(inside);
    return success();
  }
  if (inside.size() != 1) { // L13
    error(open) << "an index is one value, found " << inside.size();
    return failure();
  }
  std::vector<ExprPtr> operands;
  operands.push_back(std::move(expr));
  operands.push_back(std::move(inside.front()));
  return makeNode(expr, Expr::Kind::Index, open, std::move(operands));
}

Result Parser::parseCall(ExprPtr &expr) {
  const Token open = take();
  if (expr->kind != Expr::Kind::Name) { // L14
    error(open) << "only a name can be called, as in f(x) or Block[dims](x)";
    return failure();
  }
  if (!expr->dimArgs.empty() && onlyInDataflow(open, "a block call"))
    return failure();
  expr->kind = Expr::Kind::Call;
  if (!peek().is(")") && parseList(",", [&] { return parseArgument(*expr); }))
    return failure();
  if (expectClose(")", open))
    return failure();
  return checkDepth(*expr);
}

/// `value` or `keyword: value`.
Result Parser::parseArgument(Expr &call) {
  const Token first = peek();
  ast::Argument argument;
  if (first.isIdentifier() && peek(1).is(":")) {
    if (onlyInDataflow(first, "a keyword argument") ||
        parseIdent(argument.keyword, "a keyword"))
      return failure();
    take();
    for (const ast::Argument &other : call.arguments)
      if (other.keyword.name == first.text) { // L17
        auto diagnostic = error(first)
                          << "argument '" << first.text << "' given twice";
        diagnostic.attachNote(diagnostics.at(other.keyword.loc))
            << "first given here";
        return diagnostic;
      }
  } else if (!call.arguments.empty() &&
             !call.arguments.back().keyword.name.empty()) { // L16
    error(first) << "expected 'keyword: value' after the keyword argument '"
                 << call.arguments.back().keyword.name << "'";
    return failure();
  }
  if (parseExpr(argument.value))
    return failure();
  call.arguments.push_back(std::move(argument));
  return success();
}

Result Parser::onlyInDataflow(const Token &token, StringRef what) {
  if (inDataflow)
    return success();
  error(token) << what << " cannot stand in a configuration expression"; // L15
  return failure();
}

//===----------------------------------------------------------------------===//
// Primaries
//===----------------------------------------------------------------------===//

Result Parser::parsePrimary(ExprPtr &expr) {
  const Token token = peek();
  switch (token.kind) {
  case Token::Kind::Integer:
  case Token::Kind::Float: {
    take();
    bool isInteger = token.kind == Token::Kind::Integer;
    if (makeNode(expr, isInteger ? Expr::Kind::Int : Expr::Kind::Float, token))
      return failure();
    return parseNumber(*expr, token.text);
  }
  case Token::Kind::String: {
    ast::Text text;
    if (parseText(text, "a string") ||
        makeNode(expr, Expr::Kind::String, token))
      return failure();
    expr->text = std::move(text.value);
    return success();
  }
  case Token::Kind::Identifier: {
    take();
    auto kind = llvm::StringSwitch<Expr::Kind>(token.text)
                    .Case("true", Expr::Kind::True)
                    .Case("false", Expr::Kind::False)
                    .Case("none", Expr::Kind::None)
                    .Default(Expr::Kind::Name);
    if (makeNode(expr, kind, token))
      return failure();
    if (kind == Expr::Kind::Name)
      expr->name = {token.text, token.loc()};
    return success();
  }
  default:
    break;
  }
  if (accept("(")) {
    if (parseExpr(expr))
      return failure();
    return expectClose(")", token);
  }
  if (accept("[")) {
    std::vector<ExprPtr> elements;
    if (!peek().is("]") &&
        parseList(",", [&] { return parseExpr(elements.emplace_back()); }))
      return failure();
    if (expectClose("]", token))
      return failure();
    return makeNode(expr, Expr::Kind::List, token, std::move(elements));
  }
  return unexpected("an expression");
}

Result Parser::parseNumber(Expr &expr, StringRef digits) {
  if (expr.kind == Expr::Kind::Int) {
    if (!digits.getAsInteger(10, expr.intValue))
      return success();
    diagnostics.error(expr.loc) // L18
        << "integer '" << digits << "' is out of range: the largest is "
        << std::numeric_limits<int64_t>::max();
    return failure();
  }
  llvm::APFloat value(llvm::APFloat::IEEEdouble());
  auto status =
      value.convertFromString(digits, llvm::APFloat::rmNearestTiesToEven);
  if (!status) {
    llvm::consumeError(status.takeError());
  } else if (!(*status &
               (llvm::APFloat::opOverflow | llvm::APFloat::opUnderflow))) {
    expr.floatValue = value.convertToDouble();
    return success();
  }
  diagnostics.error(expr.loc) // L18
      << "float '" << digits << "' is out of the range of a double";
  return failure();
}
