//===- ModelGraph.cpp -----------------------------------------------------===//
#include "compiler/Compare/ModelGraph.h"

#include "dialects/NN/Expr.h"
#include "dialects/NN/NNOps.h"
#include "dialects/Runs.h"

#include <algorithm>
#include <fmt/format.h>

using namespace mlir;

namespace mbc {

using compare::Graph;
using compare::LayerKind;
using compare::Operation;
using compare::Stage;

namespace {

std::string placeOf(Location loc) {
  if (auto place = dyn_cast<FileLineColLoc>(loc))
    return fmt::format("{}:{}:{}", place.getFilename().str(), place.getLine(),
                       place.getColumn());
  if (auto fused = dyn_cast<FusedLoc>(loc);
      fused && !fused.getLocations().empty())
    return placeOf(fused.getLocations().front());
  return {};
}

/// Records by field, so that what differs is a field.
void addSetting(const std::string &name, Attribute value, Operation &to) {
  if (auto record = dyn_cast<DictionaryAttr>(value)) {
    for (NamedAttribute field : record)
      addSetting(fmt::format("{}.{}", name, field.getName().str()),
                 field.getValue(), to);
    return;
  }
  to.settings.emplace_back(name, nn::exprText(value));
}

compare::Axis axisOf(nn::AxisAttr axis) {
  compare::Axis result{axis.getName().str(), *axis.getStaticSize(), {}};
  for (nn::AxisAttr part : axis.getParts())
    result.parts.emplace_back(part.getName().str(), *part.getStaticSize());
  return result;
}

bool isOfExperts(nn::TensorType type) {
  return !type.getOut().empty() && type.getOut().front().getName() == "routed";
}

/// The route's numbers of the experts that the value's rows are of, or that it
/// has numbers for beside the tokens; null: of none.
Value expertsOf(Value value) {
  while (mlir::Operation *maker = value.getDefiningOp()) {
    if (auto route = dyn_cast<nn::RouteOp>(maker))
      return route.getResult(1);
    if (auto dispatch = dyn_cast<nn::DispatchOp>(maker))
      return dispatch.getIdx();
    // What is made of rows of experts, row by row, has such rows.
    auto from = llvm::find_if(maker->getOperands(), [](Value operand) {
      return isOfExperts(cast<nn::TensorType>(operand.getType()));
    });
    if (!isOfExperts(cast<nn::TensorType>(value.getType())) ||
        from == maker->operand_end())
      return {};
    value = *from;
  }
  return {};
}

/// Reads the operations of one body.
class Body {
public:
  Body(mlir::Block &block, std::string carried)
      : block(block), carried(std::move(carried)) {
    for (auto tap : block.getOps<nn::TapOp>())
      names[tap.getX()].push_back(tap.getName().str());
  }

  /// Fixed names, such as that of a program's output.
  void rename(Value value, std::string name) {
    names[value].insert(names[value].begin(), std::move(name));
  }
  Operation read(mlir::Operation &op);
  std::vector<Operation> readAll();
  /// Names after the first, by the first.
  std::map<std::string, std::string> aliases() const;
  static bool isOperation(mlir::Operation &op) {
    return op.getNumResults() > 0 && !isa<nn::WeightOp, nn::RepeatOp>(op);
  }

private:
  compare::Result resultOf(Value value, std::string tap,
                           std::string part) const;
  std::string nameOf(Value value) const {
    auto found = names.find(value);
    return found == names.end() ? std::string() : found->second.front();
  }
  std::string inputName(Value value) const;
  /// The split that cuts the value at once, or null.
  nn::SplitOp splitOf(Value value) const;
  bool isFolded(mlir::Operation &op) const;

