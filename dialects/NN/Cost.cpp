//===- Cost.cpp - What each operator costs --------------------------------===//

#include "dialects/NN/NNOps.h"

#include "llvm/ADT/SmallSet.h"

using namespace mlir;
using namespace mbc::nn;

static mbc::nn::TensorType typeOf(Value value) {
  return cast<mbc::nn::TensorType>(value.getType());
}

static uint64_t elementsOf(Value value) {
  return *typeOf(value).getStaticElements();
}

static uint64_t rowsOf(Value value) {
  return *typeOf(value).getOut().front().getStaticSize();
}

static uint64_t sizeOf(ArrayRef<AxisAttr> axes) {
  uint64_t size = 1;
  for (AxisAttr axis : axes)
    size *= *axis.getStaticSize();
  return size;
}

static bool isWeight(Value value) {
  return typeOf(value).getElem() == "weight";
}

uint64_t ElementSizes::bytesOf(Value value) const {
  uint64_t elements = elementsOf(value);
  StringRef elem = typeOf(value).getElem();
  if (elem == "weight") {
    auto use = value.getDefiningOp<WeightOp>();
    auto weights = use ? SymbolTable::lookupNearestSymbolFrom<WeightsOp>(
                             use, use.getWeightAttr())
                       : WeightsOp();
    bool pinned = weights && weights.getDtype() == "f32";
    return elements * (pinned ? 4 : weight);
  }
  bool result = llvm::any_of(value.getUsers(), [](Operation *user) {
    return isa<YieldOp>(user) && isa<EntryOp>(user->getParentOp());
  });
  return elements * (elem == "act" && !result ? activation : 4);
}

Attribute mbc::nn::angleKey(RopeOp op) {
  Attribute none = UnitAttr::get(op.getContext());
  Attribute axial = op.getAxialAttr() ? op.getAxialAttr() : none;
  return ArrayAttr::get(op.getContext(),
                        {op.getTheta(), op.getScaling(), axial,
                         IntegerAttr::get(IntegerType::get(op.getContext(), 64),
                                          angleWidth(op))});
}

int64_t mbc::nn::angleWidth(RopeOp op) {
  return *typeOf(op.getQ()).getOut().back().getStaticSize();
}

static uint64_t angleBytes(RopeOp op) {
  return rowsOf(op.getQ()) * angleWidth(op) * sizeof(float);
}

/// Reads every value and every weight as a whole, and writes the results.
static OpCost wholeCost(Operation *op, const ElementSizes &sizes) {
  OpCost cost;
  for (Value operand : op->getOperands())
    (isWeight(operand) ? cost.weightBytes : cost.movedBytes) +=
        sizes.bytesOf(operand);
  for (Value result : op->getResults())
    cost.movedBytes += sizes.bytesOf(result);
  cost.readBytes = cost.weightBytes;
  return cost;
}

/// Reads of `source` the rows that it writes.
static OpCost rowsCost(Operation *op, const ElementSizes &sizes, Value source) {
  OpCost cost = wholeCost(op, sizes);
  cost.movedBytes -= sizes.bytesOf(source);
  cost.movedBytes +=
      sizes.bytesOf(source) / rowsOf(source) * rowsOf(op->getResult(0));
  return cost;
}

using Costs = SmallVector<OpCost>;

