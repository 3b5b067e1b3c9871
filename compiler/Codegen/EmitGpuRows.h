//===- EmitGpuRows.h - A row kernel for GPUs --------------------*- C++ -*-===//
#pragma once

#include "compiler/Codegen/GpuShape.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace mbc::codegen {

/// Appends to `builder`'s block, a module's, the function
///   name(counts: ptr<1>, which: i32, factor: i32, divisor: i32, launched: i32,
///        operands: ptr<1>...)
/// over the first counts[which] * factor / divisor rows. Blocks are those of
/// each task after another: of so many times `rows` rows as cover `launched`,
/// `parts` each. `dependent`: the grid may start before the one in front of it
/// has ended, and waits for it where it must.
mlir::func::FuncOp emitGpuRows(mlir::OpBuilder &builder, mlir::Location loc,
                               llvm::StringRef name, const RowKernel &kernel,
                               const StagePlan &plan, const GpuShape &shape,
                               bool dependent);

} // namespace mbc::codegen
