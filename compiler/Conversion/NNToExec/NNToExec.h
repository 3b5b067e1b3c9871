//===- NNToExec.h - From values to commands ---------------------*- C++ -*-===//
#pragma once

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace mbc {

#define GEN_PASS_DECL
#include "compiler/Conversion/NNToExec/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "compiler/Conversion/NNToExec/Passes.h.inc"

} // namespace mbc
