//===- AxisRules.cpp - Dense operators ------------------------------------===//
//
// Numbers are those of README.md.
//
//===----------------------------------------------------------------------===//

#include "dialects/NN/AxisRulesImpl.h"
#include "dialects/NN/Expr.h"

#include "llvm/ADT/SmallSet.h"
#include "llvm/ADT/StringExtras.h"

using namespace mlir;
using namespace mbc::nn;

//===----------------------------------------------------------------------===//
// Helpers
//===----------------------------------------------------------------------===//

std::string mbc::nn::axesText(Axes axes) {
  std::string text = "[";
  for (auto [i, axis] : llvm::enumerate(axes))
    text += (i ? ", " : "") + axis.getName().str();
  return text + "]";
}

std::string mbc::nn::mismatch(Axes expected, Axes found) {
  if (expected == found)
    return "";
  bool names = llvm::equal(expected, found, [](AxisAttr a, AxisAttr b) {
    return a.getName() == b.getName();
  });
  if (!names)
    return "expected " + axesText(expected) + ", found " + axesText(found);
  for (auto [a, b] : llvm::zip(expected, found)) {
    if (a == b)
      continue;
    if (a.isSum() || b.isSum())
      return "expected '" + a.text() + "', found '" + b.text() + "'";
    return "expected size '" + exprText(a.getSize()) + "' of axis '" +
           a.getName().str() + "', found '" + exprText(b.getSize()) + "'";
  }
  return "";
}

TensorType mbc::nn::activation(MLIRContext *ctx, Axes axes, StringRef elem) {
  return TensorType::get(ctx, {}, axes, {}, elem);
}

LogicalResult mbc::nn::expectFlat(EmitErrorFn emit, TensorType type,
                                  StringRef what) {
  if (type.getBatch().empty() && type.getIn().empty())
    return success();
  return emit() << what << " must be a vector, found " << type.text();
}

LogicalResult mbc::nn::expectValue(EmitErrorFn emit, TensorType type,
                                   StringRef what) {
  if (type.getElem() != "weight")
    return success();
  return emit() << what << " must be a value, found a parameter "
                << type.text();
}

LogicalResult mbc::nn::expectIds(EmitErrorFn emit, TensorType type,
                                 StringRef what) {
  if (type.getElem() == "i32")
    return success();
  return emit() << what << " must be integers, found " << type.text() << " of '"
                << type.getElem() << "'";
}

LogicalResult mbc::nn::verifyAxis(EmitErrorFn emit, AxisAttr axis) {
  // (N01) a name, and a size that is no negative number.
  if (axis.getName().empty())
    return emit() << "axis without a name";
  std::optional<int64_t> size = axis.getStaticSize();
  if (size && *size <= 0)
    return emit() << "axis '" << axis.getName() << "' has size " << *size
                  << ", expected a positive one";
  if (!size && !isa<UnitAttr, FlatSymbolRefAttr, ExprAttr>(axis.getSize()))
    return emit() << "axis '" << axis.getName() << "' has size '"
                  << exprText(axis.getSize()) << "', expected an integer";
  // (N02) parts: different names, no parts of their own, an axis only lost
  // where the size is 1 for good.
  llvm::SmallSet<StringRef, 4> names;
  for (AxisAttr part : axis.getParts()) {
    if (!names.insert(part.getName()).second)
      return emit() << "part '" << part.getName() << "' of axis '"
                    << axis.getName() << "' is named twice";
    if (part.isSum() || part.isData())
      return emit() << "part '" << part.getName() << "' of axis '"
                    << axis.getName() << "' must have a size of its own";
    if (part.getKept().empty() && part.getStaticSize() != 1)
      return emit() << "part '" << part.getName() << "' of axis '"
                    << axis.getName() << "' has size '"
                    << exprText(part.getSize())
                    << "' and loses its axis, which only a 1 may";
    if (failed(verifyAxis(emit, part)))
      return failure();
  }
  return success();
}

LogicalResult mbc::nn::verifyTensor(EmitErrorFn emit, TensorType type) {
  // (N03) no axis twice among what is not contracted, nor among what is.
  SmallVector<AxisAttr> left(type.getBatch());
  left.append(type.getOut().begin(), type.getOut().end());
  for (Axes side : {Axes(left), type.getIn()}) {
    llvm::SmallSet<StringRef, 8> names;
    for (AxisAttr axis : side) {
      if (!names.insert(axis.getName()).second)
        return emit() << "axis '" << axis.getName() << "' is on one side of "
                      << type.text() << " twice";
      if (failed(verifyAxis(emit, axis)))
        return failure();
    }
  }
  // (N04) known element kinds; only weights have three sides and no data axis.
  if (!llvm::is_contained({"weight", "act", "f32", "i32"}, type.getElem()))
    return emit() << "unknown element kind '" << type.getElem()
                  << "'; expected weight, act, f32 or i32";
  if (type.getElem() != "weight")
    return expectFlat(emit, type, "a value");
  for (AxisAttr axis : type.getAxes())
    if (axis.isData())
      return emit() << "axis '" << axis.getName()
                    << "' of a parameter needs a size";
  return success();
}

