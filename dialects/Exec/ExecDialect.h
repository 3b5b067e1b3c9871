//===- ExecDialect.h - The program dialect ----------------------*- C++ -*-===//
#pragma once

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

namespace mbc::exec {
/// Whether the type has dimensions, all of a known size, and strides that are
/// known and not negative; an offset is said by `exec.subview` alone.
bool isView(mlir::MemRefType type);
} // namespace mbc::exec

#include "dialects/Exec/ExecDialect.h.inc"

#define GET_ATTRDEF_CLASSES
#include "dialects/Exec/ExecAttrs.h.inc"

#define GET_OP_CLASSES
#include "dialects/Exec/ExecOps.h.inc"

namespace mbc::exec {

/// Elements from the first to behind the last of a strided view.
int64_t spanOf(mlir::MemRefType type);
/// Bytes of `elements` of the view's type.
int64_t bytesOf(mlir::MemRefType type, int64_t elements);
/// Offset-free strides; every type of this dialect has static ones.
llvm::SmallVector<int64_t> stridesOf(mlir::MemRefType type);
/// A view of these sizes and strides; the identity layout where they allow it.
mlir::MemRefType viewType(mlir::Type element, llvm::ArrayRef<int64_t> sizes,
                          llvm::ArrayRef<int64_t> strides);

} // namespace mbc::exec
