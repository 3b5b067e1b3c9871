//===- NNInstantiate.cpp - Entries over static rows -----------------------===//

#include "compiler/Transforms/NNPasses.h"
#include "dialects/NN/AxisRules.h"
#include "dialects/NN/Expr.h"
#include "dialects/NN/Parameters.h"

#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringSet.h"

#include <set>

namespace mbc::nn {
#define GEN_PASS_DEF_NNINSTANTIATE
#include "compiler/Transforms/NNPasses.h.inc"
} // namespace mbc::nn

using namespace mlir;
using namespace mbc;
using namespace mbc::nn;

namespace {

struct EntryRequest {
  std::string name;
  int64_t rows = 0;
  int64_t outputs = 0; ///< 0: a result for every row
  bool draft = false;  ///< the second result too
};

/// "prefill=512:8", "score=64+draft"
std::optional<EntryRequest> parseRequest(StringRef text) {
  EntryRequest request;
  request.draft = text.consume_back("+draft");
  auto [name, numbers] = text.split('=');
  auto [rows, outputs] = numbers.split(':');
  request.name = name.str();
  if (name.empty() || rows.getAsInteger(10, request.rows) || request.rows <= 0)
    return std::nullopt;
  if (!outputs.empty() &&
      (outputs.getAsInteger(10, request.outputs) || request.outputs <= 0))
    return std::nullopt;
  return request;
}

/// Where the walk through calls and stacks is.
struct Scope {
  std::string prefix;        ///< of parameter paths: "decoder.attn."
  Operation *body = nullptr; ///< whose parameters `prefix` names
  std::optional<int64_t> layer;
  StringRef index; ///< symbol of the layer
};

/// Stands for every name of a value.
constexpr const char *everyTap = "*";

class Instantiator {
public:
  Instantiator(ModelOp model, GraphOp graph)
      : model(model), graph(graph), ctx(model.getContext()) {
    parameters = collectParameters(model);
    for (LogicalParameter &parameter : parameters)
      byPath[parameter.path] = &parameter;
  }

  LogicalResult entry(FuncOp function, const EntryRequest &request);
  /// Values of these names become results of every entry that has them.
  void setTaps(ArrayRef<std::string> wanted) {
    taps.insert(wanted.begin(), wanted.end());
  }
  /// Of the wanted names one that no value has, else empty.
  StringRef unknownTap() const;
  /// The names that values have.
  const std::set<std::string> &valueNames() const { return names; }
  /// Declares the weights that the entries use, in the model's order.
  void declareWeights();

private:
  LogicalResult emit(mlir::Block &block, IRMapping &map, OpBuilder &builder,
                     const Scope &scope);
  LogicalResult checkDraft(FuncOp function);
  LogicalResult emitRun(RunOp run, IRMapping &map, OpBuilder &builder);
  Value weight(GetOp get, OpBuilder &builder, const Scope &scope);
  nn::TensorType bind(nn::TensorType type);
  void takeOutputs(EntryOp entry, const EntryRequest &request);
  void name(Value value, const std::string &path);
  void nameResults(Operation *op, const Scope &scope);
  void emitTaps(OpBuilder &builder);

  ModelOp model;
  GraphOp graph;
  MLIRContext *ctx;
  std::vector<LogicalParameter> parameters;
  llvm::StringMap<LogicalParameter *> byPath;
  llvm::StringSet<> used;
  std::set<std::string> taps, names;
  /// Of the body at hand: wanted values, and how often each name was given.
  SmallVector<std::pair<std::string, Value>> tapped;
  llvm::StringMap<int> given;
  /// Sizes of the data's axes in the entry at hand.
  llvm::StringMap<int64_t> rows;
};

} // namespace

/// The type with the sizes of this entry.
nn::TensorType Instantiator::bind(nn::TensorType type) {
  SmallVector<AxisAttr> axes;
  for (AxisAttr axis : type.getOut()) {
    auto size = rows.find(axis.getName());
    axes.push_back(
        axis.isData() && size != rows.end()
            ? AxisAttr::get(ctx, axis.getName(), intExpr(ctx, size->second))
            : axis);
  }
  return nn::TensorType::get(ctx, type.getBatch(), axes, type.getIn(),
                             type.getElem());
}

StringRef Instantiator::unknownTap() const {
  for (const std::string &tap : taps)
    if (tap != everyTap && !names.count(tap))
      return tap;
  return "";
}

void Instantiator::name(Value value, const std::string &path) {
  bool seen = canBeSeen(cast<nn::TensorType>(value.getType()));
  if (seen)
    names.insert(path);
  // With every value, those too that have a name and no output.
  if ((seen && taps.count(path)) || taps.count(everyTap))
    tapped.emplace_back(path, value);
}

