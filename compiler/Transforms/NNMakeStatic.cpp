//===- NNMakeStatic.cpp - Expressions become values -----------------------===//
//
// Numbers E.. are those of dialects/NN/README.md.
//
//===----------------------------------------------------------------------===//

#include "compiler/Transforms/NNElaborate.h"
#include "dialects/NN/ExprFold.h"
#include "dialects/NN/Parameters.h"

using namespace mlir;
using namespace mbc;
using namespace mbc::nn;

namespace {

class StaticModel {
public:
  StaticModel(ModelOp model, ConfigEvaluator &evaluator)
      : model(model), evaluator(evaluator), builder(model.getContext()) {}

  LogicalResult run();

private:
  // Conditions.
  void foldStacks();
  void foldConditions(mlir::Block &block, StringRef index,
                      ArrayRef<int64_t> layers);
  bool foldLayerCondition(IfOp op, Attribute condition, StringRef index,
                          ArrayRef<int64_t> layers);
  void takeBranch(IfOp op, bool isThen);
  void eraseUnreachable();

  // Parameters that do not exist.
  void removeAbsent();
  void dropNone(NoneOp none);

  // Values.
  Attribute evaluateSize(Attribute size, Location loc);
  void evaluateParam(ParamOp param);
  void evaluateOp(Operation *op, StringRef index);
  void checkTies(ArrayRef<LogicalParameter> parameters);
  void checkTotal(ArrayRef<LogicalParameter> parameters);
  void findKinds(LayersOp layers);

  static bool dependsOn(Attribute expr, StringRef index) {
    bool found = false;
    forEachSymbol(expr, [&](StringRef name) { found |= name == index; });
    return found;
  }

  ModelOp model;
  ConfigEvaluator &evaluator;
  OpBuilder builder;
  DenseMap<Attribute, Attribute> sizes;
  /// Of a `nn.none` in the place of an absent parameter: the parameter.
  DenseMap<Operation *, std::pair<StringAttr, Location>> absent;
};

} // namespace

//===----------------------------------------------------------------------===//
// Conditions
//===----------------------------------------------------------------------===//

/// Moves one branch before the operation and removes the operation.
void StaticModel::takeBranch(IfOp op, bool isThen) {
  mlir::Block &branch = (isThen ? op.getThenBody() : op.getElseBody()).front();
  Operation *yield = branch.getTerminator();
  op.replaceAllUsesWith(yield->getOperands());
  yield->erase();
  op->getBlock()->getOperations().splice(op->getIterator(),
                                         branch.getOperations());
  op.erase();
}

/// Evaluates a condition in each layer that reaches it; whether it is the same
/// in all of them and was folded.
bool StaticModel::foldLayerCondition(IfOp op, Attribute condition,
                                     StringRef index,
                                     ArrayRef<int64_t> layers) {
  SmallVector<int64_t> holds, others;
  for (int64_t layer : layers) {
    Attribute value =
        evaluator.evaluateLayer(condition, index, layer, op.getLoc());
    if (!value)
      return false;
    auto flag = dyn_cast<BoolAttr>(value);
    if (!flag) { // (E13)
      evaluator.error(op.getLoc())
          << "condition '" << exprText(condition, value) << "' of layer "
          << layer << " is not true or false";
      return false;
    }
    (flag.getValue() ? holds : others).push_back(layer);
  }
  if (holds.empty() || others.empty()) {
    takeBranch(op, !holds.empty());
    return true;
  }
  op.setConditionAttr(condition);
  op.setThenLayers(holds);
  foldConditions(op.getThenBody().front(), index, holds);
  foldConditions(op.getElseBody().front(), index, others);
  return false;
}

void StaticModel::foldConditions(mlir::Block &block, StringRef index,
                                 ArrayRef<int64_t> layers) {
  auto it = block.begin();
  while (it != block.end()) {
    auto op = dyn_cast<IfOp>(*it);
    if (!op) {
      ++it;
      continue;
    }
    // Where the branch that is taken will start.
    Operation *before = op->getPrevNode();
    bool folded = false;
    Attribute condition = evaluator.substitute(op.getCondition());
    if (!index.empty() && dependsOn(condition, index)) {
      folded = foldLayerCondition(op, condition, index, layers);
    } else if (std::optional<bool> value = evaluator.evaluateCondition(
                   op.getCondition(), op.getLoc())) {
      takeBranch(op, *value);
      folded = true;
    }
    if (!folded)
      ++it;
    else
      it = before ? std::next(before->getIterator()) : block.begin();
  }
}

