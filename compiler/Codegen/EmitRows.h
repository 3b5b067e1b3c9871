//===- EmitRows.h - Loops of a row kernel -----------------------*- C++ -*-===//
#pragma once

#include "compiler/Codegen/RowStages.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace mbc::codegen {

/// Appends to `builder`'s block the function
///   name(operands: ptr, begin: i64, end: i64, scratch: ptr)
/// over rows [begin, end), on vectors of `lanes` floats. `operands` points to
/// the address of the first row of each, `scratch` to plan.scratchFloats.
mlir::func::FuncOp emitRows(mlir::OpBuilder &builder, mlir::Location loc,
                            llvm::StringRef name, const RowKernel &kernel,
                            const StagePlan &plan, int64_t lanes);

} // namespace mbc::codegen