  mlir::Block &block;
  std::string carried;
  DenseMap<Value, std::vector<std::string>> names;
};

} // namespace

std::string Body::inputName(Value value) const {
  if (std::string name = nameOf(value); !name.empty())
    return name;
  if (auto argument = dyn_cast<BlockArgument>(value))
    return argument.getArgNumber() == 0
               ? carried
               : fmt::format("input {}", argument.getArgNumber());
  if (auto repeat = value.getDefiningOp<nn::RepeatOp>())
    return repeat.getStack().str();
  return "a value without a name";
}

compare::Result Body::resultOf(Value value, std::string tap,
                               std::string part) const {
  auto type = cast<nn::TensorType>(value.getType());
  compare::Result result;
  result.tap = std::move(tap);
  result.part = std::move(part);
  result.seen = nn::canBeSeen(type);
  result.integer = type.getElem() == "i32";
  if (Value ids = expertsOf(value)) {
    auto axes = [](Value of) {
      return cast<nn::TensorType>(of.getType()).getOut();
    };
    result.chosenBy = nameOf(ids);
    auto route = ids.getDefiningOp<nn::RouteOp>();
    result.experts = *axes(route.getLogits())[1].getStaticSize();
    if (isOfExperts(type))
      result.axes.push_back(axisOf(axes(ids)[1]));
  }
  // Rows come first.
  for (nn::AxisAttr axis : type.getOut().drop_front())
    result.axes.push_back(axisOf(axis));
  return result;
}

nn::SplitOp Body::splitOf(Value value) const {
  for (mlir::Operation *user : value.getUsers())
    if (auto split = dyn_cast<nn::SplitOp>(user))
      return split;
  return {};
}

/// A split is how the result of another operation is read.
bool Body::isFolded(mlir::Operation &op) const {
  auto split = dyn_cast<nn::SplitOp>(op);
  mlir::Operation *maker = split ? split.getX().getDefiningOp() : nullptr;
  return maker && isOperation(*maker) && splitOf(split.getX()) == split;
}

Operation Body::read(mlir::Operation &op) {
  Operation result;
  auto map = dyn_cast<nn::MapOp>(op);
  result.kind = (map ? map.getKind() : op.getName().stripDialect()).str();
  result.place = placeOf(op.getLoc());
  for (Value operand : op.getOperands())
    if (auto weight = operand.getDefiningOp<nn::WeightOp>())
      result.weights.push_back(weight.getWeight().str());
    else
      result.inputs.push_back(inputName(operand));
  // Whose rows they are decides what is made of them.
  for (Value operand : op.getOperands())
    if (Value ids = expertsOf(operand);
        ids && !llvm::is_contained(result.inputs, inputName(ids)))
      result.inputs.push_back(inputName(ids));
  for (NamedAttribute attr : op.getAttrs())
    if (attr.getName() != "kind" && !isa<nn::AxisAttr>(attr.getValue()))
      addSetting(attr.getName().str(), attr.getValue(), result);
  for (OpResult value : op.getResults()) {
    std::string name = nameOf(value);
    if (result.name.empty()) {
      result.name = name;
      // "decoder.attn.rope.0" is a result of "decoder.attn.rope".
      if (op.getNumResults() > 1 && name.size() > 2)
        result.name.resize(name.rfind('.'));
    }
    result.results.push_back(resultOf(value, name, ""));
    if (nn::SplitOp split = splitOf(value)) {
      auto axes = cast<nn::TensorType>(value.getType()).getOut();
      nn::AxisAttr axis = *llvm::find_if(axes, [&](nn::AxisAttr one) {
        return one.getName() == split.getAxis();
      });
      for (auto [part, piece] : llvm::zip(axis.getParts(), split.getResults()))
        result.results.push_back(
            resultOf(piece, nameOf(piece), part.getName().str()));
    }
  }
  return result;
}

std::vector<Operation> Body::readAll() {
  std::vector<Operation> all;
  for (mlir::Operation &op : block)
    if (isOperation(op) && !isFolded(op))
      all.push_back(read(op));
  return all;
}

std::map<std::string, std::string> Body::aliases() const {
  std::map<std::string, std::string> result;
  for (const auto &[value, list] : names)
    for (size_t i = 1; i < list.size(); ++i)
      result[list[i]] = list[0];
  return result;
}

/// The operations from which the body's results come.
static llvm::SmallPtrSet<mlir::Operation *, 32>
resultsNeed(mlir::Block &block) {
  llvm::SmallPtrSet<mlir::Operation *, 32> needed{block.getTerminator()};
  for (mlir::Operation &op : llvm::reverse(block))
    if (needed.contains(&op))
      for (Value operand : op.getOperands())
        if (mlir::Operation *maker = operand.getDefiningOp())
          needed.insert(maker);
  return needed;
}

static Stage stageOf(nn::RepeatOp repeat) {
  Stage stage;
  stage.stack = repeat.getStack().str();
  for (auto [number, region] : llvm::enumerate(repeat.getKinds())) {
    LayerKind kind;
    llvm::append_range(kind.layers, layersOfKind(repeat.getRuns(), number));
    for (int64_t layer : kind.layers)
      stage.depth = std::max(stage.depth, layer + 1);
    Body body(region.front(), stage.stack + " before");
    kind.operations = body.readAll();
    kind.aliases = body.aliases();
    stage.kinds.push_back(std::move(kind));
  }
  return stage;
}

Expected<Graph> modelGraph(ProvedModel &model, const CompileOptions &options) {
  MBC_ASSIGN(OwningOpRef<ModuleOp> module, model.graph(options));
  nn::GraphOp graph = *module->getOps<nn::GraphOp>().begin();
  nn::EntryOp entry = *graph.getOps<nn::EntryOp>().begin();
  mlir::Block &block = entry.getBody().front();
  Body body(block, cast<StringAttr>(entry.getInputNames()[0]).getValue().str());
  for (auto [value, name] :
       llvm::zip(block.getTerminator()->getOperands(), entry.getResultNames()))
    body.rename(value, cast<StringAttr>(name).getValue().str());
  Graph result;
  llvm::SmallPtrSet<mlir::Operation *, 32> needed = resultsNeed(block);
  for (mlir::Operation &op : block) {
    // A draft that nobody asked for.
    if (!needed.contains(&op))
      continue;
    Stage stage;
    if (auto repeat = dyn_cast<nn::RepeatOp>(op))
      stage = stageOf(repeat);
    else if (Body::isOperation(op))
      stage.operation = body.read(op);
    else
      continue;
    result.stages.push_back(std::move(stage));
  }
  return result;
}

} // namespace mbc
