//===- LowerModel.h - A model as nn operations ------------------*- C++ -*-===//
#pragma once

#include "compiler/Frontend/NameScope.h"
#include "dialects/NN/NNOps.h"

#include "mlir/IR/Builders.h"

namespace mbc {

/// A library and the file that holds it.
struct LibrarySource {
  const ast::Library *library;
  llvm::StringRef file; ///< path as opened, for its own `use`
};

/// Finds what `use` names.
class ModelSources {
public:
  virtual ~ModelSources() = default;
  /// The libraries of the file that `use` in `file` names, without what they
  /// use themselves.
  virtual std::vector<LibrarySource> libraries(const ast::Use &use,
                                               llvm::StringRef file) = 0;
  /// The libraries of this file.
  virtual std::vector<LibrarySource> ownLibraries(llvm::StringRef file) = 0;
};

/// Lowers a model at the insertion point of `builder`. `names` gets its
/// configuration names and dims. Null, with errors reported, when it is wrong.
nn::ModelOp lowerModel(const ast::Model &model, llvm::StringRef file,
                       ModelSources &sources, Diagnostics &diagnostics,
                       mlir::OpBuilder &builder, NameScope &names);

/// Refuses configuration names of the model's own file that nobody asked for;
/// to be called when its mapping is lowered too.
void checkUnusedConfig(const NameScope &names, Diagnostics &diagnostics);

} // namespace mbc
