#include "runtime/text/template/Parser.h"

#include "runtime/core/Text.h"

#include <algorithm>
#include <fmt/format.h>
#include <initializer_list>

namespace mbc::text::jinja {
namespace {

using Type = Token::Type;
using Names = std::initializer_list<std::string_view>;

/// Of blocks and parentheses in each other.
constexpr unsigned nestingLimit = 100;
/// Of operators and filters in each other: `a + b + c` has the height 3.
constexpr unsigned heightLimit = 250;

constexpr std::string_view supportedTags =
    "for, if, set, macro, call, filter, with, print, raw, break, continue and "
    "generation";

class Parser {
public:
  explicit Parser(std::string_view source) : tokens(tokenize(source)) {}

  Template parse() {
    Template result;
    result.body = parseBlock({}, {});
    return result;
  }

private:
  const Token &now() const { return tokens[position]; }
  const Token &ahead() const {
    return tokens[std::min(position + 1, tokens.size() - 1)];
  }
  const Token &take() {
    const Token &token = tokens[position];
    if (token.type != Type::End)
      ++position;
    return token;
  }
  [[noreturn]] void fail(Place place, std::string message) const {
    throw SyntaxProblem{place, std::move(message)};
  }
  [[noreturn]] void failExpected(std::string_view what) const {
    fail(now().place,
         fmt::format("expected {}, got {}", what, describe(now())));
  }
  void expect(Type type, std::string_view what) {
    if (now().type != type)
      failExpected(what);
    take();
  }
  void expectOperator(std::string_view op) {
    if (!now().isOperator(op))
      failExpected(fmt::format("'{}'", op));
    take();
  }
  std::string expectName(std::string_view what) {
    if (now().type != Type::Name)
      failExpected(what);
    return take().text;
  }
  bool skipName(std::string_view name) {
    bool there = now().isName(name);
    if (there)
      take();
    return there;
  }
  bool skipOperator(std::string_view op) {
    bool there = now().isOperator(op);
    if (there)
      take();
    return there;
  }
  bool isOneOf(Names names) const {
    return now().type == Type::Name &&
           std::ranges::find(names, now().text) != names.end();
  }

  class Nested {
  public:
    explicit Nested(Parser &parser) : parser(parser) {
      if (++parser.nesting > nestingLimit)
        parser.fail(parser.now().place,
                    fmt::format("more than {} blocks and parentheses are "
                                "inside of each other",
                                nestingLimit));
    }
    ~Nested() { --parser.nesting; }

  private:
    Parser &parser;
  };

  //===-- Statements ------------------------------------------------------===//

  StmtPtr make(Stmt::Type type, Place place) {
    auto stmt = std::make_unique<Stmt>();
    stmt->type = type;
    stmt->place = place;
    return stmt;
  }

  /// Up to a tag of `ends`, whose name is the next token then; empty: up to
  /// the end of the template.
  Block parseBlock(Names ends, Place opened) {
    Nested nested(*this);
    Block body;
    while (true) {
      const Token &token = now();
      if (token.type == Type::End) {
        if (ends.size() == 0)
          return body;
        fail(opened, fmt::format("the block has no end: expected '{{% {} %}}'",
                                 fmt::join(ends, " %}' or '{% ")));
      }
      if (token.type == Type::Data) {
        StmtPtr text = make(Stmt::Type::Text, token.place);
        text->text = take().text;
        body.push_back(std::move(text));
      } else if (token.type == Type::VariableBegin) {
        take();
        StmtPtr print = make(Stmt::Type::Print, now().place);
        print->values.push_back(parseTuple());
        expect(Type::VariableEnd, "'}}'");
        body.push_back(std::move(print));
      } else {
        take();
        if (isOneOf(ends))
          return body;
        body.push_back(parseStatement());
        expect(Type::BlockEnd, "'%}'");
      }
    }
  }

  /// The rest of a tag, then its body; `ends` as for parseBlock.
  Block parseBody(Names ends, Place opened) {
    skipOperator(":");
    expect(Type::BlockEnd, "'%}'");
    return parseBlock(ends, opened);
  }
  Block parseWholeBody(std::string_view end, Place opened) {
    Block body = parseBody({end}, opened);
    take();
    return body;
  }

