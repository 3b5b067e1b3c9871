//===- GenerateRows.cpp - A function for every kernel and layout ----------===//

#include "compiler/Codegen/Codegen.h"
#include "compiler/Codegen/EmitRows.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "llvm/ADT/StringMap.h"

namespace mbc {
#define GEN_PASS_DEF_EXECGENERATEROWS
#include "compiler/Codegen/Passes.h.inc"
} // namespace mbc

using namespace mlir;
using namespace mbc;

namespace {

/// Floats of a vector of the target; 0 for one that is not known.
int64_t lanesOf(StringRef target) {
  return target == "x86-64-v4" ? 16 : target == "x86-64-v3" ? 8 : 0;
}

struct Generated {
  exec::EntryOp entry;
  codegen::RowKernel kernel;
  codegen::StagePlan plan;
};

struct ExecGenerateRows : mbc::impl::ExecGenerateRowsBase<ExecGenerateRows> {
  using ExecGenerateRowsBase::ExecGenerateRowsBase;

  void runOnOperation() override {
    for (const std::string &target : targets)
      if (!lanesOf(target)) {
        getOperation().emitError() << "unknown target '" << target
                                   << "'; expected x86-64-v3 or x86-64-v4";
        return signalPassFailure();
      }
    for (auto program : getOperation().getOps<exec::ProgramOp>())
      generate(program);
  }

  void generate(exec::ProgramOp program) {
    std::vector<Generated> functions;
    llvm::StringMap<exec::EntryOp> known;
    OpBuilder builder(&getContext());
    exec::FuncOp first = *program.getOps<exec::FuncOp>().begin();
    builder.setInsertionPoint(first);
    program.walk([&](exec::RowsOp rows) {
      auto kernel = program.lookupSymbol<exec::KernelOp>(rows.getKernelAttr());
      codegen::RowKernel made(kernel, rows.getViews());
      exec::EntryOp &entry = known[made.key(rows.getKernel())];
      if (!entry) {
        codegen::StagePlan plan = codegen::planStages(made);
        entry = exec::EntryOp::create(
            builder, kernel.getLoc(), "code" + std::to_string(functions.size()),
            plan.scratchFloats * static_cast<int64_t>(sizeof(float)));
        functions.push_back({entry, std::move(made), std::move(plan)});
      }
      rows.setCodeAttr(FlatSymbolRefAttr::get(entry.getSymNameAttr()));
    });
    if (functions.empty())
      return;
    for (const std::string &target : targets) {
      auto module = ModuleOp::create(builder, program.getLoc(), target);
      OpBuilder body = OpBuilder::atBlockEnd(module.getBody());
      for (Generated &function : functions)
        codegen::emitRows(body, function.entry->getLoc(),
                          function.entry.getSymName(), function.kernel,
                          function.plan, lanesOf(target));
    }
  }
};

} // namespace
