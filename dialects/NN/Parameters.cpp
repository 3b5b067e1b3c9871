//===- Parameters.cpp - The parameters of a model as a flat list ----------===//

#include "dialects/NN/Parameters.h"
#include "dialects/NN/Expr.h"

#include "llvm/ADT/STLExtras.h"

using namespace mlir;
using namespace mbc::nn;

namespace {

/// Where the walk is: in which stack, under which conditions.
struct Place {
  std::string prefix;
  LayersOp stack;
  Attribute predicate;
  std::vector<int64_t> layers;
};

class Collector {
public:
  explicit Collector(ModelOp model) : model(model) {}

  std::vector<LogicalParameter> run() {
    Place top;
    for (auto param : model.getOps<ParamOp>())
      add(param, top);
    for (Operation &op : *model.getBody().begin()) {
      if (auto layers = dyn_cast<LayersOp>(op))
        visit(layers.getBody(), inStack(layers));
      else if (auto function = dyn_cast<FuncOp>(op))
        visit(function.getBody(), top);
    }
    return std::move(result);
  }

private:
  static Place inStack(LayersOp layers) {
    Place place{layers.getSymName().str() + ".", layers, {}, {}};
    std::optional<int64_t> count = asInt(layers.getCount());
    for (int64_t i = 0; i < count.value_or(0); ++i)
      place.layers.push_back(i);
    return place;
  }

  void add(ParamOp param, Place place) {
    LogicalParameter parameter;
    parameter.path = place.prefix + param.getSymName().str();
    parameter.op = param;
    parameter.type = param.getType();
    parameter.stack = place.stack;
    if (place.stack && place.stack.getIndex())
      parameter.indexName = *place.stack.getIndex();
    parameter.predicate = place.predicate;
    parameter.layers = place.layers;
    result.push_back(std::move(parameter));
  }

  /// The place of a branch of `op`.
  Place branch(IfOp op, const Place &place, bool isThen) {
    Place inner = place;
    MLIRContext *ctx = op.getContext();
    Attribute condition = op.getCondition();
    if (!isThen)
      condition = buildExpr(ctx, "!", condition);
    inner.predicate = place.predicate
                          ? buildExpr(ctx, "&&", {place.predicate, condition})
                          : condition;
    if (auto layers = op.getThenLayersAttr())
      llvm::erase_if(inner.layers, [&](int64_t layer) {
        return llvm::is_contained(layers.asArrayRef(), layer) != isThen;
      });
    return inner;
  }

  void visit(Region &region, const Place &place) {
    for (Operation &op : region.front()) {
      if (auto param = dyn_cast<ParamOp>(op)) {
        add(param, place);
      } else if (auto call = dyn_cast<CallOp>(op)) {
        auto block = model.lookupSymbol<BlockOp>(call.getCalleeAttr());
        if (!block)
          continue;
        Place inner = place;
        inner.prefix += call.getInstance().str() + ".";
        visit(block.getBody(), inner);
      } else if (auto choice = dyn_cast<IfOp>(op)) {
        visit(choice.getThenBody(), branch(choice, place, true));
        visit(choice.getElseBody(), branch(choice, place, false));
      }
    }
  }

  ModelOp model;
  std::vector<LogicalParameter> result;
};

} // namespace

std::vector<LogicalParameter> mbc::nn::collectParameters(ModelOp model) {
  return Collector(model).run();
}
