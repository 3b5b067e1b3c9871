//===- PlanTarget.h - wmap.plan to and from the flatbuffer ------*- C++ -*-===//
#pragma once

#include "dialects/WMap/WMapDialect.h"

#include "mlir/IR/BuiltinOps.h"
#include "runtime/schema/plan_generated.h"

namespace mbc::wmap {

/// The plan of a `wmap.plan`, one field for one attribute.
plan::PlanT exportPlan(PlanOp op);

/// The op that `exportPlan` would have come from, in a new module.
mlir::OwningOpRef<mlir::ModuleOp> importPlan(mlir::MLIRContext *ctx,
                                             const plan::PlanT &plan);

/// mbc-translate --mlir-to-plan and --plan-to-mlir.
void registerPlanTranslations();

} // namespace mbc::wmap