namespace mbc::nn {

Costs EmbeddingOp::getCosts(const ElementSizes &sizes) {
  OpCost cost = wholeCost(*this, sizes);
  uint64_t table = sizeOf(typeOf(getWeight()).getOut());
  cost.readBytes =
      cost.weightBytes / table * std::min(table, elementsOf(getIds()));
  return {cost};
}

Costs LinearOp::getCosts(const ElementSizes &sizes) {
  OpCost cost = wholeCost(*this, sizes);
  cost.flops =
      2 * elementsOf(getResult()) * sizeOf(typeOf(getWeight()).getIn());
  return {cost};
}

Costs GroupedLinearOp::getCosts(const ElementSizes &sizes) {
  OpCost cost = wholeCost(*this, sizes);
  uint64_t experts = sizeOf(typeOf(getWeight()).getBatch());
  cost.flops =
      2 * elementsOf(getResult()) * sizeOf(typeOf(getWeight()).getIn());
  // Rows of as many experts as there are.
  cost.readBytes =
      cost.weightBytes / experts * std::min(experts, rowsOf(getX()));
  return {cost};
}

Costs AttentionOp::getCosts(const ElementSizes &sizes) {
  OpCost cost = wholeCost(*this, sizes);
  cost.attentionFlops = 2 * (elementsOf(getQ()) + elementsOf(getResult()));
  auto causal = dyn_cast<BoolAttr>(getCausal());
  if (causal && causal.getValue())
    cost.stateBytes =
        (elementsOf(getK()) + elementsOf(getV())) * sizes.activation;
  return {cost};
}

Costs MLAAttentionOp::getCosts(const ElementSizes &sizes) {
  uint64_t latent = sizeOf(typeOf(getLatent()).getOut().drop_front());
  uint64_t queries = elementsOf(getQNope()), turned = elementsOf(getQRope());
  uint64_t results = elementsOf(getResult());
  uint64_t heads = sizeOf(typeOf(getQNope()).getOut().drop_back());
  OpCost expanded = wholeCost(*this, sizes);
  expanded.stateBytes =
      (elementsOf(getLatent()) + elementsOf(getKRope())) * sizes.activation;
  OpCost absorbed = expanded;
  // Keys and values of every token of the state, made of its latent.
  expanded.form = "expanded";
  expanded.contextFlops = 2 * elementsOf(getUp());
  expanded.attentionFlops = 2 * (queries + turned + results);
  // Queries and results go through the up-projection instead, and heads attend
  // to the latents themselves.
  absorbed.form = "absorbed";
  absorbed.flops = 2 * latent * (queries + results);
  absorbed.attentionFlops = 2 * (2 * heads * latent + turned);
  return {expanded, absorbed};
}

/// Windows of their operand: nothing is moved.
Costs SplitOp::getCosts(const ElementSizes &) { return {OpCost()}; }
Costs MergeOp::getCosts(const ElementSizes &) { return {OpCost()}; }

Costs RopeOp::getCosts(const ElementSizes &sizes) {
  OpCost cost = wholeCost(*this, sizes);
  // Positions are read where the angles are made.
  if (getPositions())
    cost.movedBytes -= sizes.bytesOf(getPositions());
  cost.movedBytes += angleBytes(*this);
  return {cost};
}

Costs ClusterOp::getCosts(const ElementSizes &sizes) {
  // What is inside stays in registers, but for the angles.
  OpCost cost = wholeCost(*this, sizes);
  for (Value input : getInputs())
    if (typeOf(input).getElem() == "i32")
      cost.movedBytes -= sizes.bytesOf(input);
  llvm::SmallSet<std::pair<const void *, const void *>, 2> tables;
  for (auto rope : getBody().front().getOps<RopeOp>()) {
    Value positions = rope.getPositions();
    if (tables
            .insert({angleKey(rope).getAsOpaquePointer(),
                     positions ? positions.getAsOpaquePointer() : nullptr})
            .second)
      cost.movedBytes += angleBytes(rope);
  }
  return {cost};
}

Costs TakeOp::getCosts(const ElementSizes &sizes) {
  return {rowsCost(*this, sizes, getX())};
}
Costs DispatchOp::getCosts(const ElementSizes &sizes) {
  return {rowsCost(*this, sizes, getX())};
}

#define WHOLE(OP)                                                              \
  Costs OP::getCosts(const ElementSizes &sizes) {                              \
    return {wholeCost(*this, sizes)};                                          \
  }
WHOLE(RMSNormOp)
WHOLE(LayerNormOp)
WHOLE(JoinOp)
WHOLE(MapOp)
WHOLE(RouteOp)
WHOLE(CombineOp)
WHOLE(PlaceOp)
WHOLE(ShiftOp)
WHOLE(ReorderOp)
WHOLE(CrossEntropyOp)
#undef WHOLE

} // namespace mbc::nn
