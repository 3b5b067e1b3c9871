//===- AxisRulesMoE.cpp - Latents, experts, features and losses -----------===//

#include "dialects/NN/AxisRulesImpl.h"
#include "dialects/NN/Expr.h"

using namespace mlir;
using namespace mbc::nn;

AxisResult mbc::nn::inferMLAAttention(EmitErrorFn emit, TensorType qNope,
                                      TensorType qRope, TensorType latent,
                                      TensorType kRope, TensorType up) {
  for (TensorType type : {qNope, qRope, latent, kRope})
    if (failed(expectValue(emit, type, "an operand of 'mla_attention'")))
      return failure();
  // (N36) [tokens, heads, nope] [tokens, heads, rope] [tokens, c]
  // [tokens, rope] [heads, kv = k: nope + v: vd ; c]
  Axes q = qNope.getOut(), r = qRope.getOut(), c = latent.getOut(),
       k = kRope.getOut();
  if (q.size() != 3 || r.size() != 3 || c.size() != 2 || k.size() != 2)
    return emit() << "'mla_attention' needs [tokens, heads, nope], [tokens, "
                     "heads, rope], [tokens, latent] and [tokens, rope], found "
                  << qNope.text() << ", " << qRope.text() << ", "
                  << latent.text() << " and " << kRope.text();
  if (std::string why = mismatch(q.drop_back(), r.drop_back()); !why.empty())
    return emit() << "the queries of 'mla_attention' differ: " << why;
  if (c.front() != q.front() || k.front() != q.front() || k.back() != r.back())
    return emit() << "latent " << latent.text() << " and rope keys "
                  << kRope.text() << " of 'mla_attention' do not fit queries "
                  << qNope.text() << " and " << qRope.text();
  Axes out = up.getOut();
  if (!up.getBatch().empty() || out.size() != 2 || out[0] != q[1] ||
      out[1].getParts().size() != 2 || up.getIn() != c.take_back())
    return emit() << "the up-projection of 'mla_attention' must be ["
                  << q[1].getName() << ", kv = k + v ; " << c.back().getName()
                  << "], found " << up.text();
  AxisAttr key = out[1].getParts()[0], value = out[1].getParts()[1];
  if (key.getSize() != q.back().getSize())
    return emit() << "part '" << key.getName() << "' of '" << out[1].text()
                  << "' must have the size '" << exprText(q.back().getSize())
                  << "' of axis '" << q.back().getName() << "'";
  StringRef name = value.getKept().empty() ? value.getName() : value.getKept();
  SmallVector<AxisAttr> axes(q.drop_back());
  axes.push_back(AxisAttr::get(up.getContext(), name, value.getSize()));
  TensorType result = activation(up.getContext(), axes);
  if (failed(verifyTensor(emit, result)))
    return failure();
  return result;
}

AxisResults mbc::nn::inferRoute(EmitErrorFn emit, TensorType logits,
                                TensorType correction, Attribute topk) {
  // (N39)
  if (failed(expectValue(emit, logits, "the logits of 'route'")))
    return failure();
  if (logits.getOut().size() != 2)
    return emit() << "the logits of 'route' must be [tokens, experts], found "
                  << logits.text();
  // (N40)
  if (correction) {
    if (failed(expectFlat(emit, correction, "the correction of 'route'")))
      return failure();
    if (std::string why =
            mismatch(logits.getOut().drop_front(), correction.getOut());
        !why.empty())
      return emit() << "the correction of 'route' must be of the experts: "
                    << why;
  }
  MLIRContext *ctx = logits.getContext();
  SmallVector<AxisAttr> axes{logits.getOut().front(),
                             AxisAttr::get(ctx, "topk", topk)};
  SmallVector<TensorType> results{activation(ctx, axes, "f32"),
                                  activation(ctx, axes, "i32")};
  if (failed(verifyTensor(emit, results[0])))
    return failure();
  return results;
}

AxisResult mbc::nn::inferDispatch(EmitErrorFn emit, TensorType x,
                                  TensorType idx) {
  // (N41)
  if (failed(expectValue(emit, x, "the input of 'dispatch'")) ||
      failed(expectIds(emit, idx, "the indices of 'dispatch'")))
    return failure();
  if (x.getOut().size() < 2 || idx.getOut().size() != 2 ||
      x.getOut().front() != idx.getOut().front())
    return emit() << "'dispatch' needs [tokens, ...] and [tokens, topk], found "
                  << x.text() << " and " << idx.text();
  MLIRContext *ctx = x.getContext();
  SmallVector<AxisAttr> axes(x.getOut());
  Attribute routed = UnitAttr::get(ctx);
  if (!idx.getOut()[0].isData())
    routed = buildExpr(ctx, "*",
                       {idx.getOut()[0].getSize(), idx.getOut()[1].getSize()});
  axes[0] = AxisAttr::get(ctx, "routed", routed);
  return activation(ctx, axes);
}

AxisResult mbc::nn::inferGroupedLinear(EmitErrorFn emit, TensorType x,
                                       TensorType weight) {
  // (N42)
  if (failed(expectValue(emit, x, "the input of 'grouped_linear'")))
    return failure();
  if (weight.getBatch().size() != 1 || weight.getIn().empty())
    return emit() << "the weight of 'grouped_linear' must be [experts : out ; "
                     "in], found "
                  << weight.text();
  if (x.getOut().empty())
    return emit()
           << "the input of 'grouped_linear' must be [routed, in], found "
           << x.text();
  if (std::string why = mismatch(weight.getIn(), x.getOut().drop_front());
      !why.empty())
    return emit() << "'grouped_linear' contracts " << axesText(weight.getIn())
                  << " of " << weight.text() << " with " << x.text() << ": "
                  << why;
  SmallVector<AxisAttr> axes{x.getOut().front()};
  axes.append(weight.getOut().begin(), weight.getOut().end());
  TensorType result = activation(x.getContext(), axes);
  if (failed(verifyTensor(emit, result)))
    return failure();
  return result;
}

