//===- DistDialect.h - The mesh and placements ------------------*- C++ -*-===//
#pragma once

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/SymbolTable.h"

#include <optional>

namespace mbc::dist {

/// How the ranks along one mesh axis hold a value; the letters are those of the
/// text.
enum class Kind : char {
  Replicated = 'R', ///< equal; the gradient is a pending sum
  Invariant = 'I',  ///< equal, and so is the gradient
  Varying = 'V',    ///< each rank has its own
  Pending = 'P',    ///< the sum of what the ranks have
};

} // namespace mbc::dist

#include "dialects/Dist/DistDialect.h.inc"

#define GET_ATTRDEF_CLASSES
#include "dialects/Dist/DistAttrs.h.inc"

#define GET_OP_CLASSES
#include "dialects/Dist/DistOps.h.inc"
