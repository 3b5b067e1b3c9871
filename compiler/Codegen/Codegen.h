//===- Codegen.h - Native code of programs ----------------------*- C++ -*-===//
#pragma once

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"
#include "llvm/ADT/StringMap.h"

#include <string>
#include <vector>

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

/// Functions of a module in the llvm dialect as PTX of kernels for an
/// architecture of GPUs; `threads` are those of a block, by name.
mlir::FailureOr<std::string> ptxOf(mlir::ModuleOp module,
                                   llvm::StringRef target,
                                   const llvm::StringMap<int64_t> &threads);

/// PTX assembled for an architecture; empty where no assembler (`ptxas`) is
/// found that does it.
std::vector<char> cubinOf(llvm::StringRef ptx, llvm::StringRef target);

} // namespace mbc
