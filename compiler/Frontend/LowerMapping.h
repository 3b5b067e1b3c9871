//===- LowerMapping.h - A mapping as wmap operations ------------*- C++ -*-===//
#pragma once

#include "compiler/Frontend/LowerModel.h"
#include "dialects/WMap/WMapDialect.h"

namespace mbc {

/// Lowers a mapping at the insertion point of `builder`. `file` holds it;
/// `names` are the configuration names and dims of the model of the same name.
/// Null, with errors reported, when it is wrong.
wmap::MappingOp lowerMapping(const ast::Mapping &mapping, llvm::StringRef file,
                             ModelSources &sources, Diagnostics &diagnostics,
                             mlir::OpBuilder &builder, NameScope &names);

} // namespace mbc
