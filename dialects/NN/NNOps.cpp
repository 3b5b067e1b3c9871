//===- NNOps.cpp - Verifiers of declarations and operators ----------------===//
//
// Numbers are those of README.md.
//
//===----------------------------------------------------------------------===//

#include "dialects/NN/NNOps.h"
#include "dialects/NN/Expr.h"
#include "dialects/Signature.h"

#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/SmallSet.h"
#include "llvm/ADT/StringExtras.h"

using namespace mlir;
using namespace mbc::nn;

// Of the generated parsers.
using mbc::parseSignature;
using mbc::printSignature;

#include "dialects/NN/NNInterfaces.cpp.inc"

#define GET_OP_CLASSES
#include "dialects/NN/NNOps.cpp.inc"

// Inside, as `TensorType` alone would also be MLIR's.
namespace mbc::nn {

//===----------------------------------------------------------------------===//
// Declarations
//===----------------------------------------------------------------------===//

Attribute ModelOp::getValue(StringRef name) {
  return getValuesAttr() ? getValuesAttr().get(name) : Attribute();
}

/// (N16) Depth-first over calls; `path` are the calls that lead here.
static LogicalResult verifyNoRecursion(BlockOp block,
                                       SmallVectorImpl<CallOp> &path,
                                       SmallPtrSetImpl<Operation *> &done) {
  if (done.contains(block))
    return success();
  LogicalResult result = success();
  block.walk([&](CallOp call) {
    for (auto [i, outer] : llvm::enumerate(path)) {
      if (outer.getCallee() != call.getCallee())
        continue;
      auto diag = call.emitOpError()
                  << "block '" << call.getCallee() << "' contains itself";
      for (CallOp link : ArrayRef<CallOp>(path).drop_front(i + 1))
        diag.attachNote(link.getLoc()) << "calls '" << link.getCallee() << "'";
      result = diag;
      return WalkResult::interrupt();
    }
    auto callee = SymbolTable::lookupNearestSymbolFrom<BlockOp>(
        block->getParentOp(), call.getCalleeAttr());
    path.push_back(call);
    if (callee && failed(verifyNoRecursion(callee, path, done)))
      result = failure();
    path.pop_back();
    return failed(result) ? WalkResult::interrupt() : WalkResult::advance();
  });
  done.insert(block);
  return result;
}

LogicalResult ModelOp::verify() {
  // (N10) a model is for at least one architecture.
  if (getArchitectures().empty())
    return emitOpError("needs an architecture name");
  SmallPtrSet<Operation *, 8> done;
  SmallVector<CallOp> path;
  for (auto block : getOps<BlockOp>())
    if (failed(verifyNoRecursion(block, path, done)))
      return failure();
  return success();
}

LogicalResult VariantOp::verify() {
  // (N11) a case is [[tag, ...], [field], [field, default], ...].
  llvm::SmallSet<StringRef, 8> tags;
  for (Attribute entry : getCases()) {
    auto list = dyn_cast<ArrayAttr>(entry);
    auto names =
        list && !list.empty() ? dyn_cast<ArrayAttr>(list[0]) : ArrayAttr();
    if (!names || names.empty() ||
        !llvm::all_of(names, llvm::IsaPred<StringAttr>))
      return emitOpError("case must start with its tags");
    for (StringRef tag : names.getAsValueRange<StringAttr>())
      if (!tags.insert(tag).second)
        return emitOpError() << "case '" << tag << "' is there twice";
    for (Attribute field : llvm::drop_begin(list)) {
      auto pair = dyn_cast<ArrayAttr>(field);
      if (!pair || pair.empty() || pair.size() > 2 || !isa<StringAttr>(pair[0]))
        return emitOpError()
               << "case " << names << " must list [field] or [field, default]";
    }
  }
  return success();
}

LogicalResult ParamOp::verify() {
  auto emit = [&] { return emitOpError(); };
  TensorType type = getType();
  if (failed(verifyTensor(emit, type)))
    return failure();
  // (N05)
  if (type.getElem() != "weight")
    return emitOpError() << "must be of element kind 'weight', found '"
                         << type.getElem() << "'";
  llvm::SmallSet<StringRef, 4> targets, meshes;
  if (getShardAttr())
    for (auto shard : getShardAttr().getAsRange<ShardAttr>()) {
      // (N07)
      if (!llvm::is_contained({"tp", "ep", "etp"}, shard.getMesh()))
        return emitOpError() << "unknown mesh axis '" << shard.getMesh()
                             << "'; expected tp, ep or etp";
      // (N08)
      if (!meshes.insert(shard.getMesh()).second)
        return emitOpError()
               << "mesh axis '" << shard.getMesh() << "' is used twice";
      for (StringAttr target : shard.getTargets()) {
        if (failed(verifyShardTarget(emit, type, target.getValue())))
          return failure();
        if (!targets.insert(target.getValue()).second)
          return emitOpError()
                 << "'" << target.getValue() << "' is sharded twice";
      }
    }
  // (N09)
  if (getPadAttr())
    for (auto pad : getPadAttr().getAsValueRange<StringAttr>())
      if (!type.findAxis(pad))
        return emitOpError()
               << "unknown axis '" << pad << "' of " << type.text();
  // (N13)
  if (getTieWhenAttr() && !getTieAttr())
    return emitOpError("has a condition of a tie, but no tie");
  return success();
}

//===----------------------------------------------------------------------===//
// Bodies
//===----------------------------------------------------------------------===//

/// (N12) A body ends with its values. (N15) Instances have different names,
/// also from parameters.
static LogicalResult verifyBody(Operation *op, Region &body) {
  for (Type type : body.getArgumentTypes()) {
    auto tensor = dyn_cast<TensorType>(type);
    if (!tensor)
      return op->emitOpError()
             << "argument of type " << type << ", expected a tensor";
    if (failed(verifyTensor([&] { return op->emitOpError(); }, tensor)))
      return failure();
  }
  if (body.front().empty() || !isa<YieldOp>(body.front().back()))
    return op->emitOpError("must end with 'nn.yield'");
  llvm::MapVector<StringRef, Operation *> names;
  WalkResult result = body.walk([&](Operation *inner) {
    StringRef name;
    if (auto call = dyn_cast<CallOp>(inner))
      name = call.getInstance();
    else if (auto param = dyn_cast<ParamOp>(inner))
      name = param.getSymName();
    else
      return WalkResult::advance();
    auto [it, inserted] = names.insert({name, inner});
    if (inserted)
      return WalkResult::advance();
    auto diag = inner->emitOpError() << "'" << name << "' is named twice";
    diag.attachNote(it->second->getLoc()) << "the first is here";
    return WalkResult::interrupt();
  });
  return failure(result.wasInterrupted());
}

LogicalResult BlockOp::verify() { return verifyBody(*this, getBody()); }
LogicalResult FuncOp::verify() {
  if (failed(verifyBody(*this, getBody())))
    return failure();
  if (getInputNames() &&
      getInputNames()->size() != getBody().getNumArguments()) // (N51)
    return emitOpError() << "has " << getBody().getNumArguments()
                         << " inputs and " << getInputNames()->size()
                         << " names of them";
  return success();
}

LogicalResult LayersOp::verify() {
  if (failed(verifyBody(*this, getBody())))
    return failure();
  // (N19) one value is carried.
  Operation *yield = getBody().front().getTerminator();
  if (getBody().getNumArguments() == 0 || yield->getNumOperands() != 1 ||
      yield->getOperand(0).getType() != getBody().getArgument(0).getType())
    return emitOpError("must yield one value of the type of its first "
                       "argument");
  return success();
}

LogicalResult IfOp::verify() {
  // (N18)
  for (Region *region : getRegions()) {
    auto yield = region->front().empty()
                     ? YieldOp()
                     : dyn_cast<YieldOp>(region->front().back());
    if (!yield)
      return emitOpError("branch must end with 'nn.yield'");
    if (yield.getOperandTypes() != getResultTypes())
      return emitOpError("branches must yield the types of the results");
  }
  return success();
}

LogicalResult GetOp::verifySymbolUses(SymbolTableCollection &symbols) {
  // (N14) of the body, else of the model.
  Operation *param = nullptr;
  for (Operation *scope = getOperation()->getParentOp(); scope && !param;
       scope = scope->getParentOp()) {
    if (scope->hasTrait<OpTrait::SymbolTable>())
      param = symbols.lookupSymbolIn(scope, getParamAttr());
    if (isa<ModelOp>(scope))
      break;
  }
  auto found = dyn_cast_or_null<ParamOp>(param);
  if (!found)
    return emitOpError() << "unknown parameter '" << getParam() << "'";
  if (found.getType() == getType())
    return success();
  auto diag = emitOpError() << "has type " << getType();
  diag.attachNote(found.getLoc()) << "the parameter has " << found.getType();
  return diag;
}

template <typename OpT>
static OpT lookupInModel(Operation *op, SymbolTableCollection &symbols,
                         FlatSymbolRefAttr name) {
  auto model = op->getParentOfType<ModelOp>();
  return model ? dyn_cast_or_null<OpT>(symbols.lookupSymbolIn(model, name))
               : OpT();
}

LogicalResult CallOp::verifySymbolUses(SymbolTableCollection &symbols) {
  // (N17) operands and results are those of the block.
  auto block = lookupInModel<BlockOp>(*this, symbols, getCalleeAttr());
  if (!block)
    return emitOpError() << "unknown block '" << getCallee() << "'";
  if (getInstance().empty())
    return emitOpError("needs an instance name");
  Region &body = block.getBody();
  if (getOperandTypes() == TypeRange(body.getArgumentTypes()) &&
      getResultTypes() ==
          TypeRange(body.front().getTerminator()->getOperandTypes()))
    return success();
  auto diag = emitOpError() << "does not fit block '" << getCallee() << "'";
  diag.attachNote(block.getLoc()) << "the block is here";
  return diag;
}

LogicalResult RunOp::verifySymbolUses(SymbolTableCollection &symbols) {
  // (N17)
  auto layers = lookupInModel<LayersOp>(*this, symbols, getStackAttr());
  if (!layers)
    return emitOpError() << "unknown layers '" << getStack() << "'";
  if (getOperandTypes() == TypeRange(layers.getBody().getArgumentTypes()) &&
      getResult().getType() == layers.getBody().getArgument(0).getType())
    return success();
  auto diag = emitOpError() << "does not fit layers '" << getStack() << "'";
  diag.attachNote(layers.getLoc()) << "the layers are here";
  return diag;
}

//===----------------------------------------------------------------------===//
// Graphs
//===----------------------------------------------------------------------===//

LogicalResult EntryOp::verify() {
  if (failed(verifyBody(*this, getBody())))
    return failure();
  // (N51) inputs and results have names.
  if (getInputNames().size() != getBody().getNumArguments())
    return emitOpError() << "has " << getBody().getNumArguments()
                         << " inputs and " << getInputNames().size()
                         << " names of them";
  size_t results = getBody().front().getTerminator()->getNumOperands();
  if (getResultNames().size() != results)
    return emitOpError() << "has " << results << " results and "
                         << getResultNames().size() << " names of them";
  return success();
}

LogicalResult WeightOp::verifySymbolUses(SymbolTableCollection &symbols) {
  // (N52) the weight is one of the graph, and has its type.
  auto graph = (*this)->getParentOfType<GraphOp>();
  auto weights = graph ? dyn_cast_or_null<WeightsOp>(
                             symbols.lookupSymbolIn(graph, getWeightAttr()))
                       : WeightsOp();
  if (!weights)
    return emitOpError() << "unknown weight '" << getWeight() << "'";
  if (weights.getType() == getType())
    return success();
  auto diag = emitOpError() << "has type " << getType();
  diag.attachNote(weights.getLoc()) << "the weight has " << weights.getType();
  return diag;
}

LogicalResult RepeatOp::verify() {
  // (N53) every kind takes the operands and yields what is carried; runs
  // follow each other.
  if (getInputs().empty() || getInputs()[0].getType() != getType())
    return emitOpError("must give back the type of its first operand");
  for (Region &kind : getKinds()) {
    if (kind.getArgumentTypes() != getInputs().getTypes())
      return emitOpError("kind does not take the operands");
    auto yield = kind.front().empty() ? YieldOp()
                                      : dyn_cast<YieldOp>(kind.front().back());
    if (!yield || yield.getNumOperands() != 1 ||
        yield.getOperand(0).getType() != getType())
      return emitOpError("kind must yield one value of the carried type");
  }
  int64_t next = 0;
  for (Attribute attr : getRuns()) {
    auto run = dyn_cast<DenseI64ArrayAttr>(attr);
    if (!run || run.size() != 3)
      return emitOpError("run must be [kind, first, count]");
    if (run[0] < 0 || run[0] >= static_cast<int64_t>(getKinds().size()))
      return emitOpError() << "run of kind " << run[0] << ", of "
                           << getKinds().size();
    if (run[1] != next || run[2] <= 0)
      return emitOpError() << "run starts at layer " << run[1] << ", expected "
                           << next;
    next += run[2];
  }
  return success();
}

bool canBeSeen(TensorType type) {
  return !type.getOut().empty() &&
         (type.getOut().front().getName() == "tokens" ||
          type.getOut().front().getName() == "routed");
}

bool isRowOp(Operation *op) {
  return isa<MapOp, RMSNormOp, LayerNormOp, RopeOp>(op);
}

LogicalResult ClusterOp::verify() {
  // (N54) pointwise operations and row reductions only.
  mlir::Block &body = getBody().front();
  if (body.getArgumentTypes() != getInputs().getTypes())
    return emitOpError("body does not take the operands");
  for (Operation &op : body.without_terminator())
    if (!isRowOp(&op))
      return emitOpError() << "holds '" << op.getName()
                           << "', which is no row operation";
  auto yield = body.empty() ? YieldOp() : dyn_cast<YieldOp>(body.back());
  if (!yield || yield.getOperandTypes() != getResultTypes())
    return emitOpError("must yield its results");
  return success();
}

//===----------------------------------------------------------------------===//
// Operators
//===----------------------------------------------------------------------===//

static TensorType typeOf(Value value) {
  return value ? cast<TensorType>(value.getType()) : TensorType();
}

static SmallVector<TensorType> typesOf(ValueRange values) {
  return llvm::map_to_vector(values, typeOf);
}

LogicalResult detail::verifyAxisRule(Operation *op) {
  AxisResults rule = cast<AxisRuleOpInterface>(op).inferTypes(
      [op] { return op->emitOpError(); });
  if (failed(rule))
    return failure();
  if (rule->size() != op->getNumResults())
    return op->emitOpError() << "has " << op->getNumResults()
                             << " results, expected " << rule->size();
  for (auto [expected, result] : llvm::zip(*rule, op->getResults()))
    if (typeOf(result).withPlacement({}) != expected)
      return op->emitOpError() << "result has type " << result.getType()
                               << ", expected " << expected;
  return success();
}

/// The results of a rule, one or many, without placements.
static AxisResults plain(AxisResults rule) {
  if (succeeded(rule))
    for (TensorType &type : *rule)
      type = type.withPlacement({});
  return rule;
}
static AxisResults plain(AxisResult rule) {
  return failed(rule) ? AxisResults(failure())
                      : plain(AxisResults(SmallVector<TensorType>{*rule}));
}

AxisResults EmbeddingOp::inferTypes(EmitErrorFn emit) {
  return plain(inferEmbedding(emit, typeOf(getIds()), typeOf(getWeight())));
}
AxisResults LinearOp::inferTypes(EmitErrorFn emit) {
  return plain(inferLinear(emit, typeOf(getX()), typeOf(getWeight()),
                           typeOf(getBias())));
}
AxisResults RMSNormOp::inferTypes(EmitErrorFn emit) {
  return plain(inferNorm(emit, typeOf(getX()), typeOf(getWeight()), {}));
}
AxisResults LayerNormOp::inferTypes(EmitErrorFn emit) {
  return plain(
      inferNorm(emit, typeOf(getX()), typeOf(getWeight()), typeOf(getBias())));
}
AxisResults SplitOp::inferTypes(EmitErrorFn emit) {
  return plain(inferSplit(emit, typeOf(getX()), getAxis()));
}
AxisResults JoinOp::inferTypes(EmitErrorFn emit) {
  return plain(inferJoin(emit, getAxis(), typesOf(getParts())));
}
AxisResults RopeOp::inferTypes(EmitErrorFn emit) {
  return plain(
      inferRope(emit, typeOf(getQ()), typeOf(getK()), typeOf(getPositions())));
}
AxisResults AttentionOp::inferTypes(EmitErrorFn emit) {
  return plain(inferAttention(emit, typeOf(getQ()), typeOf(getK()),
                              typeOf(getV()), typeOf(getWindows())));
}
AxisResults MLAAttentionOp::inferTypes(EmitErrorFn emit) {
  return plain(inferMLAAttention(emit, typeOf(getQNope()), typeOf(getQRope()),
                                 typeOf(getLatent()), typeOf(getKRope()),
                                 typeOf(getUp())));
}
AxisResults MapOp::inferTypes(EmitErrorFn emit) {
  return plain(inferMap(emit, getKind(), typesOf(getInputs()),
                        getScalarAttr() != nullptr));
}
AxisResults RouteOp::inferTypes(EmitErrorFn emit) {
  return plain(inferRoute(emit, typeOf(getLogits()), typeOf(getCorrection()),
                          getTopk()));
}
AxisResults DispatchOp::inferTypes(EmitErrorFn emit) {
  return plain(inferDispatch(emit, typeOf(getX()), typeOf(getIdx())));
}
AxisResults GroupedLinearOp::inferTypes(EmitErrorFn emit) {
  return plain(inferGroupedLinear(emit, typeOf(getX()), typeOf(getWeight())));
}
AxisResults CombineOp::inferTypes(EmitErrorFn emit) {
  return plain(inferCombine(emit, typeOf(getY()), typeOf(getWeights()),
                            typeOf(getIdx())));
}
AxisResults MergeOp::inferTypes(EmitErrorFn emit) {
  return plain(inferMerge(emit, typeOf(getX()), getCount(), getAxis()));
}
AxisResults PlaceOp::inferTypes(EmitErrorFn emit) {
  return plain(inferPlace(emit, typeOf(getX()), typeOf(getFeatures()),
                          typeOf(getIds())));
}
AxisResults ShiftOp::inferTypes(EmitErrorFn emit) {
  return plain(inferShift(emit, typeOf(getIds())));
}
AxisResults ReorderOp::inferTypes(EmitErrorFn emit) {
  return plain(inferReorder(emit, typeOf(getX()), typeOf(getOrder())));
}
AxisResults TakeOp::inferTypes(EmitErrorFn emit) {
  return plain(inferTake(emit, typeOf(getX()), typeOf(getRows())));
}
AxisResults CrossEntropyOp::inferTypes(EmitErrorFn emit) {
  return plain(
      inferCrossEntropy(emit, typeOf(getLogits()), typeOf(getLabels())));
}

} // namespace mbc::nn