void Instantiator::nameResults(Operation *op, const Scope &scope) {
  auto map = dyn_cast<MapOp>(op);
  StringRef kind = map ? map.getKind() : op->getName().stripDialect();
  std::string path = scope.prefix + kind.str();
  if (int number = given[path]++)
    path += std::to_string(number);
  for (OpResult result : op->getResults())
    name(result, op->getNumResults() == 1
                     ? path
                     : path + "." + std::to_string(result.getResultNumber()));
}

/// At the end of a body, so that nothing is fused otherwise than without them.
void Instantiator::emitTaps(OpBuilder &builder) {
  for (auto &[path, value] : tapped)
    TapOp::create(builder, value.getLoc(), path, value);
  tapped.clear();
  given.clear();
}

/// The parameter that a `nn.get` of the declaration means here.
Value Instantiator::weight(GetOp get, OpBuilder &builder, const Scope &scope) {
  bool local = scope.body && SymbolTable::lookupSymbolIn(
                                 scope.body, get.getParamAttr()) != nullptr;
  std::string path = (local ? scope.prefix : "") + get.getParam().str();
  // A tied parameter is the one that it is tied to.
  while (auto tie = byPath[path]->op.getTie())
    path = tie->str();
  used.insert(path);
  return WeightOp::create(builder, get.getLoc(), byPath[path]->type,
                          FlatSymbolRefAttr::get(ctx, path));
}

LogicalResult Instantiator::emitRun(RunOp run, IRMapping &map,
                                    OpBuilder &builder) {
  auto layers = model.lookupSymbol<LayersOp>(run.getStackAttr());
  SmallVector<Value> inputs;
  for (Value input : run.getInputs())
    inputs.push_back(map.lookup(input));
  // The first layer of a kind stands for all of it.
  llvm::MapVector<int64_t, int64_t> firstOf;
  for (auto span : layers.getKindsAttr().getAsRange<DenseI64ArrayAttr>())
    firstOf.insert({span[0], span[1]});
  auto repeat = RepeatOp::create(builder, run.getLoc(), inputs[0].getType(),
                                 inputs, run.getStackAttr().getAttr(),
                                 layers.getKindsAttr(), firstOf.size());
  map.map(run.getResult(), repeat.getResult());
  // What is named so far is of the body around.
  auto outerTapped = std::exchange(tapped, {});
  auto outerGiven = std::exchange(given, {});
  for (auto [kind, first] : firstOf) {
    mlir::Block &body = repeat.getKinds()[kind].emplaceBlock();
    IRMapping inner;
    for (auto [argument, input] :
         llvm::zip(layers.getBody().getArguments(), inputs))
      inner.map(argument, body.addArgument(input.getType(), argument.getLoc()));
    OpBuilder inside = OpBuilder::atBlockEnd(&body);
    Scope scope{layers.getSymName().str() + ".", layers, first,
                layers.getIndex().value_or("")};
    if (failed(emit(layers.getBody().front(), inner, inside, scope)))
      return failure();
    Value result =
        inner.lookup(layers.getBody().front().getTerminator()->getOperand(0));
    name(result, layers.getSymName().str());
    emitTaps(inside);
    YieldOp::create(inside, run.getLoc(), result);
  }
  tapped = std::move(outerTapped);
  given = std::move(outerGiven);
  return success();
}

