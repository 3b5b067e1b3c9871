//===- Declaration.cpp - .mbc text ----------------------------------------===//
//
// Parsed, printed and parsed again; then lowered and proved symbolically. An
// input can use the declarations inside the binary and no file of the disk.

#include "compiler/Bridge/BuiltinDeclarations.h"
#include "compiler/Frontend/Diagnostics.h"
#include "compiler/Frontend/Import.h"
#include "compiler/Frontend/Parser.h"
#include "compiler/Frontend/Printer.h"
#include "compiler/Pipelines.h"
#include "dialects/NN/NNDialect.h"
#include "dialects/WMap/WMapDialect.h"
#include "test/Fuzz/FuzzTarget.h"

#include "mlir/IR/Diagnostics.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/VirtualFileSystem.h"

#include <memory>

using namespace mbc;

// The nodes of the syntax tree are large, and every token may be one.
const fuzz::MemoryLimit fuzz::memoryLimit{16384, 64 << 20};

namespace {

/// Attributes live as long as their context, so it is made anew now and then.
class Contexts {
public:
  mlir::MLIRContext &get() {
    if (!context || ++used == 1000) {
      context = std::make_unique<mlir::MLIRContext>(
          mlir::MLIRContext::Threading::DISABLED);
      context->loadDialect<nn::NNDialect, wmap::WMapDialect>();
      used = 0;
    }
    return *context;
  }

private:
  std::unique_ptr<mlir::MLIRContext> context;
  unsigned used = 0;
};

llvm::IntrusiveRefCntPtr<llvm::vfs::FileSystem> declarations() {
  auto memory = llvm::makeIntrusiveRefCnt<llvm::vfs::InMemoryFileSystem>();
  for (const BuiltinDeclaration &file : builtinDeclarations())
    memory->addFile(
        file.path, 0,
        llvm::MemoryBuffer::getMemBuffer(file.text, file.path,
                                         /*RequiresNullTerminator=*/false));
  return memory;
}

/// One input as the main file of its own sources.
struct Source {
  explicit Source(std::string_view text) {
    static llvm::IntrusiveRefCntPtr<llvm::vfs::FileSystem> files =
        declarations();
    manager.setVirtualFileSystem(files);
    manager.AddNewSourceBuffer(
        llvm::MemoryBuffer::getMemBufferCopy({text.data(), text.size()},
                                             "/mbc/models/input.mbc"),
        llvm::SMLoc());
  }
  llvm::SourceMgr manager;
};

std::string printed(const ast::File &file, Parentheses parentheses) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  print(file, stream, parentheses);
  return text;
}

} // namespace

void fuzz::fuzz(std::string_view input) {
  static Contexts contexts;
  mlir::MLIRContext &context = contexts.get();
  bool reported = false;
  mlir::ScopedDiagnosticHandler quiet(&context, [&](mlir::Diagnostic &) {
    reported = true;
    return mlir::success();
  });

  Source source(input);
  auto file =
      parseFile(source.manager, source.manager.getMainFileID(), &context);
  // A refusal says why.
  MBC_FUZZ_REQUIRE(succeeded(file) != reported);
  if (failed(file))
    return;
  std::string text = printed(*file, Parentheses::Needed);
  for (Parentheses parentheses : {Parentheses::Needed, Parentheses::Full}) {
    Source second(printed(*file, parentheses));
    auto again =
        parseFile(second.manager, second.manager.getMainFileID(), &context);
    // Parentheses around everything may be nested too deeply.
    if (failed(again) && parentheses == Parentheses::Full) {
      reported = false;
      continue;
    }
    MBC_FUZZ_REQUIRE(succeeded(again));
    MBC_FUZZ_REQUIRE(printed(*again, Parentheses::Needed) == text);
  }

  Source third(input);
  auto module = importMainFile(context, third.manager);
  MBC_FUZZ_REQUIRE(static_cast<bool>(module) || reported);
  if (!module)
    return;
  mlir::PassManager passes(&context);
  buildSymbolicProof(passes);
  bool proved = succeeded(passes.run(*module));
  MBC_FUZZ_REQUIRE(proved || reported);
}