void StaticModel::foldStacks() {
  for (auto layers : llvm::make_early_inc_range(model.getOps<LayersOp>())) {
    Attribute value = evaluator.evaluate(layers.getCount(), layers.getLoc());
    if (!value)
      continue;
    std::optional<int64_t> count = asInt(value);
    if (!count || *count < 0 || *count > 100000) { // (E15)
      evaluator.error(layers.getLoc())
          << "'" << exprText(layers.getCount(), value)
          << "' is not a number of layers";
      continue;
    }
    layers.setCountAttr(value);
    SmallVector<int64_t> all = llvm::to_vector(llvm::seq<int64_t>(*count));
    if (*count)
      foldConditions(layers.getBody().front(), layers.getIndex().value_or(""),
                     all);
  }
  for (Operation &op : *model.getBody().begin())
    if (isa<BlockOp, FuncOp>(op))
      foldConditions(op.getRegion(0).front(), "", {});
}

/// Removes empty stacks, and blocks that nothing calls any more.
void StaticModel::eraseUnreachable() {
  for (auto layers : llvm::make_early_inc_range(model.getOps<LayersOp>())) {
    if (asInt(layers.getCount()) != 0)
      continue;
    model.walk([&](RunOp run) {
      if (run.getStack() != layers.getSymName())
        return;
      run.replaceAllUsesWith(run.getInputs().front());
      run.erase();
    });
    layers.erase();
  }
  DenseSet<Operation *> reached;
  SmallVector<Operation *> work;
  for (Operation &op : *model.getBody().begin())
    if (isa<LayersOp, FuncOp>(op))
      work.push_back(&op);
  while (!work.empty())
    work.pop_back_val()->walk([&](CallOp call) {
      auto block = model.lookupSymbol<BlockOp>(call.getCalleeAttr());
      if (block && reached.insert(block).second)
        work.push_back(block);
    });
  for (auto block : llvm::make_early_inc_range(model.getOps<BlockOp>()))
    if (!reached.contains(block))
      block.erase();
}

//===----------------------------------------------------------------------===//
// Absent parameters
//===----------------------------------------------------------------------===//

void StaticModel::removeAbsent() {
  SmallVector<ParamOp> removed;
  model.walk([&](ParamOp param) {
    if (!param.getWhenAttr())
      return;
    std::optional<bool> exists =
        evaluator.evaluateCondition(param.getWhenAttr(), param.getLoc());
    if (exists && *exists)
      param.removeWhenAttr();
    else if (exists)
      removed.push_back(param);
  });
  for (ParamOp param : removed) {
    SmallVector<GetOp> uses;
    param->getParentOp()->walk([&](GetOp get) {
      if (SymbolTable::lookupNearestSymbolFrom(get, get.getParamAttr()) ==
              param ||
          (isa<ModelOp>(param->getParentOp()) &&
           get.getParam() == param.getSymName() &&
           !SymbolTable::lookupNearestSymbolFrom(get, get.getParamAttr())))
        uses.push_back(get);
    });
    for (GetOp get : uses) {
      builder.setInsertionPoint(get);
      auto none = NoneOp::create(builder, get.getLoc(), get.getType());
      absent.insert({none, {param.getSymNameAttr(), param.getLoc()}});
      get.replaceAllUsesWith(none.getResult());
      get.erase();
    }
    param.erase();
  }
  SmallVector<NoneOp> nones;
  model.walk([&](NoneOp none) { nones.push_back(none); });
  for (NoneOp none : nones)
    dropNone(none);
}

