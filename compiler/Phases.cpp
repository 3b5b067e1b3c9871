//===- Phases.cpp ---------------------------------------------------------===//
//
// Apart from Pipelines.cpp: what never compiles a program, such as libmbc, is
// linked without LLVM's backend.
//
//===----------------------------------------------------------------------===//

#include "compiler/Phases.h"

using namespace mlir;

namespace mbc {

static const Phase phaseTable[] = {
    {"parse", "the declarations as they are written", nullptr},
    {"elaborate", "proved, and static for one config.json", nullptr},
    {"instantiate", "functions of static rows, a body for each kind of layer",
     [](OpPassManager &passes, const PhaseOptions &options) {
       // What follows grows with neither depth nor the number of callers of a
       // block.
       passes.addPass(nn::createNNInstantiate(options.entries));
     }},
    {"fuse", "pointwise operations and row reductions in clusters",
     [](OpPassManager &passes, const PhaseOptions &) {
       // Before commands are chosen, as a cluster is one of them.
       passes.addPass(nn::createNNFuse());
     }},
    {"select", "a command for every operation",
     [](OpPassManager &passes, const PhaseOptions &options) {
       passes.addPass(createNNToExec(options.selection));
     }},
    {"plan", "a place in the arena for every buffer",
     [](OpPassManager &passes, const PhaseOptions &) {
       // When every buffer is known.
       passes.addPass(createExecPlanMemory());
       passes.addPass(createExecVerifyPlanned());
     }},
    {"generate", "native code of the row kernels",
     [](OpPassManager &passes, const PhaseOptions &options) {
       if (options.code.targets.empty())
         return;
       // Which operands lie on each other is known now.
       passes.addPass(createExecGenerateRows(options.code));
       passes.addPass(createExecLinkCode());
     }},
};

ArrayRef<Phase> phases() { return phaseTable; }

const Phase *findPhase(StringRef name) {
  const Phase *found = llvm::find_if(
      phaseTable, [&](const Phase &phase) { return phase.name == name; });
  return found == std::end(phaseTable) ? nullptr : found;
}

} // namespace mbc
