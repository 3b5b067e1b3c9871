//===- LowerExpr.cpp - Expressions to attributes --------------------------===//

#include "compiler/Frontend/LowerExpr.h"
#include "dialects/NN/Expr.h"

#include "mlir/IR/Builders.h"

using namespace mbc;
using llvm::StringRef;
using mlir::Attribute;
using mlir::FailureOr;

namespace {

struct Function {
  StringRef name;
  unsigned arity;
};

constexpr Function functions[] = {
    {"sqrt", 1}, {"ceil_div", 2}, {"round_up", 2}, {"min", 2}, {"max", 2},
    {"len", 1},  {"float", 1},    {"log", 1},      {"all", 2}};

const Function *findFunction(StringRef name) {
  for (const Function &function : functions)
    if (function.name == name)
      return &function;
  return nullptr;
}

class ExprLowering {
public:
  explicit ExprLowering(const ExprContext &where)
      : where(where), builder(where.context) {}

  FailureOr<Attribute> lower(const ast::Expr &expr);

private:
  FailureOr<Attribute> lowerName(const ast::Expr &expr);
  FailureOr<Attribute> lowerMember(const ast::Expr &expr);
  FailureOr<Attribute> lowerCall(const ast::Expr &expr);
  FailureOr<Attribute> lowerPerLayer(const ast::Expr &expr);
  FailureOr<Attribute> lowerOperands(StringRef op, const ast::Expr &expr);
  /// "a.b.c" if that is what the expression is and `a` is no name.
  std::string fieldPath(const ast::Expr &expr);

  const ExprContext &where;
  mlir::Builder builder;
};

} // namespace

std::string ExprLowering::fieldPath(const ast::Expr &expr) {
  if (expr.kind == ast::Expr::Kind::Name)
    return where.names.lookup(expr.name.name) ? "" : expr.name.name.str();
  if (expr.kind != ast::Expr::Kind::Member)
    return "";
  std::string prefix = fieldPath(*expr.operands[0]);
  return prefix.empty() ? "" : prefix + "." + expr.name.name.str();
}

FailureOr<Attribute> ExprLowering::lowerName(const ast::Expr &expr) {
  if (const NameScope::Entry *entry = where.names.lookup(expr.name.name))
    return entry->expr;
  if (where.fields)
    return makeField(where.context, expr.name.name, where.objects);
  // (L43)
  return where.diagnostics.error(expr.name.loc)
         << "unknown name '" << expr.name.name << "'";
}

FailureOr<Attribute> ExprLowering::lowerMember(const ast::Expr &expr) {
  if (where.fields)
    if (std::string path = fieldPath(expr); !path.empty())
      return makeField(where.context, path, where.objects);
  FailureOr<Attribute> record = lower(*expr.operands[0]);
  if (failed(record))
    return mlir::failure();
  return nn::buildExpr(where.context, ".field",
                       {*record, builder.getStringAttr(expr.name.name)});
}

/// `per_layer(decoder, l, body)`: a list, the body for each layer of a stack.
FailureOr<Attribute> ExprLowering::lowerPerLayer(const ast::Expr &expr) {
  using Kind = ast::Expr::Kind;
  if (expr.arguments.size() != 3 ||
      expr.arguments[0].value->kind != Kind::Name ||
      expr.arguments[1].value->kind != Kind::Name)
    return where.diagnostics.error(expr.name.loc) // (L46)
           << "'per_layer' needs a stack of layers, an index name and an "
              "expression";
  const ast::Ident &stack = expr.arguments[0].value->name;
  const ast::Ident &index = expr.arguments[1].value->name;
  Attribute count = where.names.stackCount(stack.name);
  if (!count)
    return where.diagnostics.error(stack.loc) // (L40)
           << "unknown layers '" << stack.name << "'";
  NameScope inner(&where.names);
  inner.define(index.name, NameScope::Kind::Index,
               mlir::FlatSymbolRefAttr::get(where.context, index.name),
               index.loc, /*own=*/false);
  FailureOr<Attribute> body =
      lowerExpr(*expr.arguments[2].value, {where.diagnostics, where.context,
                                           inner, where.fields, where.objects});
  if (failed(body))
    return mlir::failure();
  return nn::buildExpr(where.context, "per_layer",
                       {builder.getStringAttr(index.name), count, *body});
}

