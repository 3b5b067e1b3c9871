//===- OperatorCall.h - Calls of operators ----------------------*- C++ -*-===//
#pragma once

#include "compiler/Frontend/ModelLowering.h"

namespace mbc {

/// Whether `name` is in the table of operators of README.md.
bool isOperator(llvm::StringRef name);

/// One call of an operator: its arguments, its axis rule, its operation.
class OperatorCall {
public:
  OperatorCall(ModelLowering &lowering, const ast::Expr &call, BodyScope &scope)
      : lowering(lowering), builder(lowering.builder), call(call),
        scope(scope) {}

  mlir::FailureOr<Operands> lower();

private:
  mlir::LogicalResult checkArguments();
  /// Lowers positional arguments from `first` on; `none` gives a null value.
  mlir::LogicalResult lowerPositional(unsigned first = 0);
  mlir::LogicalResult lowerKeywords();
  mlir::LogicalResult refuse(llvm::SMLoc loc, llvm::StringRef what,
                             llvm::StringRef name);

  nn::TensorType type(unsigned i) const;
  mlir::Attribute scalar(llvm::StringRef keyword) const {
    return scalars.lookup(keyword);
  }
  mlir::Value tensor(llvm::StringRef keyword) const {
    return tensors.lookup(keyword);
  }
  /// The argument as a plain name: of an axis.
  mlir::FailureOr<ast::Ident> nameArgument(unsigned i);
  mlir::FailureOr<mlir::Attribute> scalarArgument(unsigned i);
  mlir::FailureOr<Operands> dense();
  mlir::FailureOr<Operands> structural();
  mlir::FailureOr<Operands> experts();
  template <typename OpT, typename... Args>
  mlir::FailureOr<Operands> make(nn::AxisResult type, Args &&...args);
  template <typename OpT, typename... Args>
  mlir::FailureOr<Operands> makeMany(nn::AxisResults types, Args &&...args);

  ModelLowering &lowering;
  mlir::OpBuilder &builder;
  const ast::Expr &call;
  BodyScope &scope;
  llvm::SmallVector<mlir::Value> values;
  llvm::StringMap<mlir::Attribute> scalars;
  llvm::StringMap<mlir::Value> tensors;
};

} // namespace mbc
