//===- NNPasses.h - From a declared model to a static one -------*- C++ -*-===//
#pragma once

#include "dialects/Dist/DistDialect.h"
#include "dialects/NN/NNOps.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"
#include "runtime/core/Json.h"

#include <memory>
#include <string>

namespace mbc::nn {

#define GEN_PASS_DECL
#include "compiler/Transforms/NNPasses.h.inc"

#define GEN_PASS_REGISTRATION
#include "compiler/Transforms/NNPasses.h.inc"

/// `nn-elaborate` for a configuration that is in no file; `options.config`
/// names it in messages.
std::unique_ptr<mlir::Pass> createElaborateFor(Json config,
                                               NNElaborateOptions options);

/// Whether the function's second result drafts a later token with a stack of
/// its own, which has layers.
bool hasDraft(FuncOp function);

} // namespace mbc::nn
