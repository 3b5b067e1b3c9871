//===- ContinueProgram.cpp ------------------------------------------------===//

#include "compiler/Bridge/ContinueProgram.h"

#include "compiler/Pipelines.h"
#include "compiler/Target/ProgramTarget.h"
#include "dialects/Dist/DistDialect.h"

#include "mlir/IR/Verifier.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/Support/MemoryBuffer.h"

#include <fmt/format.h>

using namespace mlir;
namespace fs = std::filesystem;

namespace mbc {

namespace {

/// The module of a file and what is reported about it.
class Continuation {
public:
  Continuation() : context(MLIRContext::Threading::DISABLED) {
    context.loadDialect<dist::DistDialect, nn::NNDialect, wmap::WMapDialect,
                        exec::ExecDialect>();
    context.printOpOnDiagnostic(false);
  }

  Status read(const fs::path &file);
  Status captured(llvm::function_ref<LogicalResult()> body);
  /// The values of the configuration, once they are known.
  DictionaryAttr values();
  /// Whether the module holds what the phase leaves.
  bool isAfter(const Phase &phase);

  MLIRContext context;
  OwningOpRef<ModuleOp> module;

private:
  llvm::SourceMgr sources;
};

} // namespace

Status Continuation::captured(llvm::function_ref<LogicalResult()> body) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  SourceMgrDiagnosticHandler handler(sources, &context, stream);
  if (succeeded(body()))
    return {};
  return inputError(StringRef(text).rtrim('\n').str());
}

Status Continuation::read(const fs::path &file) {
  auto buffer = llvm::MemoryBuffer::getFile(file.string());
  if (!buffer)
    return fileError(file, "cannot read", buffer.getError().value());
  sources.AddNewSourceBuffer(std::move(*buffer), llvm::SMLoc());
  return captured([&] {
    module = parseSourceFile<ModuleOp>(sources, &context);
    return success(bool(module));
  });
}

DictionaryAttr Continuation::values() {
  for (auto model : module->getOps<nn::ModelOp>())
    return model.getValuesAttr();
  return {};
}

bool Continuation::isAfter(const Phase &phase) {
  ModuleOp at = *module;
  bool placed = !at.getOps<dist::MeshOp>().empty();
  if (phase.name == "parse" || phase.name == "elaborate")
    return llvm::any_of(at.getOps<nn::ModelOp>(), [&](nn::ModelOp model) {
      return model.isElaborated() == (phase.name == "elaborate");
    });
  if (phase.name == "instantiate")
    return !at.getOps<nn::GraphOp>().empty() && !placed;
  if (phase.name == "partition" || phase.name == "fuse")
    return !at.getOps<nn::GraphOp>().empty() && placed;
  // The commands of a program have places from `plan` on, and its kernels code
  // from `generate` on.
  for (auto program : at.getOps<exec::ProgramOp>()) {
    bool planned =
        llvm::any_of(program.getOps<exec::FuncOp>(), [](exec::FuncOp function) {
          return function.getArena().has_value();
        });
    bool coded = !program.getOps<exec::ImageOp>().empty();
    return phase.name == "select" ? !planned
           : phase.name == "plan" ? planned && !coded
                                  : planned;
  }
  return false;
}

Expected<program::ProgramT> continueProgram(const fs::path &file,
                                            std::string_view from,
                                            const fs::path &config,
                                            const ConfigOptions &configOptions,
                                            const CompileOptions &options) {
  Continuation at;
  MBC_TRY(at.read(file));
  const Phase *start = findPhase(from);
  if (!at.isAfter(*start))
    return inputError(fmt::format("{}: is no module that phase '{}' leaves",
                                  file.string(), from));
  // What the phases before it promise is checked of a text, too.
  MBC_TRY(at.captured([&] {
    PassManager passes(&at.context);
    if (!at.module->getOps<nn::GraphOp>().empty())
      passes.addPass(nn::createNNVerifyInstantiated());
    if (start->check)
      start->check(passes);
    return passes.run(*at.module);
  }));
  size_t first = start - phases().begin() + 1;
  for (auto [index, phase] : llvm::enumerate(phases().drop_front(first))) {
    if (phase.build) {
      PhaseOptions what = phaseOptionsOf(options, at.values());
      MBC_TRY(at.captured([&] { return runPhase(phase, what, *at.module); }));
    } else {
      if (config.empty())
        return inputError(fmt::format("{}: phase '{}' needs a configuration; "
                                      "--config FILE gives it",
                                      file.string(),
                                      std::string_view(phase.name)));
      MBC_TRY(at.captured([&] {
        PassManager passes(&at.context);
        passes.enableVerifier(false);
        nn::NNElaborateOptions elaborate;
        elaborate.config = config.string();
        elaborate.strictConfig = configOptions.strictConfig;
        elaborate.accept.assign(configOptions.accept.begin(),
                                configOptions.accept.end());
        buildElaboration(passes, elaborate);
        return passes.run(*at.module);
      }));
    }
    MBC_ASSIGN(bool on,
               showPhase(options, *at.module, first + index, phase.name));
    if (!on)
      return program::ProgramT();
  }
  program::ProgramT result;
  MBC_TRY(at.captured([&]() -> LogicalResult {
    auto program = exec::exportProgramFile(*at.module);
    if (failed(program))
      return failure();
    result = std::move(*program);
    return success();
  }));
  if (result.sources.empty() || result.architectures.empty() ||
      result.length == 0)
    return inputError(fmt::format(
        "{}: does not say for which architectures the program is, how long "
        "sequences are, or where its weights lie, which a program file needs; "
        "--to PHASE writes the module instead",
        file.string()));
  return result;
}

} // namespace mbc
