//===- LowerBody.cpp - Statements and expressions of bodies ---------------===//

#include "compiler/Frontend/ModelLowering.h"
#include "compiler/Frontend/OperatorCall.h"
#include "dialects/NN/Expr.h"

using namespace mbc;
using llvm::StringRef;
using mlir::Attribute;
using mlir::FailureOr;
using mlir::LogicalResult;
using mlir::Value;
using nn::TensorType;
using Kind = ast::Expr::Kind;

//===----------------------------------------------------------------------===//
// Statements
//===----------------------------------------------------------------------===//

LogicalResult ModelLowering::lowerItems(const std::vector<ast::BodyItem> &items,
                                        BodyScope &scope) {
  // Declarations may stand below their use.
  for (const ast::BodyItem &item : items)
    if (auto *dim = std::get_if<ast::Dim>(&item))
      lowerDim(*dim, scope.names, scope.qualifier, /*own=*/false);
  for (const ast::BodyItem &item : items)
    if (auto *param = std::get_if<ast::Param>(&item))
      lowerParam(*param, scope);
  for (const ast::BodyItem &item : items)
    if (auto *stmt = std::get_if<ast::Stmt>(&item))
      if (failed(lowerStmt(*stmt, scope)))
        return mlir::failure(); // later statements would only repeat it
  return mlir::success();
}

LogicalResult ModelLowering::assign(const ast::Ident &target,
                                    const Operand &operand, BodyScope &scope) {
  if (auto it = scope.paramLocs.find(target.name);
      it != scope.paramLocs.end()) { // (L51)
    auto diag = error(target.loc)
                << "'" << target.name << "' is a parameter, and cannot be "
                << "assigned";
    diag.attachNote(at(it->second)) << "the parameter is here";
    return diag;
  }
  scope.values[target.name] = operand;
  if (operand.scalar)
    scope.names.define(target.name, NameScope::Kind::Local, operand.scalar,
                       target.loc, /*own=*/false);
  return mlir::success();
}

LogicalResult ModelLowering::lowerStmt(const ast::Stmt &stmt,
                                       BodyScope &scope) {
  mlir::Block *block = builder.getInsertionBlock();
  if (!block->empty() && llvm::isa<nn::YieldOp>(block->back())) // (L65)
    return error(stmt.loc) << "statement behind 'yield'";
  if (stmt.kind == ast::Stmt::Kind::Yield) {
    llvm::SmallVector<Value> values;
    for (const ast::ExprPtr &expr : stmt.values) {
      FailureOr<Operands> lowered = lowerValues(*expr, scope);
      if (failed(lowered))
        return mlir::failure();
      for (const Operand &operand : *lowered) {
        if (!operand.value) // (L62)
          return error(expr->loc) << "'yield' needs tensors, found '"
                                  << nn::exprText(operand.scalar) << "'";
        values.push_back(operand.value);
      }
    }
    nn::YieldOp::create(builder, at(stmt.loc), values);
    return mlir::success();
  }
  if (stmt.kind == ast::Stmt::Kind::AddAssign) {
    const ast::Ident &target = stmt.targets.front();
    Operand old = scope.values.lookup(target.name);
    if (!old.value) // (L43)
      return error(target.loc) << "unknown value '" << target.name << "'";
    FailureOr<Value> added = lowerValue(*stmt.values.front(), scope);
    if (failed(added))
      return mlir::failure();
    // (L48)
    auto type = nn::inferMap([&] { return error(stmt.loc); }, "add",
                             {llvm::cast<TensorType>(old.value.getType()),
                              llvm::cast<TensorType>(added->getType())},
                             /*scalar=*/false);
    if (failed(type))
      return mlir::failure();
    auto sum = nn::MapOp::create(builder, at(stmt.loc), *type,
                                 {old.value, *added}, "add", nullptr);
    return assign(target, {sum.getResult(), {}}, scope);
  }
  FailureOr<Operands> values = lowerValues(*stmt.values.front(), scope);
  if (failed(values))
    return mlir::failure();
  if (values->size() != stmt.targets.size()) // (L49)
    return error(stmt.loc) << stmt.targets.size()
                           << (stmt.targets.size() == 1 ? " name" : " names")
                           << " for " << values->size()
                           << (values->size() == 1 ? " value" : " values");
  for (auto [target, operand] : llvm::zip(stmt.targets, *values))
    if (failed(assign(target, operand, scope)))
      return mlir::failure();
  return mlir::success();
}