  StmtPtr parseStatement() {
    const Token tag = now();
    if (tag.type != Type::Name)
      failExpected("the name of a tag");
    take();
    if (tag.text == "for")
      return parseFor(tag.place);
    if (tag.text == "if")
      return parseIf(tag.place);
    if (tag.text == "set")
      return parseSet(tag.place);
    if (tag.text == "macro")
      return parseMacro(tag.place);
    if (tag.text == "call")
      return parseCallBlock(tag.place);
    if (tag.text == "filter")
      return parseFilterBlock(tag.place);
    if (tag.text == "with")
      return parseWith(tag.place);
    if (tag.text == "print")
      return parsePrint(tag.place);
    if (tag.text == "generation") {
      StmtPtr stmt = make(Stmt::Type::Generation, tag.place);
      stmt->routine = std::make_unique<Routine>();
      stmt->body = parseWholeBody("endgeneration", tag.place);
      return stmt;
    }
    if (tag.text == "break")
      return make(Stmt::Type::Break, tag.place);
    if (tag.text == "continue")
      return make(Stmt::Type::Continue, tag.place);
    fail(tag.place, fmt::format("unknown tag {}; supported are {}",
                                quote(tag.text), supportedTags));
  }

  StmtPtr parseSet(Place place) {
    ExprPtr target = parseTarget(true, {});
    if (skipOperator("=")) {
      StmtPtr stmt = make(Stmt::Type::Set, place);
      stmt->target = std::move(target);
      stmt->values.push_back(parseTuple());
      return stmt;
    }
    StmtPtr stmt = make(Stmt::Type::SetBlock, place);
    stmt->target = std::move(target);
    if (now().isOperator("|"))
      stmt->values.push_back(parseFilters(nullptr));
    stmt->body = parseWholeBody("endset", place);
    return stmt;
  }

  StmtPtr parseFor(Place place) {
    StmtPtr stmt = make(Stmt::Type::For, place);
    stmt->target = parseTarget(false, {"in"});
    if (!skipName("in"))
      failExpected("'in'");
    stmt->values.push_back(parseTuple(false, {"recursive"}));
    if (skipName("if"))
      stmt->values.push_back(parseExpression());
    stmt->recursive = skipName("recursive");
    stmt->body = parseBody({"endfor", "else"}, place);
    if (take().text == "else")
      stmt->otherwise = parseWholeBody("endfor", place);
    return stmt;
  }

  StmtPtr parseIf(Place place) {
    StmtPtr stmt = make(Stmt::Type::If, place);
    while (true) {
      stmt->values.push_back(parseTuple(false));
      stmt->branches.push_back(parseBody({"elif", "else", "endif"}, place));
      std::string next = take().text;
      if (next == "elif")
        continue;
      if (next == "else")
        stmt->branches.push_back(parseWholeBody("endif", place));
      return stmt;
    }
  }

  void parseSignature(Routine &routine) {
    expectOperator("(");
    while (!now().isOperator(")")) {
      if (!routine.parameters.empty())
        expectOperator(",");
      ExprPtr parameter = parseTargetName();
      parameter->use = Expr::Use::Parameter;
      for (const ExprPtr &other : routine.parameters)
        if (other->name == parameter->name)
          fail(parameter->place,
               fmt::format("there are two parameters {}", quote(other->name)));
      if (skipOperator("="))
        routine.defaults.push_back(parseExpression());
      else if (!routine.defaults.empty())
        fail(parameter->place,
             fmt::format("the parameter {} needs a default, as one before it "
                         "has",
                         quote(parameter->name)));
      routine.parameters.push_back(std::move(parameter));
    }
    expectOperator(")");
  }

  StmtPtr parseMacro(Place place) {
    StmtPtr stmt = make(Stmt::Type::Macro, place);
    stmt->routine = std::make_unique<Routine>();
    stmt->routine->name = parseTargetName()->name;
    parseSignature(*stmt->routine);
    stmt->body = parseWholeBody("endmacro", place);
    return stmt;
  }

  StmtPtr parseCallBlock(Place place) {
    StmtPtr stmt = make(Stmt::Type::CallBlock, place);
    stmt->routine = std::make_unique<Routine>();
    if (now().isOperator("("))
      parseSignature(*stmt->routine);
    Place callPlace = now().place;
    stmt->values.push_back(parseExpression());
    if (stmt->values[0]->type != Expr::Type::Call)
      fail(callPlace, "expected the call of a macro");
    stmt->body = parseWholeBody("endcall", place);
    return stmt;
  }

  StmtPtr parseFilterBlock(Place place) {
    StmtPtr stmt = make(Stmt::Type::FilterBlock, place);
    ExprPtr first = parseFilter(nullptr);
    stmt->values.push_back(parseFilters(std::move(first)));
    stmt->body = parseWholeBody("endfilter", place);
    return stmt;
  }

