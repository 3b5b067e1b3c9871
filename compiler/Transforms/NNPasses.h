//===- NNPasses.h - From a declared model to a static one -------*- C++ -*-===//
#pragma once

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

#include <memory>
#include <string>

namespace mbc::nn {

#define GEN_PASS_DECL
#include "compiler/Transforms/NNPasses.h.inc"

#define GEN_PASS_REGISTRATION
#include "compiler/Transforms/NNPasses.h.inc"

} // namespace mbc::nn
