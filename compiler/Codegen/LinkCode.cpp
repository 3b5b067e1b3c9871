//===- LinkCode.cpp - From loops to an image ------------------------------===//

#include "compiler/Codegen/Codegen.h"
#include "dialects/Exec/ExecDialect.h"
#include "runtime/program/GpuCode.h"
#include "runtime/program/NativeImage.h"

#include "mlir/Conversion/ArithToLLVM/ArithToLLVM.h"
#include "mlir/Conversion/ControlFlowToLLVM/ControlFlowToLLVM.h"
#include "mlir/Conversion/FuncToLLVM/ConvertFuncToLLVMPass.h"
#include "mlir/Conversion/MathToLLVM/MathToLLVM.h"
#include "mlir/Conversion/ReconcileUnrealizedCasts/ReconcileUnrealizedCasts.h"
#include "mlir/Conversion/SCFToControlFlow/SCFToControlFlow.h"
#include "mlir/Conversion/VectorToLLVM/ConvertVectorToLLVMPass.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"

namespace mbc {
#define GEN_PASS_DEF_EXECLINKCODE
#include "compiler/Codegen/Passes.h.inc"
} // namespace mbc

using namespace mlir;
using namespace mbc;

namespace {

/// From loops over vectors to the llvm dialect.
void buildLowering(OpPassManager &passes) {
  passes.addPass(createSCFToControlFlowPass());
  passes.addPass(createConvertVectorToLLVMPass());
  passes.addPass(createArithToLLVMConversionPass());
  passes.addPass(createConvertMathToLLVMPass());
  passes.addPass(createConvertControlFlowToLLVMPass());
  passes.addPass(createConvertFuncToLLVMPass());
  passes.addPass(createReconcileUnrealizedCastsPass());
}

struct ExecLinkCode : mbc::impl::ExecLinkCodeBase<ExecLinkCode> {
  void getDependentDialects(DialectRegistry &registry) const override {
    OpPassManager passes(ModuleOp::getOperationName());
    buildLowering(passes);
    passes.getDependentDialects(registry);
    registerBuiltinDialectTranslation(registry);
    registerLLVMDialectTranslation(registry);
  }

  LogicalResult initialize(MLIRContext *context) override {
    buildLowering(lowering);
    return success();
  }

  void runOnOperation() override {
    for (auto program : getOperation().getOps<exec::ProgramOp>())
      for (auto module : llvm::make_early_inc_range(program.getOps<ModuleOp>()))
        if (failed(link(program, module)))
          return signalPassFailure();
  }

  LogicalResult link(exec::ProgramOp program, ModuleOp module) {
    if (failed(runPipeline(lowering, module)))
      return failure();
    StringRef target = *module.getSymName();
    if (findGpuTarget(target))
      return assemble(program, module);
    FailureOr<SmallVector<char, 0>> image = linkModule(module, target);
    if (failed(image))
      return failure();
    std::set<std::string_view> entries;
    for (auto entry : program.getOps<exec::EntryOp>())
      entries.insert(entry.getSymName());
    std::span bytes(reinterpret_cast<const uint8_t *>(image->data()),
                    image->size());
    if (std::string fault = faultOfImage(bytes, entries); !fault.empty())
      return module.emitError() << "the image " << fault;
    OpBuilder builder(module);
    exec::ImageOp::create(
        builder, module.getLoc(), target,
        ArrayRef(reinterpret_cast<const int8_t *>(image->data()),
                 image->size()));
    module.erase();
    return success();
  }

  LogicalResult assemble(exec::ProgramOp program, ModuleOp module) {
    StringRef target = *module.getSymName();
    llvm::StringMap<int64_t> threads;
    std::set<std::string_view> entries;
    for (auto entry : program.getOps<exec::GpuEntryOp>()) {
      threads[entry.getSymName()] = entry.getThreads();
      entries.insert(entry.getSymName());
    }
    FailureOr<std::string> ptx = ptxOf(module, target, threads);
    if (failed(ptx))
      return failure();
    std::vector<char> cubin = cubinOf(*ptx, target);
    program::GpuCodeT made;
    made.target = target.str();
    made.ptx = *ptx;
    made.cubin.assign(cubin.begin(), cubin.end());
    if (std::string fault = faultOfGpuCode(made, entries); !fault.empty())
      return module.emitError() << "the code for " << target << " " << fault;
    OpBuilder builder(module);
    exec::GpuImageOp::create(
        builder, module.getLoc(), target, *ptx,
        ArrayRef(reinterpret_cast<const int8_t *>(cubin.data()), cubin.size()));
    module.erase();
    return success();
  }

  OpPassManager lowering{ModuleOp::getOperationName()};
};

} // namespace
