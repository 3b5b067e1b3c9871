//===- Codegen.h - Native code of programs ----------------------*- C++ -*-===//
#pragma once

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace mbc {

#define GEN_PASS_DECL
#include "compiler/Codegen/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "compiler/Codegen/Passes.h.inc"

/// Functions of a module in the llvm dialect as a shared object for a
/// processor; an error with the module's location where LLVM or the linker has
/// one.
mlir::FailureOr<llvm::SmallVector<char, 0>> linkModule(mlir::ModuleOp module,
                                                       llvm::StringRef target);

} // namespace mbc