/// (E12) An absent operand goes where it is optional.
void StaticModel::dropNone(NoneOp none) {
  Value value = none.getResult();
  for (OpOperand &use : llvm::make_early_inc_range(value.getUses())) {
    Operation *owner = use.getOwner();
    auto linear = dyn_cast<LinearOp>(owner);
    auto route = dyn_cast<RouteOp>(owner);
    auto rope = dyn_cast<RopeOp>(owner);
    auto attention = dyn_cast<AttentionOp>(owner);
    if (linear && linear.getBias() == value)
      linear.getBiasMutable().clear();
    else if (route && route.getCorrection() == value)
      route.getCorrectionMutable().clear();
    else if (rope && rope.getPositions() == value)
      rope.getPositionsMutable().clear();
    else if (attention && attention.getWindows() == value)
      attention.getWindowsMutable().clear();
    else if (!isa<CallOp>(owner) &&
             !(isa<YieldOp>(owner) && isa<IfOp>(owner->getParentOp()))) {
      auto it = absent.find(none);
      if (it == absent.end()) {
        evaluator.error(owner->getLoc()) << "needs an operand that is none";
        return;
      }
      auto diag = evaluator.error(owner->getLoc())
                  << "needs parameter '" << it->second.first.getValue()
                  << "', which does not exist under this configuration";
      diag.attachNote(it->second.second) << "the parameter is here";
      return;
    }
  }
  if (value.use_empty())
    none.erase();
}

//===----------------------------------------------------------------------===//
// Values
//===----------------------------------------------------------------------===//

/// A size that is wrong stays, so that its error is the only one.
Attribute StaticModel::evaluateSize(Attribute size, Location loc) {
  if (isa<UnitAttr>(size) || asInt(size))
    return size;
  auto [it, inserted] = sizes.try_emplace(size, size);
  if (!inserted)
    return it->second;
  Attribute value = evaluator.evaluate(size, loc);
  if (!value)
    return size;
  std::optional<int64_t> number = asInt(value);
  if (!number || *number <= 0) { // (E11)
    evaluator.error(loc) << "size '" << exprText(size, value)
                         << (number ? "' is not positive"
                                    : "' is not an integer");
    return size;
  }
  return sizes[size] = value;
}

void StaticModel::evaluateParam(ParamOp param) {
  Location loc = param.getLoc();
  param.setTypeAttr(TypeAttr::get(param.getType().mapSizes(
      [&](Attribute size) { return evaluateSize(size, loc); })));
  if (!param.getTieWhenAttr())
    return;
  std::optional<bool> tied =
      evaluator.evaluateCondition(param.getTieWhenAttr(), loc);
  if (!tied)
    return;
  param.removeTieWhenAttr();
  if (!*tied)
    param.removeTieAttr();
}

void StaticModel::evaluateOp(Operation *op, StringRef index) {
  Location loc = op->getLoc();
  auto mapType = [&](Type type) -> Type {
    auto tensor = dyn_cast<nn::TensorType>(type);
    return tensor ? tensor.mapSizes(
                        [&](Attribute size) { return evaluateSize(size, loc); })
                  : type;
  };
  for (Value result : op->getResults())
    result.setType(mapType(result.getType()));
  for (Region &region : op->getRegions())
    for (BlockArgument argument : region.getArguments())
      argument.setType(mapType(argument.getType()));
  // Of what is left only operators have expressions, or join an axis.
  if (isa<GetOp, CallOp, RunOp, IfOp, YieldOp, NoneOp, BlockOp, LayersOp,
          FuncOp>(op))
    return;
  for (NamedAttribute attr : op->getAttrs()) {
    Attribute value = attr.getValue();
    if (auto axis = dyn_cast<AxisAttr>(value)) {
      op->setAttr(attr.getName(), axis.mapSizes([&](Attribute size) {
        return evaluateSize(size, loc);
      }));
      continue;
    }
    if (isValue(value))
      continue;
    Attribute folded = evaluator.substitute(value);
    if (index.empty() || !dependsOn(folded, index))
      folded = evaluator.evaluate(value, loc);
    if (folded)
      op->setAttr(attr.getName(), folded);
  }
}

/// (E14) What a parameter is tied to must exist.
void StaticModel::checkTies(ArrayRef<LogicalParameter> parameters) {
  llvm::StringSet<> paths;
  for (const LogicalParameter &parameter : parameters)
    paths.insert(parameter.path);
  for (LogicalParameter parameter : parameters)
    if (parameter.op.getTie() && !paths.contains(*parameter.op.getTie()))
      evaluator.error(parameter.op.getLoc())
          << "'" << parameter.path << "' is tied to '" << *parameter.op.getTie()
          << "', which does not exist under this configuration";
}