AxisResult mbc::nn::inferCombine(EmitErrorFn emit, TensorType y,
                                 TensorType weights, TensorType idx) {
  // (N43)
  if (failed(expectValue(emit, y, "the rows of 'combine'")) ||
      failed(expectIds(emit, idx, "the indices of 'combine'")))
    return failure();
  if (y.getOut().size() < 2 || idx.getOut().size() != 2)
    return emit() << "'combine' needs [routed, ...] and [tokens, topk], found "
                  << y.text() << " and " << idx.text();
  if (std::string why = mismatch(idx.getOut(), weights.getOut()); !why.empty())
    return emit() << "weights and indices of 'combine' differ: " << why;
  SmallVector<AxisAttr> axes(y.getOut());
  axes[0] = idx.getOut().front();
  return activation(y.getContext(), axes);
}

AxisResult mbc::nn::inferMerge(EmitErrorFn emit, TensorType x, Attribute count,
                               StringRef name) {
  // (N44)
  if (failed(expectValue(emit, x, "the input of 'merge'")))
    return failure();
  MLIRContext *ctx = x.getContext();
  Attribute merged = UnitAttr::get(ctx);
  std::optional<int64_t> rows, each = asInt(count);
  if (!x.getOut().empty())
    rows = x.getOut().front().getStaticSize();
  if (x.getOut().size() < 2 || !(rows || x.getOut().front().isData()))
    return emit() << "'merge' needs [tokens, ...], found " << x.text();
  if (rows && each && *each > 0) {
    if (*rows % *each != 0)
      return emit() << "'merge' makes one row of " << *each << ", and " << *rows
                    << " are no multiple of them";
    merged = intExpr(ctx, *rows / *each);
  }
  SmallVector<AxisAttr> axes{AxisAttr::get(ctx, "merged", merged),
                             AxisAttr::get(ctx, name, count)};
  axes.append(x.getOut().begin() + 1, x.getOut().end());
  TensorType result = activation(ctx, axes);
  if (failed(verifyTensor(emit, result)))
    return failure();
  return result;
}

AxisResult mbc::nn::inferPlace(EmitErrorFn emit, TensorType x,
                               TensorType features, TensorType ids) {
  // (N45)
  for (TensorType type : {x, features})
    if (failed(expectValue(emit, type, "an operand of 'place'")))
      return failure();
  if (failed(expectIds(emit, ids, "the ids of 'place'")))
    return failure();
  if (x.getOut().size() < 2 || features.getOut().size() != x.getOut().size())
    return emit() << "'place' needs [tokens, ...] and [features, ...], found "
                  << x.text() << " and " << features.text();
  if (std::string why =
          mismatch(x.getOut().drop_front(), features.getOut().drop_front());
      !why.empty())
    return emit() << "the features of 'place' are no rows of " << x.text()
                  << ": " << why;
  if (std::string why = mismatch(x.getOut().take_front(), ids.getOut());
      !why.empty())
    return emit() << "the ids of 'place' must be of the tokens: " << why;
  return x;
}

AxisResult mbc::nn::inferShift(EmitErrorFn emit, TensorType ids) {
  // (N46)
  if (failed(expectIds(emit, ids, "the operand of 'shift'")))
    return failure();
  if (ids.getOut().size() != 1)
    return emit() << "the operand of 'shift' must be [tokens], found "
                  << ids.text();
  return ids;
}

AxisResult mbc::nn::inferReorder(EmitErrorFn emit, TensorType x,
                                 TensorType order) {
  // (N49)
  if (failed(expectValue(emit, x, "the rows of 'reorder'")) ||
      failed(expectIds(emit, order, "the order of 'reorder'")))
    return failure();
  if (x.getOut().size() < 2 || order.getOut().size() != 1)
    return emit() << "'reorder' needs [rows, ...] and [order], found "
                  << x.text() << " and " << order.text();
  return x;
}

AxisResult mbc::nn::inferTake(EmitErrorFn emit, TensorType x, TensorType rows) {
  // (N50)
  if (failed(expectValue(emit, x, "the rows of 'take'")) ||
      failed(expectIds(emit, rows, "the list of 'take'")))
    return failure();
  if (x.getOut().size() < 2 || rows.getOut().size() != 1)
    return emit() << "'take' needs [rows, ...] and [list], found " << x.text()
                  << " and " << rows.text();
  SmallVector<AxisAttr> axes(x.getOut());
  axes[0] = rows.getOut()[0];
  return activation(x.getContext(), axes);
}

AxisResult mbc::nn::inferCrossEntropy(EmitErrorFn emit, TensorType logits,
                                      TensorType labels) {
  // (N47)
  if (failed(expectValue(emit, logits, "the logits of 'cross_entropy'")) ||
      failed(expectIds(emit, labels, "the labels of 'cross_entropy'")))
    return failure();
  if (logits.getOut().size() < 2)
    return emit() << "the logits of 'cross_entropy' must be [tokens, classes], "
                     "found "
                  << logits.text();
  if (std::string why = mismatch(logits.getOut().take_front(), labels.getOut());
      !why.empty())
    return emit() << "the labels of 'cross_entropy' must be of the tokens: "
                  << why;
  return activation(logits.getContext(), {}, "f32");
}