//===----------------------------------------------------------------------===//
// Expressions
//===----------------------------------------------------------------------===//

/// Whether the expression is a tensor, rather than a scalar of the
/// configuration. Unknown calls count as tensors, so that they are reported as
/// unknown operators.
bool ModelLowering::isTensor(const ast::Expr &expr, BodyScope &scope) {
  switch (expr.kind) {
  case Kind::Name:
    if (auto it = scope.values.find(expr.name.name); it != scope.values.end())
      return it->second.value != nullptr;
    return scope.params.contains(expr.name.name) ||
           (!scope.names.own(expr.name.name) &&
            top.params.contains(expr.name.name));
  case Kind::Call:
    return !isExprFunction(expr.name.name);
  case Kind::Binary:
  case Kind::Unary:
    return llvm::any_of(expr.operands, [&](const ast::ExprPtr &operand) {
      return isTensor(*operand, scope);
    });
  case Kind::Ternary:
    return isTensor(*expr.operands[1], scope) ||
           isTensor(*expr.operands[2], scope);
  default:
    return false;
  }
}

FailureOr<Value> ModelLowering::lowerValue(const ast::Expr &expr,
                                           BodyScope &scope) {
  FailureOr<Operand> operand = lowerOperand(expr, scope);
  if (failed(operand))
    return mlir::failure();
  if (!operand->value) // (L62)
    return error(expr.loc) << "expected a tensor, found '"
                           << nn::exprText(operand->scalar) << "'";
  return operand->value;
}

FailureOr<Operand> ModelLowering::lowerOperand(const ast::Expr &expr,
                                               BodyScope &scope) {
  FailureOr<Operands> values = lowerValues(expr, scope);
  if (failed(values))
    return mlir::failure();
  if (values->size() != 1) // (L49)
    return error(expr.loc) << "expected one value, found " << values->size();
  return values->front();
}

FailureOr<Operands> ModelLowering::lowerValues(const ast::Expr &expr,
                                               BodyScope &scope) {
  if (!isTensor(expr, scope)) {
    FailureOr<Attribute> scalar = lowerScalar(expr, scope);
    if (failed(scalar))
      return mlir::failure();
    return Operands{{{}, *scalar}};
  }
  switch (expr.kind) {
  case Kind::Call:
    return lowerCall(expr, scope);
  case Kind::Ternary:
    return lowerChoice(expr, scope);
  case Kind::Name: {
    if (Operand operand = scope.values.lookup(expr.name.name); operand.value)
      return Operands{operand};
    nn::ParamOp param = scope.params.lookup(expr.name.name);
    if (!param)
      param = top.params.lookup(expr.name.name);
    auto get = nn::GetOp::create(builder, at(expr.loc), param.getType(),
                                 param.getSymName());
    return Operands{{get.getResult(), {}}};
  }
  case Kind::Binary: {
    FailureOr<Operand> result = lowerArithmetic(expr, scope);
    if (failed(result))
      return mlir::failure();
    return Operands{*result};
  }
  default: // (L62)
    return error(expr.loc) << "'" << expr.op << "' does not apply to tensors";
  }
}

