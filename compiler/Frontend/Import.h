//===- Import.h - .mbc files as a module ------------------------*- C++ -*-===//
#pragma once

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"
#include "llvm/ADT/ArrayRef.h"

#include <string>

namespace llvm {
class SourceMgr;
} // namespace llvm

namespace mbc {

/// Loads and lowers the models and mappings of the files; what they use is
/// loaded too. Buffers are added to `sources`. Null, with errors reported in
/// `context`, when something is wrong.
mlir::OwningOpRef<mlir::ModuleOp>
importFiles(mlir::MLIRContext &context, llvm::SourceMgr &sources,
            llvm::ArrayRef<std::string> paths);

/// The same for the main file of `sources`.
mlir::OwningOpRef<mlir::ModuleOp> importMainFile(mlir::MLIRContext &context,
                                                 llvm::SourceMgr &sources);

} // namespace mbc
