//===- WMapPasses.h - From a mapping to a copy plan -------------*- C++ -*-===//
#pragma once

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

#include <memory>
#include <string>

namespace mbc::wmap {

#define GEN_PASS_DECL
#include "compiler/Transforms/WMapPasses.h.inc"

#define GEN_PASS_REGISTRATION
#include "compiler/Transforms/WMapPasses.h.inc"

} // namespace mbc::wmap
