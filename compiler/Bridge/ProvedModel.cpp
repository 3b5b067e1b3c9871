//===- ProvedModel.cpp ----------------------------------------------------===//
#include "compiler/Bridge/ProvedModel.h"

#include "compiler/Frontend/Import.h"
#include "compiler/Pipelines.h"
#include "compiler/Target/PlanTarget.h"
#include "compiler/Transforms/WMapBind.h"
#include "runtime/core/Json.h"

#include "mlir/IR/Diagnostics.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/Support/raw_ostream.h"

#include <fmt/format.h>

using namespace mlir;
namespace fs = std::filesystem;

namespace mbc {

ProvedModel::ProvedModel() : context(MLIRContext::Threading::DISABLED) {
  context.loadDialect<nn::NNDialect, wmap::WMapDialect>();
  context.printOpOnDiagnostic(false);
}

nn::ModelOp ProvedModel::model() {
  return *module->getOps<nn::ModelOp>().begin();
}
wmap::MappingOp ProvedModel::mapping() {
  return *module->getOps<wmap::MappingOp>().begin();
}

/// Runs `body`; what it reports as errors, with source lines, becomes the
/// message of the result.
Status ProvedModel::captured(llvm::function_ref<LogicalResult()> body) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  SourceMgrDiagnosticHandler handler(sources, &context, stream);
  if (succeeded(body()))
    return {};
  while (!text.empty() && text.back() == '\n')
    text.pop_back();
  if (text.empty())
    text = "the proof failed";
  if (!config.empty())
    text += fmt::format("\nnote: with the configuration '{}'", config.string());
  return inputError(std::move(text));
}

Expected<std::string> architectureOf(const Json &config, const fs::path &path) {
  const Json *list = config.find("architectures");
  if (!list || !list->isArray() || list->elements().empty() ||
      !list->elements()[0].asString())
    return inputError(fmt::format("{}: names no architecture; expected "
                                  "\"architectures\": [\"...ForCausalLM\"]",
                                  path.string()));
  return *list->elements()[0].asString();
}

static std::string knownArchitectures(const ModelLibrary &library) {
  std::string text;
  for (const DeclaredModel &model : library.models())
    for (const std::string &name : model.architectures)
      text += (text.empty() ? "" : ", ") + name;
  return text;
}

Expected<std::unique_ptr<ProvedModel>>
ProvedModel::create(const ModelLibrary &library, const fs::path &config,
                    const ConfigOptions &options) {
  MBC_ASSIGN(Json json, Json::parseFile(config));
  return create(library, json, config, options);
}

Expected<std::unique_ptr<ProvedModel>>
ProvedModel::declaration(const ModelLibrary &library,
                         const DeclaredModel &declared) {
  std::unique_ptr<ProvedModel> proved(new ProvedModel);
  proved->which = declared;
  proved->sources.setVirtualFileSystem(library.fileSystem());
  MBC_TRY(proved->captured([&] {
    proved->module = importFiles(proved->context, proved->sources,
                                 {declared.modelFile, declared.mappingFile});
    return success(bool(proved->module));
  }));
  return proved;
}

Expected<std::unique_ptr<ProvedModel>>
ProvedModel::create(const ModelLibrary &library, const Json &json,
                    const fs::path &config, const ConfigOptions &options) {
  MBC_ASSIGN(std::string architecture, architectureOf(json, config));
  const DeclaredModel *declared = library.findArchitecture(architecture);
  if (!declared)
    return inputError(fmt::format(
        "{}: architecture '{}' is not declared; known are {}. A pair of files "
        "declares another one: see models/README.md",
        config.string(), architecture, knownArchitectures(library)));

  std::unique_ptr<ProvedModel> proved(new ProvedModel);
  proved->which = *declared;
  proved->config = config;
  proved->values = json;
  proved->sources.setVirtualFileSystem(library.fileSystem());
  MBC_TRY(proved->captured([&] {
    proved->module = importFiles(proved->context, proved->sources,
                                 {declared->modelFile, declared->mappingFile});
    if (!proved->module)
      return failure();
    PassManager passes(&proved->context);
    // The verifiers of every op have run when the files were lowered.
    passes.enableVerifier(false);
    nn::NNElaborateOptions elaborate;
    elaborate.config = config.string();
    elaborate.strictConfig = options.strictConfig;
    elaborate.accept.assign(options.accept.begin(), options.accept.end());
    buildElaboration(passes, json, elaborate);
    return passes.run(*proved->module);
  }));
  return proved;
}

Status ProvedModel::proveSymbolically(const ModelLibrary &library,
                                      const DeclaredModel &declared) {
  std::unique_ptr<ProvedModel> proved(new ProvedModel);
  proved->sources.setVirtualFileSystem(library.fileSystem());
  return proved->captured([&] {
    proved->module = importFiles(proved->context, proved->sources,
                                 {declared.modelFile, declared.mappingFile});
    if (!proved->module)
      return failure();
    PassManager passes(&proved->context);
    buildSymbolicProof(passes);
    return passes.run(*proved->module);
  });
}

Expected<plan::PlanT> ProvedModel::plan(const TensorSet *headers,
                                        const PlacementOptions &options) {
  planned = cast<ModuleOp>((*module)->clone());
  MBC_TRY(captured([&] {
    PassManager passes(&context);
    passes.enableVerifier(false);
    if (headers) {
      passes.addPass(wmap::createBindToHeaders(*headers));
    } else {
      wmap::WMapBindOptions implied;
      implied.implied = "BF16";
      passes.addPass(wmap::createWMapBind(implied));
    }
    wmap::WMapResolvePlacementOptions placement;
    placement.layers = options.layerKeys;
    if (options.dtype)
      placement.dtype = std::string(safetensorsName(*options.dtype));
    placement.tp = options.sizes.tp;
    placement.pp = options.sizes.pp;
    placement.vpp = options.sizes.vpp;
    placement.cp = options.sizes.cp;
    placement.ep = options.sizes.ep;
    placement.etp = options.sizes.etp;
    placement.firstLayers = options.sizes.firstLayers;
    placement.lastLayers = options.sizes.lastLayers;
    placement.embeddingCounts = options.sizes.embeddingCounts;
    placement.lossCounts = options.sizes.lossCounts;
    buildPlanning(passes, placement);
    return passes.run(*planned);
  }));
  auto plans = planned->getOps<wmap::PlanOp>();
  return wmap::exportPlan(*plans.begin());
}

std::string ProvedModel::planText() const {
  std::string text;
  llvm::raw_string_ostream stream(text);
  if (planned)
    for (wmap::PlanOp plan : planned.get().getOps<wmap::PlanOp>())
      plan.print(stream);
  return text;
}

} // namespace mbc