FailureOr<Attribute> ExprLowering::lowerCall(const ast::Expr &expr) {
  if (expr.name.name == "per_layer")
    return lowerPerLayer(expr);
  const Function *function = findFunction(expr.name.name);
  if (!function) // (L40)
    return where.diagnostics.error(expr.name.loc)
           << "unknown function '" << expr.name.name << "'";
  // (L46) (L47)
  if (expr.arguments.size() != function->arity)
    return where.diagnostics.error(expr.name.loc)
           << "'" << function->name << "' needs " << function->arity
           << (function->arity == 1 ? " argument" : " arguments") << ", found "
           << expr.arguments.size();
  llvm::SmallVector<Attribute> operands;
  for (const ast::Argument &argument : expr.arguments) {
    if (!argument.keyword.name.empty())
      return where.diagnostics.error(argument.keyword.loc)
             << "'" << function->name << "' has no argument named '"
             << argument.keyword.name << "'";
    FailureOr<Attribute> operand = lower(*argument.value);
    if (failed(operand))
      return mlir::failure();
    operands.push_back(*operand);
  }
  return nn::buildExpr(where.context, function->name, operands);
}

FailureOr<Attribute> ExprLowering::lowerOperands(StringRef op,
                                                 const ast::Expr &expr) {
  llvm::SmallVector<Attribute> operands;
  for (const ast::ExprPtr &operand : expr.operands) {
    FailureOr<Attribute> lowered = lower(*operand);
    if (failed(lowered))
      return mlir::failure();
    operands.push_back(*lowered);
  }
  if (op == "[..]")
    return Attribute(builder.getArrayAttr(operands));
  return nn::buildExpr(where.context, op, operands);
}

FailureOr<Attribute> ExprLowering::lower(const ast::Expr &expr) {
  using Kind = ast::Expr::Kind;
  switch (expr.kind) {
  case Kind::Int:
    return nn::intExpr(where.context, expr.intValue);
  case Kind::Float:
    return Attribute(builder.getF64FloatAttr(expr.floatValue));
  case Kind::String:
    return Attribute(builder.getStringAttr(expr.text));
  case Kind::True:
  case Kind::False:
    return Attribute(builder.getBoolAttr(expr.kind == Kind::True));
  case Kind::None:
    return Attribute(builder.getUnitAttr());
  case Kind::Name:
    return lowerName(expr);
  case Kind::Member:
    return lowerMember(expr);
  case Kind::Call:
    return lowerCall(expr);
  case Kind::List:
    return lowerOperands("[..]", expr);
  case Kind::Index:
    return lowerOperands("[]", expr);
  case Kind::Unary:
    return lowerOperands(expr.op == "-" ? "neg" : "!", expr);
  case Kind::Binary:
    return lowerOperands(expr.op, expr);
  case Kind::Ternary:
    return lowerOperands("?:", expr);
  }
  llvm_unreachable("all kinds are handled");
}

bool mbc::isExprFunction(StringRef name) { return findFunction(name); }

FailureOr<Attribute> mbc::lowerExpr(const ast::Expr &expr,
                                    const ExprContext &where) {
  return ExprLowering(where).lower(expr);
}

Attribute mbc::makeField(mlir::MLIRContext *context, StringRef path,
                         llvm::ArrayRef<std::string> objects) {
  llvm::SmallVector<Attribute> operands;
  operands.push_back(mlir::StringAttr::get(context, path));
  for (const std::string &object : objects)
    operands.push_back(mlir::StringAttr::get(context, object));
  return nn::buildExpr(context, "field", operands);
}
