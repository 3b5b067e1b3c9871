//===- LowerAttention.cpp - Attentions and their states -------------------===//

#include "compiler/Conversion/NNToExec/FunctionBuilder.h"

#include <numeric>

using namespace mlir;
using namespace mbc;
using namespace mbc::select;

FlatSymbolRefAttr FunctionBuilder::nextState(Location loc,
                                             ArrayRef<int64_t> widths) {
  std::string path = (stack.empty() ? "" : stack + ".").str() + "attention" +
                     (attentions ? std::to_string(attentions) : std::string());
  ++attentions;
  SmallVector<int64_t> all = layers;
  return shared.state(loc, path, shared.dtype, widths, all);
}

LogicalResult FunctionBuilder::lowerAttention(nn::AttentionOp op) {
  auto sizes = [&](Value value) {
    return sizesOf(cast<nn::TensorType>(value.getType()));
  };
  SmallVector<int64_t> q = sizes(op.getQ()), k = sizes(op.getK()),
                       v = sizes(op.getV());
  auto product = [](ArrayRef<int64_t> list) {
    return std::accumulate(list.begin(), list.end(), int64_t(1),
                           std::multiplies<>());
  };
  int64_t heads = product(ArrayRef(k).drop_front().drop_back());
  int64_t group = product(ArrayRef(q).drop_front(k.size() - 1).drop_back());
  Location loc = op.getLoc();
  Value queries =
      reshape(views.lookup(op.getQ()), {q[0], heads, group, q.back()}, loc);
  Value keys = reshape(views.lookup(op.getK()), {k[0], heads, k.back()}, loc);
  Value values = reshape(views.lookup(op.getV()), {v[0], heads, v.back()}, loc);
  Value place = destination(op.getResult());
  views[op.getResult()] = place;
  Value out = reshape(place, {q[0], heads, group, v.back()}, loc);
  bool causal = cast<BoolAttr>(op.getCausal()).getValue();
  FlatSymbolRefAttr state;
  if (causal) {
    state = nextState(loc, {heads * k.back(), heads * v.back()});
  }
  int64_t window = 0;
  if (auto attr = dyn_cast_or_null<IntegerAttr>(op.getWindowAttr()))
    window = attr.getInt();
  Value ends = op.getWindows() ? views.lookup(op.getWindows()) : Value();
  auto scale = cast<FloatAttr>(op.getScale());
  exec::AttentionOp::create(
      builder, loc, queries, keys, values, ends, out, state,
      builder.getF64FloatAttr(scale.getValueAsDouble()),
      builder.getBoolAttr(causal), builder.getI64IntegerAttr(window));
  return success();
}

/// Tokens that a sequence is taken to have where a choice depends on it.
constexpr uint64_t usualContext = 512;

/// The form that costs least where `tokens` rows in a row are of one sequence.
static StringRef cheapestForm(nn::MLAAttentionOp op, uint64_t tokens) {
  uint64_t rows = *cast<nn::TensorType>(op.getQNope().getType())
                       .getOut()
                       .front()
                       .getStaticSize();
  auto flops = [&](const nn::OpCost &cost) {
    return cost.flops +
           std::max(tokens, usualContext) *
               (cost.attentionFlops + rows / tokens * cost.contextFlops);
  };
  SmallVector<nn::OpCost> costs = op.getCosts(nn::ElementSizes());
  return llvm::min_element(
             costs,
             [&](const auto &a, const auto &b) { return flops(a) < flops(b); })
      ->form;
}

LogicalResult FunctionBuilder::lowerLatentAttention(nn::MLAAttentionOp op) {
  Location loc = op.getLoc();
  if (!cast<BoolAttr>(op.getCausal()).getValue())
    return op.emitError("attention over latents must be causal");
  auto sizes = [&](Value value) {
    return sizesOf(cast<nn::TensorType>(value.getType()));
  };
  auto up = cast<nn::TensorType>(op.getUp().getType());
  int64_t heads = sizes(op.getQNope())[1], latent = sizes(op.getLatent())[1];
  int64_t both = *up.getOut()[1].getStaticSize();
  // A decode has one token of each sequence.
  uint64_t tokens =
      function.getSymName().starts_with("decode") ? 1 : sizes(op.getQNope())[0];
  Value place = destination(op.getResult());
  views[op.getResult()] = place;
  exec::LatentAttentionOp::create(
      builder, loc, dense(views.lookup(op.getQNope()), loc),
      dense(views.lookup(op.getQRope()), loc),
      asMatrix(views.lookup(op.getLatent()), loc),
      asMatrix(views.lookup(op.getKRope()), loc),
      reshape(views.lookup(op.getUp()), {heads, both, latent}, loc), place,
      nextState(loc, {latent, sizes(op.getKRope())[1]}),
      builder.getF64FloatAttr(
          cast<FloatAttr>(op.getScale()).getValueAsDouble()),
      builder.getBoolAttr(cheapestForm(op, tokens) == "absorbed"));
  return success();
}
