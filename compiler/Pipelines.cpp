//===- Pipelines.cpp ------------------------------------------------------===//
#include "compiler/Pipelines.h"

#include "compiler/Frontend/Import.h"
#include "dialects/WMap/WMapDialect.h"

#include "mlir/Tools/mlir-translate/Translation.h"
#include "llvm/Support/SourceMgr.h"

using namespace mlir;

namespace mbc {

void buildSymbolicProof(OpPassManager &passes) {
  passes.addPass(wmap::createWMapProve());
}

static void buildElaboration(OpPassManager &passes,
                             std::unique_ptr<Pass> elaborate) {
  // A mapping that is wrong for some configuration is wrong, whichever one is
  // at hand: names that could meet are refused before sizes are known.
  buildSymbolicProof(passes);
  // Evaluates every expression; what the configuration forbids is refused here,
  // all of it at once.
  passes.addPass(std::move(elaborate));
  // The contract of everything below: no expression is left.
  passes.addPass(nn::createNNVerifyElaborated());
  // The same proof with numbers attaches types and layers to the entries, and
  // drops those of parameters that this configuration does not have.
  passes.addPass(wmap::createWMapProve());
}

void buildElaboration(OpPassManager &passes,
                      const nn::NNElaborateOptions &options) {
  buildElaboration(passes, nn::createNNElaborate(options));
}

void buildElaboration(OpPassManager &passes, const Json &config,
                      const nn::NNElaborateOptions &options) {
  buildElaboration(passes, nn::createElaborateFor(config, options));
}

void buildPlanning(OpPassManager &passes,
                   const wmap::WMapResolvePlacementOptions &options) {
  // Only now does a checkpoint format come in: spelling, stacking, chunks.
  passes.addPass(wmap::createWMapResolvePlacement(options));
  passes.addPass(wmap::createWMapPlan());
}

void registerProveTranslation() {
  static TranslateRegistration prove(
      "mbc-prove", "import a .mbc file and prove its mappings",
      [](const std::shared_ptr<llvm::SourceMgr> &sources, llvm::raw_ostream &os,
         MLIRContext *context) -> LogicalResult {
        OwningOpRef<ModuleOp> module = importMainFile(*context, *sources);
        if (!module)
          return failure();
        PassManager passes(context);
        buildSymbolicProof(passes);
        if (failed(passes.run(*module)))
          return failure();
        module->print(os);
        return success();
      });
}

} // namespace mbc