/// Copies a body without its terminator, calls and conditions resolved.
LogicalResult Instantiator::emit(mlir::Block &block, IRMapping &map,
                                 OpBuilder &builder, const Scope &scope) {
  for (Operation &op : block.without_terminator()) {
    if (isa<ParamOp>(op))
      continue;
    if (auto get = dyn_cast<GetOp>(op)) {
      map.map(get.getResult(), weight(get, builder, scope));
    } else if (auto call = dyn_cast<CallOp>(op)) {
      auto callee = model.lookupSymbol<BlockOp>(call.getCalleeAttr());
      IRMapping inner;
      for (auto [argument, input] :
           llvm::zip(callee.getBody().getArguments(), call.getInputs()))
        inner.map(argument, map.lookup(input));
      Scope inside = scope;
      inside.prefix += call.getInstance().str() + ".";
      inside.body = callee;
      if (failed(emit(callee.getBody().front(), inner, builder, inside)))
        return failure();
      for (auto [result, value] :
           llvm::zip(call.getResults(),
                     callee.getBody().front().getTerminator()->getOperands()))
        map.map(result, inner.lookup(value));
      for (OpResult result : call.getResults())
        name(map.lookup(result),
             scope.prefix + call.getInstance().str() +
                 (call.getNumResults() == 1
                      ? ""
                      : "." + std::to_string(result.getResultNumber())));
    } else if (auto choice = dyn_cast<IfOp>(op)) {
      bool holds = scope.layer && choice.getThenLayers() &&
                   llvm::is_contained(*choice.getThenLayers(), *scope.layer);
      mlir::Block &branch =
          (holds ? choice.getThenBody() : choice.getElseBody()).front();
      if (failed(emit(branch, map, builder, scope)))
        return failure();
      for (auto [result, value] : llvm::zip(
               choice.getResults(), branch.getTerminator()->getOperands()))
        map.map(result, map.lookup(value));
    } else if (auto run = dyn_cast<RunOp>(op)) {
      if (failed(emitRun(run, map, builder)))
        return failure();
    } else {
      Operation *copy = builder.clone(op, map);
      // What depends on the layer is the same in all layers of a kind.
      if (scope.layer && !scope.index.empty())
        for (NamedAttribute attr : op.getAttrs()) {
          auto symbol = [&](StringRef name) -> Attribute {
            return name == scope.index ? intExpr(ctx, *scope.layer)
                                       : Attribute();
          };
          auto field = [](Attribute) { return Attribute(); };
          copy->setAttr(attr.getName(),
                        substitute(attr.getValue(), {symbol, field}));
        }
      if (auto dispatch = dyn_cast<DispatchOp>(copy)) {
        auto idx = cast<nn::TensorType>(dispatch.getIdx().getType()).getOut();
        rows["routed"] = *idx[0].getStaticSize() * *idx[1].getStaticSize();
      }
      for (Value result : copy->getResults())
        result.setType(bind(cast<nn::TensorType>(result.getType())));
      nameResults(copy, scope);
    }
  }
  return success();
}

/// Narrows the last product to the rows that the caller asks for: what comes
/// before it, the state included, is computed for all.
void Instantiator::takeOutputs(EntryOp entry, const EntryRequest &request) {
  mlir::Block &body = entry.getBody().front();
  auto axis = AxisAttr::get(ctx, "outputs", intExpr(ctx, request.outputs));
  auto list = nn::TensorType::get(ctx, {}, {axis}, {}, "i32");
  Value outputs = body.addArgument(list, entry.getLoc());
  for (OpOperand &result : body.getTerminator()->getOpOperands()) {
    OpBuilder builder(body.getTerminator());
    Value value = result.get();
    auto head = value.getDefiningOp<LinearOp>();
    if (head)
      builder.setInsertionPoint(head);
    Value from = head ? head.getX() : value;
    SmallVector<AxisAttr> axes(cast<nn::TensorType>(from.getType()).getOut());
    axes[0] = axis;
    auto type = nn::TensorType::get(
        ctx, {}, axes, {}, cast<nn::TensorType>(from.getType()).getElem());
    Value taken = TakeOp::create(builder, value.getLoc(), type, from, outputs);
    if (!head) {
      result.set(taken);
      continue;
    }
    IRMapping map;
    map.map(head.getX(), taken);
    Operation *narrow = builder.clone(*head, map);
    SmallVector<AxisAttr> wide(cast<nn::TensorType>(value.getType()).getOut());
    wide[0] = axis;
    narrow->getResult(0).setType(nn::TensorType::get(ctx, {}, wide, {}, "act"));
    result.set(narrow->getResult(0));
  }
}

/// Removes what nothing uses, from the end.
static void removeUnused(mlir::Block &block) {
  for (Operation &op :
       llvm::make_early_inc_range(llvm::reverse(block.getOperations()))) {
    for (Region &region : op.getRegions())
      if (!region.empty())
        removeUnused(region.front());
    if (op.use_empty() && !op.hasTrait<OpTrait::IsTerminator>() &&
        !isa<TapOp>(op))
      op.erase();
  }
}

/// Whether the value is made by layers of a stack that `without` is made
/// without.
static bool hasOwnLayers(Value value, Value without) {
  auto stacksOf = [](Value root) {
    llvm::SmallSetVector<Operation *, 32> seen;
    llvm::StringSet<> stacks;
    if (Operation *op = root.getDefiningOp())
      seen.insert(op);
    for (size_t i = 0; i < seen.size(); ++i) {
      if (auto run = dyn_cast<RunOp>(seen[i]))
        stacks.insert(run.getStack());
      for (Value operand : seen[i]->getOperands())
        if (Operation *op = operand.getDefiningOp())
          seen.insert(op);
    }
    return stacks;
  };
  llvm::StringSet<> shared = stacksOf(without);
  return llvm::any_of(stacksOf(value), [&](const auto &stack) {
    return !shared.contains(stack.getKey());
  });
}

