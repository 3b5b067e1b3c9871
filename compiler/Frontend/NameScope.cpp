//===- NameScope.cpp - What names in expressions mean ---------------------===//

#include "compiler/Frontend/NameScope.h"
#include "dialects/NN/Expr.h"

using namespace mbc;

const NameScope::Entry *NameScope::lookup(llvm::StringRef name) {
  for (NameScope *scope = this; scope; scope = scope->parent) {
    auto *it = scope->entries.find(name);
    if (it == scope->entries.end())
      continue;
    it->second.used = true;
    return &it->second;
  }
  return nullptr;
}

bool NameScope::dependsOnIndex(mlir::Attribute expr) const {
  bool found = false;
  nn::forEachSymbol(expr, [&](llvm::StringRef symbol) {
    for (const NameScope *scope = this; scope; scope = scope->parent)
      if (const Entry *entry = scope->own(symbol)) {
        found |= entry->kind == Kind::Index;
        return;
      }
  });
  return found;
}
