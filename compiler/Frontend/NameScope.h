//===- NameScope.h - What names in expressions mean -------------*- C++ -*-===//
#pragma once

#include "compiler/Frontend/AST.h"
#include "compiler/Frontend/Diagnostics.h"

#include "mlir/IR/Attributes.h"
#include "llvm/ADT/MapVector.h"

namespace mbc {

/// Configuration names, dims, dimension parameters, layer indices and local
/// scalars, each with the expression that it stands for. Scopes nest: a name
/// of an inner scope hides that of an outer one.
class NameScope {
public:
  enum class Kind { Config, Dim, DimParam, Index, Local };
  struct Entry {
    Kind kind;
    mlir::Attribute expr;
    llvm::SMLoc loc;
    bool own;          ///< of the model's file, not of a library
    bool used = false; ///< some expression asked for it
  };

  explicit NameScope(NameScope *parent = nullptr) : parent(parent) {}

  /// Defines or, for locals, redefines a name.
  void define(llvm::StringRef name, Kind kind, mlir::Attribute expr,
              llvm::SMLoc loc, bool own = true) {
    entries[name] = {kind, expr, loc, own};
  }
  /// The entry of the innermost scope that has the name, or null; counts as a
  /// use.
  const Entry *lookup(llvm::StringRef name);
  /// The entry of this scope alone; no use.
  const Entry *own(llvm::StringRef name) const {
    const auto *it = entries.find(name);
    return it == entries.end() ? nullptr : &it->second;
  }
  /// Whether the expression depends on a layer index in scope.
  bool dependsOnIndex(mlir::Attribute expr) const;

  /// Stacks of layers are no values; `per_layer` asks for their counts.
  void defineStack(llvm::StringRef name, mlir::Attribute count) {
    stacks[name] = count;
  }
  /// The count of a stack, or null.
  mlir::Attribute stackCount(llvm::StringRef name) const {
    if (mlir::Attribute count = stacks.lookup(name))
      return count;
    return parent ? parent->stackCount(name) : mlir::Attribute();
  }

  const llvm::MapVector<llvm::StringRef, Entry> &all() const { return entries; }

private:
  NameScope *parent;
  llvm::MapVector<llvm::StringRef, Entry> entries;
  llvm::MapVector<llvm::StringRef, mlir::Attribute> stacks;
};

} // namespace mbc