/// The second result drafts with a stack of its own, which has layers.
LogicalResult Instantiator::checkDraft(FuncOp function) {
  Operation *yield = function.getBody().front().getTerminator();
  if (yield->getNumOperands() > 1 &&
      hasOwnLayers(yield->getOperand(1), yield->getOperand(0)))
    return success();
  return model.emitError(
      "has no layers for multi-token prediction in this configuration: there "
      "is no draft of the token after the next");
}

LogicalResult Instantiator::entry(FuncOp function,
                                  const EntryRequest &request) {
  OpBuilder builder = OpBuilder::atBlockEnd(&graph.getBody().front());
  rows.clear();
  rows["tokens"] = request.rows;
  SmallVector<Attribute> inputs;
  auto entry = EntryOp::create(builder, function.getLoc(), request.name,
                               builder.getStrArrayAttr({}),
                               builder.getStrArrayAttr({"logits"}));
  mlir::Block &body = entry.getBody().emplaceBlock();
  IRMapping map;
  if (function.getInputNames())
    inputs.append(function.getInputNames()->begin(),
                  function.getInputNames()->end());
  for (BlockArgument argument : function.getBody().getArguments()) {
    if (!function.getInputNames())
      inputs.push_back(
          builder.getStringAttr("input" + Twine(argument.getArgNumber())));
    map.map(argument,
            body.addArgument(bind(cast<nn::TensorType>(argument.getType())),
                             argument.getLoc()));
  }
  OpBuilder inside = OpBuilder::atBlockEnd(&body);
  mlir::Block &source = function.getBody().front();
  if (failed(emit(source, map, inside, Scope())))
    return failure();
  emitTaps(inside);
  SmallVector<Value> results{map.lookup(source.getTerminator()->getOperand(0))};
  // The second result drafts a later token, for who asks for it.
  if (request.draft) {
    if (failed(checkDraft(function)))
      return failure();
    results.push_back(map.lookup(source.getTerminator()->getOperand(1)));
    entry.setResultNamesAttr(builder.getStrArrayAttr({"logits", "draft"}));
  }
  YieldOp::create(inside, function.getLoc(), results);
  if (request.outputs) {
    takeOutputs(entry, request);
    inputs.push_back(builder.getStringAttr("outputs"));
  }
  entry.setInputNamesAttr(builder.getArrayAttr(inputs));
  removeUnused(body);
  return success();
}

void Instantiator::declareWeights() {
  used.clear();
  graph.walk([&](WeightOp op) { used.insert(op.getWeight()); });
  OpBuilder builder = OpBuilder::atBlockBegin(&graph.getBody().front());
  for (LogicalParameter &parameter : parameters) {
    if (!used.contains(parameter.path))
      continue;
    DenseI64ArrayAttr layers;
    if (parameter.stack)
      layers = builder.getDenseI64ArrayAttr(parameter.layers);
    WeightsOp::create(builder, parameter.op.getLoc(), parameter.path,
                      parameter.type, layers, parameter.op.getDtypeAttr(),
                      parameter.op.getShardAttr(), parameter.op.getPadAttr());
  }
}

namespace {

struct NNInstantiate : nn::impl::NNInstantiateBase<NNInstantiate> {
  using NNInstantiateBase::NNInstantiateBase;

  void runOnOperation() override {
    for (ModelOp model :
         llvm::make_early_inc_range(getOperation().getOps<ModelOp>()))
      if (model.isElaborated() && failed(instantiate(model)))
        return signalPassFailure();
  }

  LogicalResult instantiate(ModelOp model) {
    auto function = model.lookupSymbol<FuncOp>("forward");
    if (!function)
      return model.emitError("has no function 'forward'");
    OpBuilder builder(model);
    auto graph = GraphOp::create(builder, model.getLoc(), model.getSymName(),
                                 model.getValuesAttr());
    graph.getBody().emplaceBlock();
    Instantiator instantiator(model, graph);
    instantiator.setTaps(taps);
    for (const std::string &text : entries) {
      std::optional<EntryRequest> request = parseRequest(text);
      if (!request)
        return model.emitError()
               << "entry '" << text
               << "' is none; expected NAME=ROWS or NAME=ROWS:OUTPUTS, and "
                  "+draft for the second result";
      if (failed(instantiator.entry(function, *request)))
        return failure();
    }
    if (StringRef tap = instantiator.unknownTap(); !tap.empty())
      return model.emitError()
             << "no value is called '" << tap << "'; expected one of "
             << llvm::join(instantiator.valueNames(), ", ");
    instantiator.declareWeights();
    model.erase();
    return success();
  }
};

} // namespace
