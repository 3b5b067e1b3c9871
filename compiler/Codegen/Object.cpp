//===- Object.cpp - LLVM and lld ------------------------------------------===//

#include "compiler/Codegen/Codegen.h"
#include "compiler/Codegen/Emission.h"

#include "lld/Common/Driver.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "mlir/Target/LLVMIR/ModuleTranslation.h"
#include "llvm/Support/TargetSelect.h"

#include <fcntl.h>
#include <mutex>
#include <sys/mman.h>
#include <thread>
#include <unistd.h>

LLD_HAS_DRIVER(elf)

using namespace mlir;

namespace mbc {

namespace {

/// Files of a program that have no place on a disk.
std::string pathOf(int descriptor) {
  return "/proc/self/fd/" + std::to_string(descriptor);
}

/// A descriptor, closed when it is done with.
struct Descriptor {
  int number = -1;

  explicit Descriptor(int number) : number(number) {}
  Descriptor(const Descriptor &) = delete;
  Descriptor &operator=(const Descriptor &) = delete;
  ~Descriptor() { reset(); }
  void reset() {
    if (number >= 0)
      close(number);
    number = -1;
  }
};

bool writeAll(int descriptor, ArrayRef<char> bytes) {
  while (!bytes.empty()) {
    ssize_t count = write(descriptor, bytes.data(), bytes.size());
    if (count <= 0)
      return false;
    bytes = bytes.drop_front(count);
  }
  return true;
}

/// What `write(path)` writes to a file of that path, which is a pipe's: a
/// linker opens what it writes by name, and would make a regular file anew
/// beside itself.
template <typename Fn>
bool captureFile(SmallVectorImpl<char> &bytes, Fn write) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0)
    return false;
  Descriptor in(ends[1]), out(ends[0]);
  std::thread reader([&] {
    char block[1 << 14];
    for (ssize_t count; (count = read(out.number, block, sizeof(block))) > 0;)
      bytes.append(block, block + count);
  });
  bool written = write(pathOf(in.number));
  in.reset();
  reader.join();
  return written;
}

} // namespace

static std::unique_ptr<llvm::TargetMachine> machineFor(StringRef processor) {
  static std::once_flag once;
  std::call_once(once, [] {
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86Target();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter();
  });
  return codegen::targetMachine("x86_64-unknown-linux-gnu", processor,
                                llvm::Reloc::PIC_);
}

/// The module as an object file.
static bool compile(llvm::Module &module, llvm::TargetMachine &machine,
                    SmallVectorImpl<char> &object) {
  for (llvm::Function &function : module) {
    if (function.isDeclaration())
      continue;
    function.addFnAttr("target-cpu", machine.getTargetCPU());
    // Vectors as wide as they were written; without it LLVM halves those of
    // 512 bits.
    function.addFnAttr("prefer-vector-width", "512");
    function.addFnAttr("min-legal-vector-width", "512");
    // A loop that copies stays one: there is no memcpy to call.
    function.addFnAttr("no-builtins");
    function.setDoesNotThrow();
  }
  return codegen::emitCode(module, machine, llvm::CodeGenFileType::ObjectFile,
                           object);
}

/// The object as a shared object; `messages` says why not.
static bool link(const std::string &object, const std::string &image,
                 std::string &messages) {
  const char *arguments[] = {
      "ld.lld", "-shared", object.c_str(), "-o", image.c_str(), "--threads=1",
      // Nothing is left to be found when it is loaded.
      "--no-undefined",
      // Small: one page of headers, code and constants, and the tables.
      "--hash-style=sysv", "--strip-all", "--gc-sections", "--build-id=none",
      "--no-rosegment", "-znorelro", "-znoseparate-code",
      "-zmax-page-size=4096", "-znognustack"};
  // The linker keeps what it knows in globals.
  static std::mutex mutex;
  std::scoped_lock lock(mutex);
  llvm::raw_string_ostream log(messages);
  // Comes back even from what lld takes for fatal.
  lld::Result result =
      lld::lldMain(arguments, log, log, {{lld::Gnu, &lld::elf::link}});
  return result.retCode == 0;
}

FailureOr<SmallVector<char, 0>> linkModule(ModuleOp module, StringRef target) {
  llvm::LLVMContext context;
  std::unique_ptr<llvm::Module> translated =
      translateModuleToLLVMIR(module, context, target);
  std::unique_ptr<llvm::TargetMachine> machine = machineFor(target);
  if (!translated || !machine)
    return module.emitError() << "no LLVM target for '" << target << "'";
  SmallVector<char, 0> object, image;
  if (!compile(*translated, *machine, object))
    return module.emitError() << "LLVM emits no object for '" << target << "'";

  Descriptor input(memfd_create("kernels.o", MFD_CLOEXEC));
  if (input.number < 0 || !writeAll(input.number, object))
    return module.emitError()
           << "no memory for an object of " << object.size() << " bytes";
  std::string messages;
  bool linked = captureFile(image, [&](const std::string &output) {
    return link(pathOf(input.number), output, messages);
  });
  if (!linked)
    return module.emitError()
           << "cannot link code for '" << target << "': " << messages;
  return image;
}

} // namespace mbc
