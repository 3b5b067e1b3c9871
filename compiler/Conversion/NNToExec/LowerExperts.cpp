//===- LowerExperts.cpp - Rows of tokens and rows of experts --------------===//

#include "compiler/Conversion/NNToExec/FunctionBuilder.h"
#include "dialects/NN/Expr.h"

#include "llvm/ADT/StringSwitch.h"

using namespace mlir;
using namespace mbc;
using namespace mbc::select;

/// A number of the configuration.
static double numberOf(Attribute attr) {
  if (auto real = dyn_cast<FloatAttr>(attr))
    return real.getValueAsDouble();
  return static_cast<double>(cast<IntegerAttr>(attr).getInt());
}

/// The schema's name of a value that declarations call by the one that model
/// configurations have; empty where there is none.
static StringRef schemaName(StringRef name) {
  return llvm::StringSwitch<StringRef>(name)
      .Case("softmax", "Softmax")
      .Case("sigmoid", "Sigmoid")
      .Case("greedy", "Greedy")
      .Case("group_limited_greedy", "GroupLimitedGreedy")
      .Case("noaux_tc", "NoauxTc")
      .Default("");
}

LogicalResult FunctionBuilder::lowerRoute(nn::RouteOp op) {
  Location loc = op.getLoc();
  auto ids = cast<nn::TensorType>(op.getResult(1).getType());
  StringRef score = schemaName(cast<StringAttr>(op.getScore()).getValue());
  StringRef method = "Greedy";
  if (auto named = dyn_cast_or_null<StringAttr>(op.getMethodAttr()))
    method = schemaName(named.getValue());
  if (score != "Softmax" && score != "Sigmoid")
    return op.emitError() << "no scores are called '"
                          << nn::exprText(op.getScore())
                          << "'; expected softmax or sigmoid";
  if (!llvm::is_contained({"Greedy", "GroupLimitedGreedy", "NoauxTc"}, method))
    return op.emitError() << "no method of routing is called '"
                          << nn::exprText(op.getMethodAttr())
                          << "'; expected greedy, group_limited_greedy or "
                             "noaux_tc";
  for (Value result : op.getResults())
    views[result] = buffer(
        sizesOf(ids), elementOf(cast<nn::TensorType>(result.getType())), loc);
  auto groups = builder.getI64IntegerAttr(numberOf(op.getGroups()));
  auto chosen = builder.getI64IntegerAttr(numberOf(op.getGroupTopk()));
  exec::RouteOp::create(
      builder, loc, asMatrix(views.lookup(op.getLogits()), loc),
      op.getCorrection() ? views.lookup(op.getCorrection()) : Value(),
      views.lookup(op.getResult(0)), views.lookup(op.getResult(1)),
      builder.getStringAttr(score), builder.getStringAttr(method),
      builder.getBoolAttr(cast<BoolAttr>(op.getRenorm()).getValue()), groups,
      chosen, builder.getF64FloatAttr(numberOf(op.getScale())));
  Type integer = builder.getI32Type();
  int64_t experts =
      sizesOf(cast<nn::TensorType>(op.getLogits().getType())).back();
  Groups &sorted = groupsOfIds[op.getResult(1)];
  sorted.place = buffer(sizesOf(ids), integer, loc);
  sorted.offsets = buffer({experts + 1}, integer, loc);
  exec::GroupOp::create(builder, loc, views.lookup(op.getResult(1)),
                        sorted.place, sorted.offsets);
  return success();
}

LogicalResult FunctionBuilder::lowerDispatch(nn::DispatchOp op) {
  Groups sorted = groupsOfIds.lookup(op.getIdx());
  if (!sorted.place)
    return op.emitError("takes indices that no 'route' of this body gives");
  Value place = destination(op.getResult());
  views[op.getResult()] = place;
  groupsOf[op.getResult()] = sorted;
  exec::ScatterOp::create(builder, op.getLoc(),
                          asMatrix(views.lookup(op.getX()), op.getLoc()),
                          sorted.place, asMatrix(place, op.getLoc()));
  return success();
}

LogicalResult FunctionBuilder::lowerGroupedLinear(nn::GroupedLinearOp op) {
  Value offsets = groupsOf.lookup(op.getX()).offsets;
  if (!offsets)
    return op.emitError("takes rows that no 'dispatch' of this body gives");
  Value place = destination(op.getResult());
  views[op.getResult()] = place;
  exec::GroupedGemmOp::create(
      builder, op.getLoc(), asMatrix(views.lookup(op.getX()), op.getLoc()),
      views.lookup(op.getWeight()), offsets, asMatrix(place, op.getLoc()));
  return success();
}

Value FunctionBuilder::inOrderOfTokens(Value view, Value place, Location loc) {
  auto places = cast<MemRefType>(place.getType());
  Value rows = asMatrix(view, loc);
  auto type = cast<MemRefType>(rows.getType());
  Value ordered = buffer(type.getShape(), type.getElementType(), loc);
  int64_t count[] = {places.getNumElements()};
  exec::TakeOp::create(builder, loc, rows, reshape(place, count, loc), ordered);
  SmallVector<int64_t> sizes(places.getShape());
  llvm::append_range(sizes,
                     cast<MemRefType>(view.getType()).getShape().drop_front());
  return reshape(ordered, sizes, loc);
}

LogicalResult FunctionBuilder::lowerCombine(nn::CombineOp op) {
  Groups sorted = groupsOfIds.lookup(op.getIdx());
  if (!sorted.place)
    return op.emitError("takes indices that no 'route' of this body gives");
  Value place = destination(op.getResult());
  views[op.getResult()] = place;
  exec::CombineOp::create(builder, op.getLoc(),
                          asMatrix(views.lookup(op.getY()), op.getLoc()),
                          views.lookup(op.getWeights()), sorted.place,
                          asMatrix(place, op.getLoc()));
  return success();
}