LogicalResult mbc::nn::verifyShardTarget(EmitErrorFn emit, TensorType type,
                                         StringRef target) {
  // (N06) "axis" or "axis.part".
  auto [name, part] = target.split('.');
  AxisAttr axis = type.findAxis(name);
  if (!axis)
    return emit() << "unknown axis '" << name << "' of " << type.text();
  if (!part.empty() && !axis.getPart(part))
    return emit() << "unknown part '" << part << "' of axis '" << axis.text()
                  << "'";
  return success();
}

//===----------------------------------------------------------------------===//
// Rules
//===----------------------------------------------------------------------===//

AxisResult mbc::nn::inferEmbedding(EmitErrorFn emit, TensorType ids,
                                   TensorType weight) {
  // (N20)
  if (failed(expectIds(emit, ids, "the ids of 'embedding'")))
    return failure();
  // (N21)
  if (!weight.getBatch().empty() || weight.getOut().size() != 1 ||
      weight.getIn().empty())
    return emit() << "the table of 'embedding' must be [rows ; columns], found "
                  << weight.text();
  SmallVector<AxisAttr> axes(ids.getOut());
  axes.append(weight.getIn().begin(), weight.getIn().end());
  TensorType result = activation(ids.getContext(), axes);
  if (failed(verifyTensor(emit, result)))
    return failure();
  return result;
}

AxisResult mbc::nn::inferLinear(EmitErrorFn emit, TensorType x,
                                TensorType weight, TensorType bias) {
  if (failed(expectValue(emit, x, "the input of 'linear'")))
    return failure();
  // (N22)
  if (!weight.getBatch().empty() || weight.getIn().empty())
    return emit() << "the weight of 'linear' must be [out ; in], found "
                  << weight.text();
  // (N23)
  Axes in = weight.getIn(), out = x.getOut();
  Axes last = out.take_back(std::min(in.size(), out.size()));
  if (std::string why = mismatch(in, last); !why.empty())
    return emit() << "'linear' contracts " << axesText(in) << " of "
                  << weight.text() << " with the last axes of " << x.text()
                  << ": " << why;
  SmallVector<AxisAttr> axes(out.drop_back(in.size()));
  axes.append(weight.getOut().begin(), weight.getOut().end());
  TensorType result = activation(x.getContext(), axes);
  // (N24)
  if (failed(verifyTensor(emit, result)))
    return failure();
  // (N25)
  if (bias) {
    if (failed(expectFlat(emit, bias, "the bias of 'linear'")))
      return failure();
    if (std::string why = mismatch(weight.getOut(), bias.getOut());
        !why.empty())
      return emit() << "the bias of 'linear' has not the out axes of the "
                       "weight: "
                    << why;
  }
  return result;
}

AxisResult mbc::nn::inferNorm(EmitErrorFn emit, TensorType x, TensorType weight,
                              TensorType bias) {
  // (N26)
  if (failed(expectValue(emit, x, "the input of a norm")) ||
      failed(expectFlat(emit, weight, "the weight of a norm")))
    return failure();
  Axes axes = weight.getOut();
  Axes last = x.getOut().take_back(std::min(axes.size(), x.getOut().size()));
  if (std::string why = mismatch(axes, last); !why.empty() || axes.empty())
    return emit() << "the weight of a norm must have the last axes of "
                  << x.text() << ": " << why;
  // (N27)
  if (bias)
    if (std::string why = mismatch(axes, bias.getOut()); !why.empty())
      return emit() << "the bias of a norm must have the axes of its weight: "
                    << why;
  return x;
}

AxisResults mbc::nn::inferSplit(EmitErrorFn emit, TensorType x,
                                StringRef name) {
  if (failed(expectValue(emit, x, "the input of 'split'")))
    return failure();
  // (N28)
  AxisAttr axis = x.findAxis(name);
  if (!axis)
    return emit() << "unknown axis '" << name << "' of " << x.text();
  if (!axis.isSum())
    return emit() << "axis '" << name
                  << "' is not a sum axis, 'split' needs "
                     "named parts";
  MLIRContext *ctx = x.getContext();
  SmallVector<TensorType> results;
  for (AxisAttr part : axis.getParts()) {
    SmallVector<AxisAttr> axes;
    for (AxisAttr other : x.getOut()) {
      if (other != axis)
        axes.push_back(other);
      else if (!part.getKept().empty())
        axes.push_back(AxisAttr::get(ctx, part.getKept(), part.getSize()));
    }
    results.push_back(activation(ctx, axes, x.getElem()));
    if (failed(verifyTensor(emit, results.back())))
      return failure();
  }
  return results;
}

