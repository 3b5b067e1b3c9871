//===- NNElaborate.cpp - Evaluate a model for one config.json -------------===//

#include "compiler/Transforms/NNElaborate.h"
#include "compiler/Transforms/NNPasses.h"

namespace mbc::nn {
#define GEN_PASS_DEF_NNELABORATE
#include "compiler/Transforms/NNPasses.h.inc"
} // namespace mbc::nn

using namespace mlir;
using namespace mbc;
using namespace mbc::nn;

namespace {

struct NNElaborate : nn::impl::NNElaborateBase<NNElaborate> {
  using NNElaborateBase::NNElaborateBase;
  NNElaborate(NNElaborateOptions options, Json config)
      : NNElaborateBase(std::move(options)), given(std::move(config)) {}

  void runOnOperation() override {
    if (failed(elaborate()))
      signalPassFailure();
  }

  LogicalResult elaborate() {
    ModuleOp module = getOperation();
    auto place = FileLineColLoc::get(&getContext(), config.getValue(), 0, 0);
    Expected<Json> json =
        given ? Expected<Json>(*given) : Json::parseFile(config.getValue());
    if (!json) // (E02)
      return emitError(UnknownLoc::get(&getContext())) << json.error().message;
    ConfigFile file(&getContext(), *json);
    ModelOp model = findModel(module, file, place);
    if (!model)
      return failure();
    ElaborateOptions options;
    options.strictConfig = strictConfig;
    for (const std::string &field : accept)
      options.accept.insert(field);
    ConfigEvaluator evaluator(model, file, options);
    if (failed(evaluator.run()) || failed(makeStatic(model, evaluator)))
      return failure();
    evaluator.store();
    return success();
  }

  /// The model that knows the first architecture of the file.
  ModelOp findModel(ModuleOp module, const ConfigFile &file, Location place) {
    Attribute list = file.find("architectures");
    auto names = dyn_cast_or_null<ArrayAttr>(list);
    auto name =
        names && !names.empty() ? dyn_cast<StringAttr>(names[0]) : StringAttr();
    if (!name) { // (E02)
      emitError(place) << "'" << config << "' has no field 'architectures'";
      return {};
    }
    // (E01)
    std::string known;
    for (auto model : module.getOps<ModelOp>()) {
      if (llvm::is_contained(model.getArchitectures(), name))
        return model;
      for (StringRef other :
           model.getArchitectures().getAsValueRange<StringAttr>())
        known += (known.empty() ? "" : ", ") + other.str();
    }
    emitError(place) << "unknown architecture '" << name.getValue() << "'; "
                     << (known.empty() ? "there is no model"
                                       : "expected one of " + known);
    return {};
  }

  std::optional<Json> given;
};

} // namespace

std::unique_ptr<Pass> mbc::nn::createElaborateFor(Json config,
                                                  NNElaborateOptions options) {
  return std::make_unique<NNElaborate>(std::move(options), std::move(config));
}