/// (E16) Every later pass counts elements and bytes, of one parameter and of
/// all, in 64 bits.
void StaticModel::checkTotal(ArrayRef<LogicalParameter> parameters) {
  constexpr int64_t most = int64_t(1) << 60; // 2^63 bytes of 8 bytes each
  int64_t total = 0;
  for (LogicalParameter parameter : parameters) {
    int64_t copies = 1;
    if (parameter.stack)
      copies = *asInt(parameter.stack.getCount());
    std::optional<int64_t> elements = parameter.type.getStaticElements();
    if (elements && !__builtin_mul_overflow(*elements, copies, &copies) &&
        !__builtin_add_overflow(total, copies, &total) && total <= most)
      continue;
    auto diag = evaluator.error(parameter.op.getLoc());
    diag << "with '" << parameter.path << "' of ";
    llvm::interleave(
        parameter.type.getAxes(),
        [&](AxisAttr axis) {
          diag << axis.getName() << " = ";
          if (std::optional<int64_t> size = axis.getStaticSize())
            diag << *size;
          else
            diag << "more than 2^63";
        },
        [&] { diag << ", "; });
    diag << " the model has more than 2^60 elements";
    return;
  }
}

/// Layers are of one kind when every condition and every value over the index
/// is equal in them.
void StaticModel::findKinds(LayersOp layers) {
  int64_t count = *asInt(layers.getCount());
  StringRef index = layers.getIndex().value_or("");
  std::vector<std::string> signatures(count);
  layers.getBody().walk([&](Operation *op) {
    if (auto choice = dyn_cast<IfOp>(op)) {
      for (std::string &signature : signatures)
        signature += '0';
      for (int64_t layer : choice.getThenLayers().value_or(ArrayRef<int64_t>()))
        signatures[layer].back() = '1';
      return;
    }
    if (index.empty() || isa<CallOp, GetOp>(op))
      return;
    for (NamedAttribute attr : op->getAttrs())
      if (dependsOn(attr.getValue(), index))
        for (int64_t layer = 0; layer < count; ++layer) {
          Attribute value = evaluator.evaluateLayer(attr.getValue(), index,
                                                    layer, op->getLoc());
          signatures[layer] += value ? exprText(value) + ";" : "?";
        }
  });
  llvm::StringMap<int64_t> kinds;
  SmallVector<Attribute> runs;
  for (int64_t first = 0; first < count;) {
    int64_t next = first + 1;
    while (next < count && signatures[next] == signatures[first])
      ++next;
    int64_t kind =
        kinds.try_emplace(signatures[first], kinds.size()).first->second;
    runs.push_back(builder.getDenseI64ArrayAttr({kind, first, next - first}));
    first = next;
  }
  layers.setKindsAttr(builder.getArrayAttr(runs));
}

LogicalResult StaticModel::run() {
  foldStacks();
  if (evaluator.hadError())
    return failure();
  eraseUnreachable();
  removeAbsent();
  if (evaluator.hadError())
    return failure();
  model.walk([&](ParamOp param) { evaluateParam(param); });
  for (Operation &body : *model.getBody().begin()) {
    auto layers = dyn_cast<LayersOp>(body);
    StringRef index = layers ? layers.getIndex().value_or("") : "";
    if (isa<BlockOp, LayersOp, FuncOp>(body))
      body.walk([&](Operation *op) {
        if (!isa<ParamOp, DimOp>(op))
          evaluateOp(op, index);
      });
  }
  if (evaluator.hadError())
    return failure();
  std::vector<LogicalParameter> parameters = collectParameters(model);
  checkTies(parameters);
  checkTotal(parameters);
  if (evaluator.hadError())
    return failure();
  for (auto layers : model.getOps<LayersOp>())
    findKinds(layers);
  return LogicalResult::success(!evaluator.hadError());
}

LogicalResult mbc::nn::makeStatic(ModelOp model, ConfigEvaluator &evaluator) {
  return StaticModel(model, evaluator).run();
}
