//===- StaticParts.cpp - What lld could do, and mbc does not --------------===//
//
// The linker prepares every target of LLVM, and Polly, for bitcode that it is
// given. Here it is given objects for x86-64 alone, and code is made for that
// and for NVIDIA's GPUs: in a static build functions that do nothing stand for
// the other targets, which are most of LLVM.
//
//===----------------------------------------------------------------------===//

#include "llvm/Passes/PassBuilder.h"
#include "llvm/Plugins/PassPlugin.h"

llvm::PassPluginLibraryInfo getPollyPluginInfo() {
  return {LLVM_PLUGIN_API_VERSION, "no polly", LLVM_VERSION_STRING,
          [](llvm::PassBuilder &) {}, nullptr};
}

// Those of targets that mbc makes code for are LLVM's.
#define LLVMInitializeX86Target mbcUnusedX86Target
#define LLVMInitializeX86TargetInfo mbcUnusedX86TargetInfo
#define LLVMInitializeX86TargetMC mbcUnusedX86TargetMC
#define LLVMInitializeX86AsmPrinter mbcUnusedX86AsmPrinter
#define LLVMInitializeNVPTXTarget mbcUnusedNVPTXTarget
#define LLVMInitializeNVPTXTargetInfo mbcUnusedNVPTXTargetInfo
#define LLVMInitializeNVPTXTargetMC mbcUnusedNVPTXTargetMC
#define LLVMInitializeNVPTXAsmPrinter mbcUnusedNVPTXAsmPrinter

extern "C" {
#define LLVM_TARGET(name)                                                      \
  void LLVMInitialize##name##Target() {}                                       \
  void LLVMInitialize##name##TargetInfo() {}                                   \
  void LLVMInitialize##name##TargetMC() {}
#include "llvm/Config/Targets.def"
#define LLVM_ASM_PRINTER(name)                                                 \
  void LLVMInitialize##name##AsmPrinter() {}
#include "llvm/Config/AsmPrinters.def"
#define LLVM_ASM_PARSER(name)                                                  \
  void LLVMInitialize##name##AsmParser() {}
#include "llvm/Config/AsmParsers.def"
}
