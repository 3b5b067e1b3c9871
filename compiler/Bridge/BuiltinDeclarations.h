//===- BuiltinDeclarations.h - .mbc files inside the binary -----*- C++ -*-===//
#pragma once

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"

namespace mbc {

/// A file of models/ or mappings/ as it was when mbc was built.
struct BuiltinDeclaration {
  llvm::StringRef path; ///< "/mbc/models/llama.mbc"
  llvm::StringRef text;
};
llvm::ArrayRef<BuiltinDeclaration> builtinDeclarations();

} // namespace mbc
