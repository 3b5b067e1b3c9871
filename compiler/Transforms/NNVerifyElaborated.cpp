//===- NNVerifyElaborated.cpp - What elaboration must leave behind --------===//
//
// Numbers E.. are those of dialects/NN/README.md.
//
//===----------------------------------------------------------------------===//

#include "compiler/Transforms/NNPasses.h"
#include "dialects/NN/Expr.h"
#include "dialects/NN/ExprFold.h"
#include "dialects/NN/NNOps.h"

namespace mbc::nn {
#define GEN_PASS_DEF_NNVERIFYELABORATED
#include "compiler/Transforms/NNPasses.h.inc"
} // namespace mbc::nn

using namespace mlir;
using namespace mbc::nn;

/// (E20) Sizes are numbers, or those of the data.
static LogicalResult verifyType(Operation *op, Type type) {
  auto tensor = dyn_cast<mbc::nn::TensorType>(type);
  if (!tensor)
    return success();
  for (AxisAttr axis : tensor.getAxes())
    if (!axis.isData() && !axis.getStaticSize())
      return op->emitOpError()
             << "size '" << exprText(axis.getSize()) << "' of axis '"
             << axis.getName() << "' is not static";
  return success();
}

static LogicalResult verifyParam(ParamOp param) {
  if (failed(verifyType(param, param.getType())))
    return failure();
  // (E21) It exists, and its tie holds.
  if (param.getWhenAttr() || param.getTieWhenAttr())
    return param.emitOpError("has a condition that is not decided");
  return success();
}

static LogicalResult verifyValue(Operation *op, bool hasValue) {
  if (hasValue) // (E22)
    return success();
  return op->emitOpError("has no value");
}

static LogicalResult verifyLayers(LayersOp layers) {
  std::optional<int64_t> count = asInt(layers.getCount());
  if (!count) // (E23)
    return layers.emitOpError()
           << "count '" << exprText(layers.getCount()) << "' is not static";
  int64_t next = 0;
  for (Attribute run : layers.getKindsAttr()
                           ? layers.getKindsAttr()
                           : ArrayAttr::get(layers.getContext(), {})) {
    auto triple = dyn_cast<DenseI64ArrayAttr>(run);
    if (!triple || triple.size() != 3 || triple[1] != next || triple[2] <= 0)
      break;
    next += triple[2];
  }
  if (next != *count) // (E23)
    return layers.emitOpError()
           << "kinds must cover its " << *count << " layers in order";
  return success();
}

/// (E24) Only the layer index is left in expressions.
static LogicalResult verifyExpr(Operation *op, StringRef what, Attribute expr,
                                StringRef index) {
  LogicalResult result = success();
  auto report = [&](const std::string &name) {
    if (succeeded(result))
      result = op->emitOpError() << "'" << what << "' = '" << exprText(expr)
                                 << "' is not static: '" << name << "'";
  };
  forEachSymbol(expr, [&](StringRef name) {
    if (name != index)
      report(name.str());
  });
  forEachField(expr, [&](Attribute field) { report(exprText(field)); });
  return result;
}

static LogicalResult verifyOp(Operation *op, StringRef index) {
  if (auto param = dyn_cast<ParamOp>(op))
    return verifyParam(param);
  if (auto dim = dyn_cast<DimOp>(op))
    return verifyValue(op, dim.getValueAttr() != nullptr);
  if (auto entry = dyn_cast<ConfigOp>(op))
    return verifyValue(op, entry.getValueAttr() != nullptr);
  if (auto variant = dyn_cast<VariantOp>(op))
    return verifyValue(op, variant.getValueAttr() != nullptr);
  if (isa<RequireOp, FieldsOp, UnsupportedOp>(op))
    return success();
  if (auto layers = dyn_cast<LayersOp>(op))
    if (failed(verifyLayers(layers)))
      return failure();
  for (Type type : op->getResultTypes())
    if (failed(verifyType(op, type)))
      return failure();
  for (Region &region : op->getRegions())
    for (Type type : region.getArgumentTypes())
      if (failed(verifyType(op, type)))
        return failure();
  if (auto choice = dyn_cast<IfOp>(op)) {
    if (!choice.getThenLayersAttr()) // (E25)
      return op->emitOpError("has a condition that is not decided");
    return verifyExpr(op, "condition", choice.getCondition(), index);
  }
  if (isa<GetOp, CallOp, RunOp, YieldOp, NoneOp, BlockOp, LayersOp, FuncOp,
          ModelOp>(op))
    return success();
  for (NamedAttribute attr : op->getAttrs())
    if (failed(verifyExpr(op, attr.getName(), attr.getValue(), index)))
      return failure();
  return success();
}

namespace {

struct NNVerifyElaborated
    : mbc::nn::impl::NNVerifyElaboratedBase<NNVerifyElaborated> {
  void runOnOperation() override {
    bool ok = true;
    for (auto model : getOperation().getOps<ModelOp>()) {
      if (!model.isElaborated())
        continue;
      model.walk([&](Operation *op) {
        auto layers = dyn_cast<LayersOp>(op);
        if (!layers)
          layers = op->getParentOfType<LayersOp>();
        ok &= succeeded(verifyOp(op, layers ? layers.getIndex().value_or("")
                                            : StringRef()));
      });
    }
    if (!ok)
      signalPassFailure();
  }
};

} // namespace
