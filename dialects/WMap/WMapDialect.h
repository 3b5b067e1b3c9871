//===- WMapDialect.h - The weight-mapping dialect ---------------*- C++ -*-===//
#pragma once

#include "dialects/NN/NNDialect.h"

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/SymbolTable.h"

#include "dialects/WMap/WMapDialect.h.inc"

#define GET_ATTRDEF_CLASSES
#include "dialects/WMap/WMapAttrs.h.inc"

#define GET_OP_CLASSES
#include "dialects/WMap/WMapOps.h.inc"
