//===- Emission.cpp -------------------------------------------------------===//

#include "compiler/Codegen/Emission.h"

#include "llvm/IR/LegacyPassManager.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Passes/PassBuilder.h"

namespace mbc::codegen {

std::unique_ptr<llvm::TargetMachine>
targetMachine(llvm::StringRef name, llvm::StringRef processor,
              llvm::Reloc::Model relocation) {
  llvm::Triple triple(name);
  std::string error;
  const llvm::Target *target =
      llvm::TargetRegistry::lookupTarget(triple, error);
  if (!target)
    return nullptr;
  return std::unique_ptr<llvm::TargetMachine>(target->createTargetMachine(
      triple, processor, "", llvm::TargetOptions(), relocation,
      llvm::CodeModel::Small, llvm::CodeGenOptLevel::Default));
}

bool emitCode(llvm::Module &module, llvm::TargetMachine &machine,
              llvm::CodeGenFileType type, llvm::SmallVectorImpl<char> &code) {
  module.setTargetTriple(machine.getTargetTriple());
  module.setDataLayout(machine.createDataLayout());
  llvm::LoopAnalysisManager loops;
  llvm::FunctionAnalysisManager functions;
  llvm::CGSCCAnalysisManager components;
  llvm::ModuleAnalysisManager modules;
  llvm::PipelineTuningOptions tuning;
  // What is worth vectors is in vectors.
  tuning.LoopVectorization = tuning.SLPVectorization = false;
  llvm::PassBuilder passes(&machine, tuning);
  passes.registerModuleAnalyses(modules);
  passes.registerCGSCCAnalyses(components);
  passes.registerFunctionAnalyses(functions);
  passes.registerLoopAnalyses(loops);
  passes.crossRegisterProxies(loops, functions, components, modules);
  passes.buildPerModuleDefaultPipeline(llvm::OptimizationLevel::O2)
      .run(module, modules);
  llvm::raw_svector_ostream os(code);
  llvm::legacy::PassManager emission;
  if (machine.addPassesToEmitFile(emission, os, nullptr, type))
    return false;
  emission.run(module);
  return true;
}

} // namespace mbc::codegen
