//===- GenerateRows.cpp - A function for every kernel and layout ----------===//

#include "compiler/Codegen/Codegen.h"
#include "compiler/Codegen/EmitGpuRows.h"
#include "compiler/Codegen/EmitRows.h"
#include "runtime/program/GpuCode.h"

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

bool isKnown(StringRef target) {
  return lanesOf(target) || findGpuTarget(target);
}

/// A function that is to be made for each of some targets.
struct Generated {
  Operation *entry;
  codegen::RowKernel kernel;
  codegen::StagePlan plan;
  codegen::GpuShape shape; ///< for GPUs alone

  StringRef name() const {
    return SymbolTable::getSymbolName(entry).getValue();
  }
};

struct ExecGenerateRows : mbc::impl::ExecGenerateRowsBase<ExecGenerateRows> {
  using ExecGenerateRowsBase::ExecGenerateRowsBase;

  void runOnOperation() override {
    for (const std::string &target : targets)
      if (!isKnown(target)) {
        getOperation().emitError()
            << "unknown target '" << target
            << "'; expected x86-64-v3, x86-64-v4, " << gpuTargetNames();
        return signalPassFailure();
      }
    for (auto program : getOperation().getOps<exec::ProgramOp>()) {
      generate(program);
      generateForGpus(program);
    }
  }

  /// One of each kernel and layout that `make` gives an entry, which `use` sets
  /// where it is run.
  template <typename Make, typename Use>
  std::vector<Generated> collect(exec::ProgramOp program, bool aligned,
                                 Make make, Use use) {
    std::vector<Generated> functions;
    llvm::StringMap<Operation *> known;
    OpBuilder builder(&getContext());
    exec::FuncOp first = *program.getOps<exec::FuncOp>().begin();
    builder.setInsertionPoint(first);
    program.walk([&](exec::RowsOp rows) {
      auto kernel = program.lookupSymbol<exec::KernelOp>(rows.getKernelAttr());
      codegen::RowKernel made(kernel, rows.getViews());
      auto [it, inserted] =
          known.try_emplace(made.key(rows.getKernel(), aligned));
      if (inserted) {
        Generated function{nullptr, std::move(made), {}, {}};
        make(builder, kernel.getLoc(), functions.size(), function);
        it->second = function.entry;
        if (function.entry)
          functions.push_back(std::move(function));
      }
      if (it->second)
        use(rows,
            FlatSymbolRefAttr::get(SymbolTable::getSymbolName(it->second)));
    });
    return functions;
  }

  OpBuilder startModule(exec::ProgramOp program, StringRef target) {
    exec::FuncOp first = *program.getOps<exec::FuncOp>().begin();
    OpBuilder builder(first);
    auto module = ModuleOp::create(builder, program.getLoc(), target);
    return OpBuilder::atBlockEnd(module.getBody());
  }

  void generate(exec::ProgramOp program) {
    if (llvm::none_of(targets, lanesOf))
      return;
    std::vector<Generated> functions = collect(
        program, /*aligned=*/false,
        [](OpBuilder &builder, Location loc, size_t number, Generated &of) {
          of.plan = codegen::planStages(of.kernel);
          of.entry = exec::EntryOp::create(
              builder, loc, "code" + std::to_string(number),
              of.plan.scratchFloats * static_cast<int64_t>(sizeof(float)));
        },
        [](exec::RowsOp rows, FlatSymbolRefAttr entry) {
          rows.setCodeAttr(entry);
        });
    if (functions.empty())
      return;
    for (const std::string &target : targets) {
      if (!lanesOf(target))
        continue;
      OpBuilder body = startModule(program, target);
      for (Generated &of : functions)
        codegen::emitRows(body, of.entry->getLoc(), of.name(), of.kernel,
                          of.plan, lanesOf(target));
    }
  }

  void generateForGpus(exec::ProgramOp program) {
    if (llvm::none_of(targets, findGpuTarget))
      return;
    std::vector<Generated> functions = collect(
        program, /*aligned=*/true,
        [](OpBuilder &builder, Location loc, size_t number, Generated &of) {
          of.plan = codegen::planStages(of.kernel, /*recomputes=*/false);
          int64_t shared =
              of.plan.scratchFloats * static_cast<int64_t>(sizeof(float));
          // Interpreted, its values lie in other memory.
          if (shared > mostGpuShared)
            return;
          of.shape = codegen::planShape(of.kernel, of.plan);
          SmallVector<int64_t> rows, parts;
          for (const codegen::GpuTask &task : of.shape.tasks) {
            rows.push_back(task.rows);
            parts.push_back(task.parts);
          }
          // The name that profilers show.
          of.entry = exec::GpuEntryOp::create(
              builder, loc, "mbc_rows_" + std::to_string(number),
              of.shape.threads, shared, rows, parts);
        },
        [](exec::RowsOp rows, FlatSymbolRefAttr entry) {
          rows.setGpuAttr(entry);
        });
    if (functions.empty())
      return;
    for (const std::string &target : targets) {
      const GpuTarget *gpu = findGpuTarget(target);
      if (!gpu)
        continue;
      OpBuilder body = startModule(program, target);
      for (Generated &of : functions)
        codegen::emitGpuRows(body, of.entry->getLoc(), of.name(), of.kernel,
                             of.plan, of.shape, /*dependent=*/gpu->major >= 9);
    }
  }
};

} // namespace
