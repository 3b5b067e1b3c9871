//===- NNDialect.h - The model dialect: attributes and types ----*- C++ -*-===//
#pragma once

#include "mlir/IR/Attributes.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/Types.h"
#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/ADT/SmallVector.h"

#include <optional>
#include <string>

namespace mbc::nn {
class AxisAttr;
class TensorType;
} // namespace mbc::nn

#include "dialects/NN/NNDialect.h.inc"

#define GET_ATTRDEF_CLASSES
#include "dialects/NN/NNAttrs.h.inc"

#define GET_TYPEDEF_CLASSES
#include "dialects/NN/NNTypes.h.inc"