FailureOr<Operand> ModelLowering::lowerArithmetic(const ast::Expr &expr,
                                                  BodyScope &scope) {
  StringRef kind = expr.op == "+"   ? "add"
                   : expr.op == "*" ? "mul"
                   : expr.op == "-" ? "sub"
                                    : "";
  if (kind.empty()) // (L62)
    return error(expr.loc) << "'" << expr.op << "' does not apply to tensors";
  FailureOr<Operand> a = lowerOperand(*expr.operands[0], scope);
  if (failed(a))
    return mlir::failure();
  FailureOr<Operand> b = lowerOperand(*expr.operands[1], scope);
  if (failed(b))
    return mlir::failure();
  if (!a->value && kind == "sub") // (L62)
    return error(expr.loc) << "'-' needs a tensor on the left";
  llvm::SmallVector<Value> values;
  llvm::SmallVector<TensorType> types;
  Attribute scalar;
  for (const Operand &operand : {*a, *b}) {
    if (!operand.value) {
      scalar = operand.scalar;
      continue;
    }
    values.push_back(operand.value);
    types.push_back(llvm::cast<TensorType>(operand.value.getType()));
  }
  // (L48)
  auto type = nn::inferMap([&] { return error(expr.loc); }, kind, types,
                           scalar != nullptr);
  if (failed(type))
    return mlir::failure();
  auto op =
      nn::MapOp::create(builder, at(expr.loc), *type, values, kind, scalar);
  return Operand{op.getResult(), {}};
}

/// One branch of a conditional; `none` stays a scalar.
FailureOr<Operands> ModelLowering::lowerBranch(const ast::Expr &expr,
                                               BodyScope &scope,
                                               mlir::Region &region) {
  mlir::OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToStart(&region.emplaceBlock());
  FailureOr<Operands> operands = lowerValues(expr, scope);
  if (failed(operands))
    return mlir::failure();
  for (const Operand &operand : *operands)
    if (!operand.value && !operand.isNone()) // (L62)
      return error(expr.loc) << "expected a tensor, found '"
                             << nn::exprText(operand.scalar) << "'";
  return operands;
}

FailureOr<Operands> ModelLowering::lowerChoice(const ast::Expr &expr,
                                               BodyScope &scope) {
  FailureOr<Attribute> condition = lowerScalar(*expr.operands[0], scope);
  if (failed(condition))
    return mlir::failure();
  mlir::OperationState state(at(expr.loc), nn::IfOp::getOperationName());
  mlir::Region *regions[2] = {state.addRegion(), state.addRegion()};
  Operands branches[2];
  for (unsigned i : {0, 1}) {
    FailureOr<Operands> branch =
        lowerBranch(*expr.operands[i + 1], scope, *regions[i]);
    if (failed(branch))
      return mlir::failure();
    branches[i] = std::move(*branch);
  }
  // (L63)
  if (branches[0].size() != branches[1].size())
    return error(expr.loc) << "the branches give " << branches[0].size()
                           << " and " << branches[1].size() << " values";
  llvm::SmallVector<mlir::Type> types;
  for (auto [a, b] : llvm::zip(branches[0], branches[1])) {
    types.push_back((a.value ? a : b).value.getType());
    if (a.value && b.value && a.value.getType() != b.value.getType())
      return error(expr.loc)
             << "the branches give different axes: "
             << llvm::cast<TensorType>(a.value.getType()).text() << " and "
             << llvm::cast<TensorType>(b.value.getType()).text();
  }
  for (unsigned i : {0, 1}) {
    mlir::OpBuilder::InsertionGuard guard(builder);
    builder.setInsertionPointToEnd(&regions[i]->front());
    llvm::SmallVector<Value> values;
    for (auto [operand, type] : llvm::zip(branches[i], types))
      values.push_back(operand.value
                           ? operand.value
                           : nn::NoneOp::create(builder, at(expr.loc), type));
    nn::YieldOp::create(builder, at(expr.loc), values);
  }
  state.addTypes(types);
  state.getOrAddProperties<nn::IfOp::Properties>().condition = *condition;
  mlir::Operation *op = builder.create(state);
  Operands results;
  for (Value result : op->getResults())
    results.push_back({result, {}});
  return results;
}