AxisResult mbc::nn::inferJoin(EmitErrorFn emit, AxisAttr axis,
                              ArrayRef<TensorType> parts) {
  // (N30)
  if (!axis.isSum())
    return emit() << "axis '" << axis.getName()
                  << "' is not a sum axis, 'join' needs named parts";
  if (parts.size() != axis.getParts().size())
    return emit() << "'join' of '" << axis.text() << "' needs "
                  << axis.getParts().size() << " values, found "
                  << parts.size();
  // Where a part keeps its axis, there the sum goes; else behind the data axis.
  MLIRContext *ctx = axis.getContext();
  std::optional<SmallVector<AxisAttr>> result;
  size_t place = 1;
  for (auto [type, part] : llvm::zip(parts, axis.getParts())) {
    auto kept = AxisAttr::get(ctx, part.getKept(), part.getSize());
    const auto *found = llvm::find(type.getOut(), kept);
    if (!part.getKept().empty() && found != type.getOut().end()) {
      place = found - type.getOut().begin();
      break;
    }
  }
  for (auto [type, part] : llvm::zip(parts, axis.getParts())) {
    if (failed(expectValue(emit, type, "a part of 'join'")))
      return failure();
    // (N31)
    SmallVector<AxisAttr> axes(type.getOut());
    if (!part.getKept().empty()) {
      auto kept = AxisAttr::get(ctx, part.getKept(), part.getSize());
      if (place >= axes.size() || axes[place] != kept)
        return emit() << "part '" << part.getName() << "' of '" << axis.text()
                      << "' needs axis '" << part.getKept() << "' of size '"
                      << exprText(part.getSize()) << "' at place " << place
                      << ", found " << type.text();
      axes.erase(axes.begin() + place);
    }
    if (!result)
      result = axes;
    else if (std::string why = mismatch(Axes(*result), Axes(axes));
             !why.empty())
      return emit() << "part '" << part.getName() << "' of '" << axis.text()
                    << "' differs in other axes: " << why;
  }
  result->insert(result->begin() + std::min(place, result->size()), axis);
  TensorType type = activation(ctx, *result, parts[0].getElem());
  if (failed(verifyTensor(emit, type)))
    return failure();
  return type;
}

AxisResults mbc::nn::inferRope(EmitErrorFn emit, TensorType q, TensorType k,
                               TensorType positions) {
  // (N32)
  for (TensorType type : {q, k})
    if (failed(expectValue(emit, type, "an operand of 'rope'")))
      return failure();
  if (q.getOut().size() < 2 || k.getOut().size() < 2 ||
      q.getOut().back() != k.getOut().back())
    return emit() << "'rope' rotates the last axis of both operands, found "
                  << q.text() << " and " << k.text();
  if (q.getOut().front() != k.getOut().front())
    return emit() << "'rope' needs the tokens of both operands first, found "
                  << q.text() << " and " << k.text();
  // (N33)
  if (positions &&
      failed(expectIds(emit, positions, "the positions of 'rope'")))
    return failure();
  return SmallVector<TensorType>{q, k};
}

AxisResult mbc::nn::inferAttention(EmitErrorFn emit, TensorType q, TensorType k,
                                   TensorType v, TensorType windows) {
  // (N29)
  if (windows && failed(expectIds(emit, windows, "the windows of 'attention'")))
    return failure();
  for (TensorType type : {q, k, v})
    if (failed(expectValue(emit, type, "an operand of 'attention'")))
      return failure();
  // (N34)
  Axes qs = q.getOut(), ks = k.getOut(), vs = v.getOut();
  if (ks.size() < 2 || vs.size() != ks.size())
    return emit() << "keys and values of 'attention' must be [tokens, heads, "
                     "size], found "
                  << k.text() << " and " << v.text();
  if (std::string why = mismatch(ks.drop_back(), vs.drop_back()); !why.empty())
    return emit() << "keys and values of 'attention' differ: " << why;
  // (N35)
  if (qs.size() < ks.size() || qs.back() != ks.back())
    return emit() << "queries and keys of 'attention' must end in one axis, "
                     "found "
                  << q.text() << " and " << k.text();
  if (std::string why = mismatch(ks.drop_back(), qs.take_front(ks.size() - 1));
      !why.empty())
    return emit() << "queries of 'attention' must start as the keys do: "
                  << why;
  SmallVector<AxisAttr> axes(qs.drop_back());
  axes.push_back(vs.back());
  TensorType result = activation(q.getContext(), axes);
  if (failed(verifyTensor(emit, result)))
    return failure();
  return result;
}

AxisResult mbc::nn::inferMap(EmitErrorFn emit, StringRef kind,
                             ArrayRef<TensorType> inputs, bool scalar) {
  // (N37)
  bool unary = llvm::is_contained({"silu", "gelu", "sigmoid"}, kind);
  if (!unary && !llvm::is_contained({"add", "mul", "sub"}, kind))
    return emit() << "unknown pointwise function '" << kind
                  << "'; expected silu, gelu, sigmoid, add, mul or sub";
  size_t expected = unary || scalar ? 1 : 2;
  if (inputs.size() != expected || (unary && scalar))
    return emit() << "'" << kind << "' needs " << (unary ? 1 : 2)
                  << " operands, found " << inputs.size() + scalar;
  for (TensorType type : inputs)
    if (failed(expectValue(emit, type, "a pointwise operand")))
      return failure();
  // (N38)
  if (inputs.size() == 2)
    if (std::string why = mismatch(inputs[0].getOut(), inputs[1].getOut());
        !why.empty())
      return emit() << "'" << kind << "' needs equal axes: " << why;
  return inputs[0];
}