  StmtPtr parseWith(Place place) {
    StmtPtr stmt = make(Stmt::Type::With, place);
    while (now().type != Type::BlockEnd) {
      if (!stmt->targets.empty())
        expectOperator(",");
      ExprPtr target = parseTarget(false, {});
      setUse(*target, Expr::Use::Parameter);
      stmt->targets.push_back(std::move(target));
      expectOperator("=");
      stmt->values.push_back(parseExpression());
    }
    stmt->body = parseWholeBody("endwith", place);
    return stmt;
  }

  StmtPtr parsePrint(Place place) {
    StmtPtr stmt = make(Stmt::Type::Print, place);
    while (now().type != Type::BlockEnd) {
      if (!stmt->values.empty())
        expectOperator(",");
      stmt->values.push_back(parseExpression());
    }
    return stmt;
  }

  //===-- Targets of assignments ------------------------------------------===//

  static void setUse(Expr &expr, Expr::Use use) {
    if (expr.type == Expr::Type::Name)
      expr.use = use;
    if (expr.type == Expr::Type::Tuple)
      for (const ExprPtr &item : expr.items)
        setUse(*item, use);
  }

  void checkTarget(const Expr &expr) const {
    bool assigns = expr.type == Expr::Type::Attribute ||
                   expr.type == Expr::Type::Tuple ||
                   expr.type == Expr::Type::Name;
    static constexpr std::string_view constants[] = {"true",  "True", "false",
                                                     "False", "none", "None"};
    if (!assigns ||
        (expr.type == Expr::Type::Name &&
         std::ranges::find(constants, expr.name) != std::end(constants)))
      fail(expr.place, "this cannot be assigned to; expected a name, "
                       "NAMESPACE.NAME or several with commas");
    if (expr.type == Expr::Type::Tuple)
      for (const ExprPtr &item : expr.items)
        checkTarget(*item);
  }

  ExprPtr parseTarget(bool attributes, Names ends) {
    Place place = now().place;
    std::vector<ExprPtr> items;
    bool tuple = false;
    while (true) {
      if (!items.empty())
        expectOperator(",");
      if (isTupleEnd(ends))
        break;
      items.push_back(parsePrimary(attributes));
      if (!now().isOperator(","))
        break;
      tuple = true;
      place = now().place;
    }
    ExprPtr target = finishTuple(std::move(items), tuple, false, place);
    setUse(*target, Expr::Use::Store);
    checkTarget(*target);
    return target;
  }

  ExprPtr parseTargetName() {
    ExprPtr target = makeExpr(Expr::Type::Name, now().place);
    target->name = expectName("a name");
    target->use = Expr::Use::Store;
    checkTarget(*target);
    return target;
  }

  //===-- Expressions -----------------------------------------------------===//

  ExprPtr makeExpr(Expr::Type type, Place place) const {
    auto expr = std::make_unique<Expr>();
    expr->type = type;
    expr->place = place;
    return expr;
  }
  template <typename... Items>
  ExprPtr makeExpr(Expr::Type type, Place place, Items... items) const {
    ExprPtr expr = makeExpr(type, place);
    (add(*expr, std::move(items)), ...);
    return expr;
  }
  void add(Expr &expr, ExprPtr item) const {
    if (item)
      raise(expr, *item);
    expr.items.push_back(std::move(item));
  }
  void raise(Expr &expr, const Expr &item) const {
    expr.height = std::max(expr.height, item.height + 1);
    if (expr.height > heightLimit)
      fail(item.place, fmt::format("an expression has more than {} operators "
                                   "inside of each other",
                                   heightLimit));
  }

  bool isTupleEnd(Names ends) const {
    return now().type == Type::VariableEnd || now().type == Type::BlockEnd ||
           now().isOperator(")") || isOneOf(ends);
  }

  ExprPtr finishTuple(std::vector<ExprPtr> items, bool tuple, bool parentheses,
                      Place place) const {
    if (!tuple && !items.empty())
      return std::move(items[0]);
    if (!tuple && !parentheses)
      failExpected("an expression");
    ExprPtr expr = makeExpr(Expr::Type::Tuple, place);
    for (ExprPtr &item : items)
      add(*expr, std::move(item));
    return expr;
  }

