//===- Emission.h - LLVM's passes and backends ------------------*- C++ -*-===//
#pragma once

#include "llvm/IR/Module.h"
#include "llvm/Target/TargetMachine.h"

#include <memory>

namespace mbc::codegen {

/// LLVM's backend for a processor; null where this LLVM has none. The caller
/// has initialised it.
std::unique_ptr<llvm::TargetMachine>
targetMachine(llvm::StringRef triple, llvm::StringRef processor,
              llvm::Reloc::Model relocation);

/// Optimises a module for a machine and appends its code to `code`; false where
/// the backend writes no such file.
bool emitCode(llvm::Module &module, llvm::TargetMachine &machine,
              llvm::CodeGenFileType type, llvm::SmallVectorImpl<char> &code);

} // namespace mbc::codegen
