//===- NNVerifyInstantiated.cpp - What instantiation must leave behind ----===//
//
// Numbers N.. are those of dialects/NN/README.md.
//
//===----------------------------------------------------------------------===//

#include "compiler/Transforms/NNPasses.h"
#include "dialects/NN/Expr.h"
#include "dialects/NN/NNOps.h"
#include "dialects/Runs.h"

#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringSet.h"

namespace mbc::nn {
#define GEN_PASS_DEF_NNVERIFYINSTANTIATED
#include "compiler/Transforms/NNPasses.h.inc"
} // namespace mbc::nn

using namespace mlir;
using namespace mbc;
using namespace mbc::nn;

/// (N55) Every size is a number, rows too.
static LogicalResult verifySizes(Operation *op, Type type) {
  auto tensor = dyn_cast<nn::TensorType>(type);
  if (!tensor)
    return success();
  for (AxisAttr axis : tensor.getAxes())
    if (!axis.getStaticSize())
      return op->emitOpError() << "axis '" << axis.getName() << "' of "
                               << tensor.text() << " has no number as its size";
  return success();
}

/// (N57) Settings are values: numbers, texts, flags, lists and records.
static LogicalResult verifySettings(Operation *op) {
  LogicalResult result = success();
  auto refuse = [&](NamedAttribute attr) {
    if (succeeded(result))
      result = op->emitOpError()
               << "'" << attr.getName().getValue() << "' = '"
               << exprText(attr.getValue()) << "' is not a value";
    return WalkResult::interrupt();
  };
  for (NamedAttribute attr : op->getAttrs())
    attr.getValue().walk([&](Attribute inner) {
      return isa<ExprAttr, FlatSymbolRefAttr>(inner) ? refuse(attr)
                                                     : WalkResult::advance();
    });
  return result;
}

/// (N58) A weight of a stack is used in that stack, by layers that have it.
static LogicalResult verifyUse(WeightOp use, WeightsOp weights) {
  std::optional<ArrayRef<int64_t>> declared = weights.getLayers();
  if (!declared)
    return success();
  auto repeat = use->getParentOfType<RepeatOp>();
  StringRef stack = weights.getSymName().split('.').first;
  if (!repeat || repeat.getStack() != stack)
    return use.emitOpError() << "'" << use.getWeight()
                             << "' is used outside of stack '" << stack << "'";
  Region *body = use->getParentRegion();
  while (body->getParentOp() != repeat)
    body = body->getParentRegion();
  if (std::optional<int64_t> layer = firstLayerNotIn(
          *declared, layersOfKind(repeat.getRuns(), body->getRegionNumber()))) {
    auto diag = use.emitOpError()
                << "'" << use.getWeight() << "' is used by layer " << *layer;
    diag.attachNote(weights.getLoc()) << "no layer that has it";
    return diag;
  }
  return success();
}

/// (N60) Every body is of a layer, and no stack lies in another.
static LogicalResult verifyRepeat(RepeatOp repeat) {
  if (repeat->getParentOfType<RepeatOp>())
    return repeat.emitOpError("must not be inside of another one");
  for (Region &kind : repeat.getKinds())
    if (layersOfKind(repeat.getRuns(), kind.getRegionNumber()).empty())
      return repeat.emitOpError()
             << "kind " << kind.getRegionNumber() << " is of no layer";
  return success();
}

static LogicalResult verifyGraph(GraphOp graph) {
  llvm::StringMap<WeightsOp> weights;
  for (auto op : graph.getOps<WeightsOp>()) {
    if (failed(verifySizes(op, op.getType())))
      return failure();
    weights[op.getSymName()] = op;
  }
  llvm::StringSet<> used;
  llvm::StringMap<RepeatOp> stacks;
  WalkResult result = graph.walk([&](Operation *op) -> WalkResult {
    if (op == graph || isa<WeightsOp>(op))
      return WalkResult::advance();
    for (Type type : op->getResultTypes())
      if (failed(verifySizes(op, type)))
        return WalkResult::interrupt();
    for (Region &region : op->getRegions())
      for (Type type : region.getArgumentTypes())
        if (failed(verifySizes(op, type)))
          return WalkResult::interrupt();
    if (isa<GetOp, CallOp, RunOp, IfOp, NoneOp>(op)) // (N56)
      return op->emitOpError("is not resolved");
    if (auto use = dyn_cast<WeightOp>(op)) {
      used.insert(use.getWeight());
      return verifyUse(use, weights.lookup(use.getWeight()));
    }
    if (auto repeat = dyn_cast<RepeatOp>(op)) {
      // (N61) Entries share weights and state, layer by layer.
      auto [first, inserted] = stacks.try_emplace(repeat.getStack(), repeat);
      if (!inserted && first->second.getRuns() != repeat.getRuns()) {
        auto diag = repeat.emitOpError()
                    << "stack '" << repeat.getStack() << "' has other runs";
        diag.attachNote(first->second.getLoc()) << "than here";
        return diag;
      }
      return verifyRepeat(repeat);
    }
    return verifySettings(op);
  });
  if (result.wasInterrupted())
    return failure();
  for (auto op : graph.getOps<WeightsOp>())
    if (!used.contains(op.getSymName())) // (N59)
      return op.emitOpError() << "'" << op.getSymName() << "' is not used";
  return success();
}

namespace {

struct NNVerifyInstantiated
    : nn::impl::NNVerifyInstantiatedBase<NNVerifyInstantiated> {
  void runOnOperation() override {
    for (auto graph : getOperation().getOps<GraphOp>())
      if (failed(verifyGraph(graph)))
        signalPassFailure();
  }
};

} // namespace