  ExprPtr parseTuple(bool conditions = true, Names ends = {},
                     bool parentheses = false) {
    Place place = now().place;
    std::vector<ExprPtr> items;
    bool tuple = false;
    while (true) {
      if (!items.empty())
        expectOperator(",");
      if (isTupleEnd(ends))
        break;
      items.push_back(conditions ? parseExpression() : parseOr());
      if (!now().isOperator(","))
        break;
      tuple = true;
    }
    return finishTuple(std::move(items), tuple, parentheses, place);
  }

  ExprPtr parseExpression() {
    Nested nested(*this);
    Place place = now().place;
    ExprPtr value = parseOr();
    while (now().isName("if")) {
      take();
      ExprPtr condition = parseOr();
      ExprPtr otherwise = skipName("else") ? parseExpression() : nullptr;
      value = makeExpr(Expr::Type::Condition, place, std::move(condition),
                       std::move(value), std::move(otherwise));
    }
    return value;
  }

  /// What parses one side of an operator: the operators that bind tighter.
  using ParseSide = ExprPtr (Parser::*)();

  /// SIDE, or SIDE word SIDE ...
  ExprPtr parseJoined(std::string_view word, Expr::Type type, ParseSide side) {
    ExprPtr left = (this->*side)();
    while (now().isName(word)) {
      Place place = take().place;
      left = makeExpr(type, place, std::move(left), (this->*side)());
    }
    return left;
  }

  ExprPtr parseOr() {
    return parseJoined("or", Expr::Type::Or, &Parser::parseAnd);
  }

  ExprPtr parseAnd() {
    return parseJoined("and", Expr::Type::And, &Parser::parseNot);
  }

  ExprPtr parseNot() {
    if (!now().isName("not"))
      return parseCompare();
    Nested nested(*this);
    Place place = take().place;
    return makeExpr(Expr::Type::Not, place, parseNot());
  }

  ExprPtr parseCompare() {
    ExprPtr first = parseSum();
    std::vector<std::string> operators;
    ExprPtr result;
    while (true) {
      static constexpr std::string_view comparisons[] = {"==", "!=", "<",
                                                         "<=", ">",  ">="};
      std::string op;
      Place place = now().place;
      if (now().type == Type::Operator &&
          std::ranges::find(comparisons, now().text) != std::end(comparisons)) {
        op = take().text;
      } else if (skipName("in")) {
        op = "in";
      } else if (now().isName("not") && ahead().isName("in")) {
        take();
        take();
        op = "not in";
      } else {
        return result ? std::move(result) : std::move(first);
      }
      if (!result)
        result = makeExpr(Expr::Type::Compare, place, std::move(first));
      result->operators.push_back(op);
      add(*result, parseSum());
    }
  }

  /// SIDE, or SIDE op SIDE ..., from the left also where op is a power.
  ExprPtr parseBinary(Names operators, ParseSide side) {
    ExprPtr left = (this->*side)();
    while (now().type == Type::Operator &&
           std::ranges::find(operators, now().text) != operators.end()) {
      const Token &op = take();
      left = makeExpr(Expr::Type::Binary, op.place, std::move(left),
                      (this->*side)());
      left->name = op.text;
    }
    return left;
  }

  ExprPtr parseSum() { return parseBinary({"+", "-"}, &Parser::parseConcat); }

  ExprPtr parseConcat() {
    ExprPtr first = parseProduct();
    if (!now().isOperator("~"))
      return first;
    ExprPtr expr = makeExpr(Expr::Type::Concat, now().place, std::move(first));
    while (skipOperator("~"))
      add(*expr, parseProduct());
    return expr;
  }

  ExprPtr parseProduct() {
    return parseBinary({"*", "/", "//", "%"}, &Parser::parsePower);
  }

  ExprPtr parsePower() { return parseBinary({"**"}, &Parser::parseUnary); }

  ExprPtr parseUnary() { return parseSigned(true); }

  ExprPtr parseSigned(bool filters) {
    ExprPtr expr;
    if (now().isOperator("-") || now().isOperator("+")) {
      Nested nested(*this);
      const Token &sign = take();
      Expr::Type type =
          sign.text == "-" ? Expr::Type::Negate : Expr::Type::Plus;
      Place place = sign.place;
      expr = makeExpr(type, place, parseSigned(false));
    } else {
      expr = parsePrimary(false);
    }
    expr = parsePostfix(std::move(expr));
    return filters ? parseFilterExpr(std::move(expr)) : std::move(expr);
  }

  ExprPtr makeConstant(Place place, Value value) const {
    ExprPtr expr = makeExpr(Expr::Type::Constant, place);
    expr->value = std::move(value);
    return expr;
  }

