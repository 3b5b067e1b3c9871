//===- Ptx.cpp - LLVM and ptxas -------------------------------------------===//

#include "compiler/Codegen/Codegen.h"
#include "compiler/Codegen/Emission.h"

#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FileUtilities.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Program.h"
#include "llvm/Support/TargetSelect.h"

#include <mutex>

using namespace mlir;

namespace mbc {

static std::unique_ptr<llvm::TargetMachine> machineFor(StringRef target) {
  static std::once_flag once;
  std::call_once(once, [] {
    LLVMInitializeNVPTXTargetInfo();
    LLVMInitializeNVPTXTarget();
    LLVMInitializeNVPTXTargetMC();
    LLVMInitializeNVPTXAsmPrinter();
  });
  return codegen::targetMachine("nvptx64-nvidia-cuda", target,
                                llvm::Reloc::PIC_);
}

FailureOr<std::string> ptxOf(ModuleOp module, StringRef target,
                             const llvm::StringMap<int64_t> &threads) {
  llvm::LLVMContext context;
  std::unique_ptr<llvm::Module> translated =
      translateModuleToLLVMIR(module, context, target);
  std::unique_ptr<llvm::TargetMachine> machine = machineFor(target);
  if (!translated || !machine)
    return module.emitError() << "no LLVM target for '" << target << "'";
  for (llvm::Function &function : *translated) {
    if (function.isDeclaration())
      continue;
    function.setCallingConv(llvm::CallingConv::PTX_Kernel);
    function.addFnAttr("target-cpu", target);
    function.addFnAttr("nvvm.maxntid",
                       std::to_string(threads.lookup(function.getName())));
    function.setDoesNotThrow();
  }
  SmallVector<char, 0> text;
  if (!codegen::emitCode(*translated, *machine,
                         llvm::CodeGenFileType::AssemblyFile, text))
    return module.emitError() << "LLVM emits no PTX for '" << target << "'";
  return std::string(text.begin(), text.end());
}

/// CUDA's assembler: that of CUDA_HOME, or of PATH; empty where there is none.
static std::string assembler() {
  if (const char *home = std::getenv("CUDA_HOME"))
    if (auto found =
            llvm::sys::findProgramByName("ptxas", {std::string(home) + "/bin"}))
      return *found;
  auto found = llvm::sys::findProgramByName("ptxas");
  return found ? *found : "";
}

std::vector<char> cubinOf(StringRef ptx, StringRef target) {
  std::string program = assembler();
  SmallString<64> input, output;
  int descriptor;
  if (program.empty() || llvm::sys::fs::createTemporaryFile(
                             "mbc-kernels", "ptx", descriptor, input))
    return {};
  llvm::FileRemover removeInput(input);
  {
    llvm::raw_fd_ostream os(descriptor, /*shouldClose=*/true);
    os << ptx;
  }
  if (llvm::sys::fs::createTemporaryFile("mbc-kernels", "cubin", output))
    return {};
  llvm::FileRemover removeOutput(output);
  std::string architecture = ("--gpu-name=" + target).str();
  StringRef arguments[] = {program, architecture, "--output-file", output,
                           input};
  // What an older assembler does not know, the driver may.
  std::optional<StringRef> silent[] = {StringRef(), StringRef(), StringRef()};
  if (llvm::sys::ExecuteAndWait(program, arguments, std::nullopt, silent) != 0)
    return {};
  auto file = llvm::MemoryBuffer::getFile(output);
  if (!file)
    return {};
  return {(*file)->getBufferStart(), (*file)->getBufferEnd()};
}

} // namespace mbc
