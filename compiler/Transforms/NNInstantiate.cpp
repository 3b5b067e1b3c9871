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

/// Name of the state from which a draft is made, as a result and as an input.
constexpr const char *hiddenName = "hidden";

struct EntryRequest {
  std::string name;
  int64_t rows = 0;
  int64_t outputs = 0; ///< 0: a result for every row
  /// What is computed besides, or instead, for a draft of a later token.
  enum class Draft {
    None,
    Too,   ///< the draft too: both results
    Gives, ///< the first result, and the state from which a draft is made
    Takes, ///< the draft alone, from that state, and the state after it
  } draft = Draft::None;
  bool text = false; ///< of tokens alone: no features take their places
  bool seen = false; ///< those features, of `rows` patches
};

/// "prefill=512:8", "score=64+draft", "decode=2+hidden", "draft=2:1@hidden",
/// "decode=8+text", "see=4096+seen"
std::optional<EntryRequest> parseRequest(StringRef text) {
  EntryRequest request;
  for (auto [suffix, draft] :
       {std::pair("+draft", EntryRequest::Draft::Too),
        std::pair("+hidden", EntryRequest::Draft::Gives),
        std::pair("@hidden", EntryRequest::Draft::Takes)})
    if (text.consume_back(suffix)) {
      request.draft = draft;
      break;
    }
  request.text = text.consume_back("+text");
  request.seen = text.consume_back("+seen");
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
  FailureOr<RunOp> findDraftRun(FuncOp function);
  LogicalResult emitRun(RunOp run, IRMapping &map, OpBuilder &builder);
  Value weight(GetOp get, OpBuilder &builder, const Scope &scope);
  nn::TensorType bind(nn::TensorType type);
  void takeOutputs(EntryOp entry, const EntryRequest &request);
  LogicalResult findLive(FuncOp function, const EntryRequest &request);
  LogicalResult sizeResults(Operation *op);
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
  /// Of the function, what the entry at hand is made of; `place`: where
  /// features come in, null where they do not.
  llvm::SmallDenseSet<Value> live;
  PlaceOp place;
  bool namesValues = true;
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
  // Rows of patches are none of tokens: there is no output for them.
  if (!namesValues)
    return;
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

/// Gives the results of an operation their sizes, and with them the axes of the
/// data that it makes.
LogicalResult Instantiator::sizeResults(Operation *op) {
  auto axesOf = [](Value value) {
    return cast<nn::TensorType>(value.getType()).getOut();
  };
  if (auto dispatch = dyn_cast<DispatchOp>(op)) {
    auto idx = axesOf(dispatch.getIdx());
    rows["routed"] = *idx[0].getStaticSize() * *idx[1].getStaticSize();
  } else if (auto merge = dyn_cast<MergeOp>(op)) {
    AxisResult merged = inferMerge([op] { return op->emitError(); },
                                   cast<nn::TensorType>(merge.getX().getType()),
                                   merge.getCount(), merge.getAxis());
    if (failed(merged))
      return failure();
    rows["merged"] = *merged->getOut()[0].getStaticSize();
  } else if (auto reorder = dyn_cast<ReorderOp>(op)) {
    // As many places as there are rows.
    Value order = reorder.getOrder();
    if (std::optional<int64_t> size = axesOf(reorder.getX())[0].getStaticSize())
      rows[axesOf(order)[0].getName()] = *size;
    order.setType(bind(cast<nn::TensorType>(order.getType())));
  }
  for (Value result : op->getResults())
    result.setType(bind(cast<nn::TensorType>(result.getType())));
  return success();
}

/// Copies a body without its terminator, calls and conditions resolved.
LogicalResult Instantiator::emit(mlir::Block &block, IRMapping &map,
                                 OpBuilder &builder, const Scope &scope) {
  for (Operation &op : block.without_terminator()) {
    if (isa<ParamOp>(op) ||
        (isa<FuncOp>(op.getParentOp()) && !live.contains(op.getResult(0))))
      continue;
    if (isa<PlaceOp>(op) && &op != place) {
      map.map(op.getResult(0), map.lookup(op.getOperand(0)));
      continue;
    }
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
      if (failed(sizeResults(copy)))
        return failure();
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
    // The state goes on with every row.
    if (cast<StringAttr>(entry.getResultNames()[result.getOperandNumber()]) ==
        hiddenName)
      continue;
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

static size_t layersIn(ArrayAttr runs) {
  size_t count = 0;
  for (auto run : runs.getAsRange<DenseI64ArrayAttr>())
    count += run[2];
  return count;
}

/// The stacks that a value is made with.
static llvm::SmallSetVector<RunOp, 4> runsOf(Value root) {
  llvm::SmallSetVector<Operation *, 32> seen;
  llvm::SmallSetVector<RunOp, 4> runs;
  if (Operation *op = root.getDefiningOp())
    seen.insert(op);
  for (size_t i = 0; i < seen.size(); ++i) {
    if (auto run = dyn_cast<RunOp>(seen[i]))
      runs.insert(run);
    for (Value operand : seen[i]->getOperands())
      if (Operation *op = operand.getDefiningOp())
        seen.insert(op);
  }
  return runs;
}

/// The stack with layers of its own with which the second result drafts; null:
/// there is none.
static RunOp draftRunOf(FuncOp function) {
  Operation *yield = function.getBody().front().getTerminator();
  if (yield->getNumOperands() > 1) {
    auto shared = runsOf(yield->getOperand(0));
    for (RunOp run : runsOf(yield->getOperand(1)))
      if (!shared.contains(run))
        return run;
  }
  return {};
}

bool nn::hasDraft(FuncOp function) { return bool(draftRunOf(function)); }

FailureOr<RunOp> Instantiator::findDraftRun(FuncOp function) {
  if (RunOp run = draftRunOf(function))
    return run;
  return model.emitError(
      "has no layers for multi-token prediction in this configuration: there "
      "is no draft of the token after the next");
}

/// A model that sees is two programs, which meet where features take the places
/// of tokens: one makes the features, the other is given them.
LogicalResult Instantiator::findLive(FuncOp function,
                                     const EntryRequest &request) {
  mlir::Block &body = function.getBody().front();
  auto places = body.getOps<PlaceOp>();
  place = places.empty() ? PlaceOp() : *places.begin();
  if (place && !llvm::hasSingleElement(places))
    return (*std::next(places.begin()))
        ->emitError("features take places twice; a program has them once");
  if (request.seen && !place)
    return model.emitError("sees nothing: its function 'forward' places no "
                           "features");
  SmallVector<Value> work;
  if (request.seen)
    work.push_back(place.getFeatures());
  else
    llvm::append_range(work, body.getTerminator()->getOperands());
  live.clear();
  while (!work.empty()) {
    Value value = work.pop_back_val();
    if (!live.insert(value).second)
      continue;
    Operation *op = value.getDefiningOp();
    if (!op)
      continue;
    live.insert(op->result_begin(), op->result_end());
    for (Value operand : op->getOperands())
      if (!isa<PlaceOp>(op) || operand != cast<PlaceOp>(op).getFeatures())
        work.push_back(operand);
  }
  if (request.seen || request.text)
    place = {};
  return success();
}

LogicalResult Instantiator::entry(FuncOp function,
                                  const EntryRequest &request) {
  OpBuilder builder = OpBuilder::atBlockEnd(&graph.getBody().front());
  if (failed(findLive(function, request)))
    return failure();
  namesValues = !request.seen;
  rows.clear();
  if (!request.seen)
    rows["tokens"] = request.rows;
  else
    for (BlockArgument argument : function.getBody().getArguments())
      if (auto axes = cast<nn::TensorType>(argument.getType()).getOut();
          live.contains(argument) && axes.size() > 1)
        rows[axes[0].getName()] = request.rows;
  SmallVector<Attribute> inputs;
  auto entry = EntryOp::create(
      builder, function.getLoc(), request.name, builder.getStrArrayAttr({}),
      builder.getStrArrayAttr({request.seen ? "seen" : "logits"}));
  mlir::Block &body = entry.getBody().emplaceBlock();
  IRMapping map;
  for (BlockArgument argument : function.getBody().getArguments()) {
    if (!live.contains(argument))
      continue;
    unsigned number = argument.getArgNumber();
    inputs.push_back(function.getInputNames()
                         ? (*function.getInputNames())[number]
                         : builder.getStringAttr("input" + Twine(number)));
    map.map(argument,
            body.addArgument(bind(cast<nn::TensorType>(argument.getType())),
                             argument.getLoc()));
  }
  if (place) {
    // A call may place as many as it has tokens.
    auto features = cast<nn::TensorType>(place.getFeatures().getType());
    SmallVector<AxisAttr> axes(features.getOut());
    axes[0] = AxisAttr::get(ctx, "features", intExpr(ctx, request.rows));
    inputs.push_back(builder.getStringAttr("features"));
    map.map(place.getFeatures(),
            body.addArgument(
                nn::TensorType::get(ctx, {}, axes, {}, features.getElem()),
                place.getLoc()));
  }
  OpBuilder inside = OpBuilder::atBlockEnd(&body);
  mlir::Block &source = function.getBody().front();
  if (failed(emit(source, map, inside, Scope())))
    return failure();
  using Draft = EntryRequest::Draft;
  bool alone = request.draft == Draft::Takes;
  // What comes before the state is left out, its taps too.
  if (alone)
    tapped.clear();
  emitTaps(inside);
  Operation *yielded = source.getTerminator();
  Value result = yielded->getOperand(alone ? 1 : 0);
  if (request.seen)
    result = (*source.getOps<PlaceOp>().begin()).getFeatures();
  SmallVector<Value> results{map.lookup(result)};
  if (request.draft != Draft::None) {
    FailureOr<RunOp> run = findDraftRun(function);
    if (failed(run))
      return failure();
    SmallVector<StringRef, 2> names{alone ? "draft" : "logits"};
    if (request.draft == Draft::Too) {
      results.push_back(map.lookup(yielded->getOperand(1)));
      names.push_back("draft");
    } else {
      auto repeat = map.lookup(run->getResult()).getDefiningOp<RepeatOp>();
      // Each further layer asks for a token that the one before has drafted.
      if (size_t layers = layersIn(repeat.getRuns()); layers > 1)
        return model.emitError()
               << "drafts with " << layers << " layers, one after another; a "
               << "function that drafts has one";
      Value state = repeat.getInputs()[0];
      results.push_back(alone ? repeat.getResult() : state);
      names.push_back(hiddenName);
      if (alone) {
        inputs.push_back(builder.getStringAttr(hiddenName));
        repeat.getInputsMutable().slice(0, 1).assign(
            body.addArgument(state.getType(), entry.getLoc()));
      }
    }
    entry.setResultNamesAttr(builder.getStrArrayAttr(names));
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
                  "behind it +draft, +hidden or @hidden, +text for tokens "
                  "alone, or +seen for the features of NAME=PATCHES";
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
