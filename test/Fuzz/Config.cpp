//===- Config.cpp - config.json, evaluated --------------------------------===//
//
// Elaborates and proves the declaration that the input's architecture names.

#include "compiler/Bridge/Counts.h"
#include "compiler/Bridge/ModelLibrary.h"
#include "compiler/Frontend/Import.h"
#include "compiler/Pipelines.h"
#include "dialects/NN/NNDialect.h"
#include "dialects/WMap/WMapDialect.h"
#include "runtime/core/Json.h"
#include "test/Fuzz/FuzzTarget.h"

#include "mlir/IR/Diagnostics.h"
#include "llvm/Support/SourceMgr.h"

#include <map>
#include <memory>

using namespace mbc;

const fuzz::MemoryLimit fuzz::memoryLimit{1 << 20, 256 << 20};

namespace {

/// Declarations, lowered once for many inputs. Attributes live as long as
/// their context, so all is made anew now and then.
class Declarations {
public:
  Declarations() : context(mlir::MLIRContext::Threading::DISABLED) {
    context.loadDialect<nn::NNDialect, wmap::WMapDialect>();
  }

  /// A copy to elaborate; null when the architecture is not declared.
  mlir::OwningOpRef<mlir::ModuleOp> of(const std::string &architecture) {
    static ModelLibrary library;
    const DeclaredModel *model = library.findArchitecture(architecture);
    if (!model)
      return {};
    auto &module = modules[model->name];
    if (!module) {
      llvm::SourceMgr sources;
      sources.setVirtualFileSystem(library.fileSystem());
      module =
          importFiles(context, sources, {model->modelFile, model->mappingFile});
      MBC_FUZZ_REQUIRE(module);
    }
    return llvm::cast<mlir::ModuleOp>((*module)->clone());
  }

  mlir::MLIRContext context;
  unsigned used = 0;

private:
  std::map<std::string, mlir::OwningOpRef<mlir::ModuleOp>> modules;
};

} // namespace

void fuzz::fuzz(std::string_view input) {
  static MemoryFile file;
  static std::unique_ptr<Declarations> declarations;
  if (!declarations || ++declarations->used == 500)
    declarations = std::make_unique<Declarations>();
  mlir::MLIRContext &context = declarations->context;

  auto json = Json::parse(input, "input");
  if (!json)
    return;
  const Json *list = json->find("architectures");
  if (!list || list->elements().empty() || !list->elements()[0].asString())
    return;
  auto module = declarations->of(*list->elements()[0].asString());
  if (!module)
    return;

  bool reported = false;
  mlir::ScopedDiagnosticHandler quiet(&context, [&](mlir::Diagnostic &) {
    reported = true;
    return mlir::success();
  });
  file.set(input);
  mlir::PassManager passes(&context);
  passes.enableVerifier(false);
  nn::NNElaborateOptions options;
  options.config = file.path();
  buildElaboration(passes, options);
  bool elaborated = succeeded(passes.run(*module));
  MBC_FUZZ_REQUIRE(elaborated || reported);
  if (!elaborated)
    return;
  auto implied = impliedTensors(*module->getOps<nn::ModelOp>().begin(),
                                *module->getOps<wmap::MappingOp>().begin());
  if (!implied)
    return;
  uint64_t tensors = 0;
  for (const ImpliedFamily &family : implied->families) {
    MBC_FUZZ_REQUIRE(family.elements() > 0);
    for (int64_t size : family.shape)
      MBC_FUZZ_REQUIRE(size > 0);
    tensors += family.count * (family.scaleShape ? 2 : 1);
  }
  MBC_FUZZ_REQUIRE(tensors >= implied->tensors);
}
