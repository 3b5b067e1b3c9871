//===- Phases.cpp ---------------------------------------------------------===//
//
// Apart from Pipelines.cpp: what never compiles a program, such as libmbc, is
// linked without LLVM's backend.
//
//===----------------------------------------------------------------------===//

#include "compiler/Phases.h"

#include "mlir/Pass/PassOptions.h"
#include "mlir/Pass/PassRegistry.h"

using namespace mlir;

namespace mbc {

static const Phase phaseTable[] = {
    {"parse", "the declarations as they are written", nullptr, nullptr},
    {"elaborate", "proved, and static for one config.json", nullptr,
     [](OpPassManager &passes) {
       passes.addPass(nn::createNNVerifyElaborated());
     }},
    {"instantiate", "functions of static rows, a body for each kind of layer",
     [](OpPassManager &passes, const PhaseOptions &options) {
       // What follows grows with neither depth nor the number of callers of a
       // block.
       passes.addPass(nn::createNNInstantiate(options.entries));
     },
     [](OpPassManager &passes) {
       passes.addPass(nn::createNNVerifyInstantiated());
     }},
    {"partition", "the program of one rank of the mesh",
     [](OpPassManager &passes, const PhaseOptions &options) {
       // Before clusters are made: a rule is of one operator, and a collective
       // between two of them parts what could be one kernel.
       passes.addPass(nn::createNNPartition(options.mesh));
     },
     [](OpPassManager &passes) {
       passes.addPass(nn::createNNVerifyPartitioned());
     }},
    {"fuse", "pointwise operations and row reductions in clusters",
     [](OpPassManager &passes, const PhaseOptions &) {
       // Before commands are chosen, as a cluster is one of them.
       passes.addPass(nn::createNNFuse());
     },
     [](OpPassManager &passes) { passes.addPass(nn::createNNVerifyFused()); }},
    {"select", "a command for every operation",
     [](OpPassManager &passes, const PhaseOptions &options) {
       passes.addPass(createNNToExec(options.selection));
     },
     [](OpPassManager &passes) { passes.addPass(createExecVerifySelected()); }},
    {"plan", "a place in the arena for every buffer",
     [](OpPassManager &passes, const PhaseOptions &) {
       // When every buffer is known.
       passes.addPass(createExecPlanMemory());
     },
     [](OpPassManager &passes) { passes.addPass(createExecVerifyPlanned()); }},
    {"generate", "native code of the row kernels",
     [](OpPassManager &passes, const PhaseOptions &options) {
       if (options.code.targets.empty())
         return;
       // Which operands lie on each other is known now.
       passes.addPass(createExecGenerateRows(options.code));
       passes.addPass(createExecLinkCode());
     },
     nullptr},
};

ArrayRef<Phase> phases() { return phaseTable; }

const Phase *findPhase(StringRef name) {
  const Phase *found = llvm::find_if(
      phaseTable, [&](const Phase &phase) { return phase.name == name; });
  return found == std::end(phaseTable) ? nullptr : found;
}

namespace {

/// The options of all phases, as mbc-opt takes them.
struct PipelineOptions : PassPipelineOptions<PipelineOptions> {
  ListOption<std::string> entries{
      *this, "entries", llvm::cl::desc("of instantiate: NAME=ROWS[:OUTPUTS]")};
  ListOption<std::string> mesh{*this, "mesh",
                               llvm::cl::desc("of partition: AXIS=RANKS")};
  Option<std::string> dtype{*this, "dtype",
                            llvm::cl::desc("of select: f32, bf16 or f16"),
                            llvm::cl::init("f32")};
  ListOption<std::string> targets{*this, "targets",
                                  llvm::cl::desc("of generate: processors")};

  PhaseOptions get() const {
    PhaseOptions options;
    llvm::append_range(options.entries.entries, entries);
    llvm::append_range(options.mesh.mesh, mesh);
    options.selection.dtype = dtype;
    llvm::append_range(options.code.targets, targets);
    return options;
  }
};

} // namespace

void registerPhasePipelines() {
  for (const Phase &phase : phaseTable)
    if (phase.build)
      registerPassPipeline(
          "mbc-phase-" + phase.name.str(), phase.what,
          [&phase](OpPassManager &passes, StringRef text,
                   function_ref<LogicalResult(const Twine &)>) {
            PipelineOptions options;
            if (failed(options.parseFromString(text)))
              return failure();
            phase.build(passes, options.get());
            if (phase.check)
              phase.check(passes);
            return success();
          },
          [](function_ref<void(const detail::PassOptions &)> handler) {
            handler(PipelineOptions());
          });
}

} // namespace mbc