  /// `attributes`: NAME.NAME is the target of an assignment.
  ExprPtr parsePrimary(bool attributes) {
    const Token &token = now();
    switch (token.type) {
    case Type::Name:
      return parseName(attributes);
    case Type::String: {
      std::string text;
      while (now().type == Type::String)
        text += take().text;
      return makeConstant(token.place, Value::str(std::move(text)));
    }
    case Type::Integer:
    case Type::Float:
      take();
      return makeConstant(token.place, token.number);
    default:
      break;
    }
    if (skipOperator("(")) {
      Nested nested(*this);
      ExprPtr expr = parseTuple(true, {}, true);
      expectOperator(")");
      return expr;
    }
    if (token.isOperator("["))
      return parseList();
    if (token.isOperator("{"))
      return parseDict();
    failExpected("an expression");
  }

  ExprPtr parseName(bool attributes) {
    const Token &token = take();
    const std::string &name = token.text;
    if (name == "true" || name == "True" || name == "false" || name == "False")
      return makeConstant(token.place,
                          Value::boolean(name[0] == 't' || name[0] == 'T'));
    if (name == "none" || name == "None")
      return makeConstant(token.place, Value::none());
    bool attribute = attributes && skipOperator(".");
    ExprPtr expr = makeExpr(
        attribute ? Expr::Type::Attribute : Expr::Type::Name, token.place);
    expr->name = name;
    if (attribute)
      expr->attribute = expectName("the name of an attribute");
    return expr;
  }

  /// Items with commas between them, and maybe behind the last one, up to and
  /// with the operator `end`.
  template <typename Parse>
  void parseItems(std::string_view end, Parse parseOne) {
    for (bool first = true; !now().isOperator(end); first = false) {
      if (!first) {
        expectOperator(",");
        if (now().isOperator(end))
          break;
      }
      parseOne();
    }
    take();
  }

  ExprPtr parseList() {
    Nested nested(*this);
    ExprPtr list = makeExpr(Expr::Type::List, take().place);
    parseItems("]", [&] { add(*list, parseExpression()); });
    return list;
  }

  ExprPtr parseDict() {
    Nested nested(*this);
    ExprPtr dict = makeExpr(Expr::Type::Dict, take().place);
    parseItems("}", [&] {
      add(*dict, parseExpression());
      expectOperator(":");
      add(*dict, parseExpression());
    });
    return dict;
  }

  ExprPtr parsePostfix(ExprPtr expr) {
    while (true) {
      if (now().isOperator("."))
        expr = parseMember(std::move(expr));
      else if (now().isOperator("["))
        expr = parseItem(std::move(expr));
      else if (now().isOperator("("))
        expr = parseCall(std::move(expr));
      else
        return expr;
    }
  }

  ExprPtr parseFilterExpr(ExprPtr expr) {
    while (true) {
      if (now().isOperator("|"))
        expr = parseFilters(std::move(expr));
      else if (now().isName("is"))
        expr = parseTest(std::move(expr));
      else if (now().isOperator("("))
        expr = parseCall(std::move(expr));
      else
        return expr;
    }
  }

  ExprPtr parseMember(ExprPtr object) {
    Place place = take().place;
    if (now().type == Type::Integer)
      return makeExpr(Expr::Type::Item, place, std::move(object),
                      makeConstant(now().place, take().number));
    ExprPtr expr = makeExpr(Expr::Type::Member, place, std::move(object));
    expr->name = expectName("a name or a number behind '.'");
    return expr;
  }

  ExprPtr parseItem(ExprPtr object) {
    Nested nested(*this);
    Place place = take().place;
    ExprPtr result;
    std::vector<ExprPtr> indices;
    while (!now().isOperator("]")) {
      if (!indices.empty())
        expectOperator(",");
      if (now().isOperator(":")) {
        indices.push_back(parseSlice(nullptr));
        continue;
      }
      ExprPtr index = parseExpression();
      indices.push_back(now().isOperator(":") ? parseSlice(std::move(index))
                                              : std::move(index));
    }
    take();
    // A slice of something else is an index as any other.
    auto isBare = [](const ExprPtr &index) {
      return index->type == Expr::Type::Slice && !index->items[0];
    };
    if (indices.size() == 1 && isBare(indices[0])) {
      indices[0]->items[0] = std::move(object);
      raise(*indices[0], *indices[0]->items[0]);
      indices[0]->place = place;
      return std::move(indices[0]);
    }
    for (const ExprPtr &index : indices)
      if (isBare(index))
        fail(index->place, "a slice cannot be one of several indices");
    if (indices.size() != 1) {
      ExprPtr tuple = makeExpr(Expr::Type::Tuple, place);
      for (ExprPtr &index : indices)
        add(*tuple, std::move(index));
      return makeExpr(Expr::Type::Item, place, std::move(object),
                      std::move(tuple));
    }
    return makeExpr(Expr::Type::Item, place, std::move(object),
                    std::move(indices[0]));
  }

  /// Behind the start, at ':'. The object comes later.
  ExprPtr parseSlice(ExprPtr start) {
    Place place = take().place;
    auto ends = [&] {
      return now().isOperator(":") || now().isOperator("]") ||
             now().isOperator(",");
    };
    ExprPtr stop = ends() ? nullptr : parseExpression();
    ExprPtr step;
    if (skipOperator(":") && !ends())
      step = parseExpression();
    return makeExpr(Expr::Type::Slice, place, ExprPtr(), std::move(start),
                    std::move(stop), std::move(step));
  }

  /// "(...)", added to `expr`.
  void parseArguments(Expr &expr) {
    Nested nested(*this);
    Place place = take().place;
    auto ensure = [&](bool right) {
      if (!right)
        fail(place, "the arguments are in a wrong order; expected values, "
                    "then NAME=VALUE, then *LIST, then **DICT");
    };
    parseItems(")", [&] {
      if (skipOperator("*")) {
        ensure(!expr.spread && !expr.spreadKeywords);
        expr.spread = parseExpression();
        raise(expr, *expr.spread);
      } else if (skipOperator("**")) {
        ensure(!expr.spreadKeywords);
        expr.spreadKeywords = parseExpression();
        raise(expr, *expr.spreadKeywords);
      } else if (now().type == Type::Name && ahead().isOperator("=")) {
        ensure(!expr.spreadKeywords);
        parseKeyword(expr);
      } else {
        ensure(!expr.spread && !expr.spreadKeywords && expr.keywords.empty());
        add(expr, parseExpression());
      }
    });
  }

  void parseKeyword(Expr &expr) {
    const Token &name = take();
    for (const auto &[other, value] : expr.keywords)
      if (other == name.text)
        fail(name.place,
             fmt::format("there are two arguments {}", quote(name.text)));
    take();
    ExprPtr value = parseExpression();
    raise(expr, *value);
    expr.keywords.emplace_back(name.text, std::move(value));
  }

  ExprPtr parseCall(ExprPtr callee) {
    ExprPtr call = makeExpr(Expr::Type::Call, now().place, std::move(callee));
    parseArguments(*call);
    return call;
  }

  std::string parseDottedName(std::string_view what) {
    std::string name = expectName(what);
    while (skipOperator("."))
      name += "." + expectName(what);
    return name;
  }

  ExprPtr parseFilters(ExprPtr value) {
    while (skipOperator("|"))
      value = parseFilter(std::move(value));
    return value;
  }

  /// At the name. A null value: the text of a block.
  ExprPtr parseFilter(ExprPtr value) {
    ExprPtr filter =
        makeExpr(Expr::Type::Filter, now().place, std::move(value));
    filter->name = parseDottedName("the name of a filter");
    if (now().isOperator("("))
      parseArguments(*filter);
    return filter;
  }

  ExprPtr parseTest(ExprPtr value) {
    Place place = take().place;
    bool negated = skipName("not");
    ExprPtr test = makeExpr(Expr::Type::Test, now().place, std::move(value));
    test->name = parseDottedName("the name of a test");
    if (now().isOperator("(")) {
      parseArguments(*test);
    } else if (startsArgument()) {
      if (now().isName("is"))
        fail(now().place, "tests with 'is' cannot follow each other");
      add(*test, parsePostfix(parsePrimary(false)));
    }
    return negated ? makeExpr(Expr::Type::Not, place, std::move(test))
                   : std::move(test);
  }

  /// A test may have one argument without parentheses.
  bool startsArgument() const {
    switch (now().type) {
    case Type::Name:
      return !isOneOf({"else", "or", "and"});
    case Type::String:
    case Type::Integer:
    case Type::Float:
      return true;
    default:
      return now().isOperator("[") || now().isOperator("{");
    }
  }

  std::vector<Token> tokens;
  size_t position = 0;
  unsigned nesting = 0;
};

} // namespace

Template parseTemplate(std::string_view source) {
  return Parser(source).parse();
}

} // namespace mbc::text::jinja
