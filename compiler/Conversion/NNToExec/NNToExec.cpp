//===- NNToExec.cpp - Commands for operations -----------------------------===//

#include "compiler/Conversion/NNToExec/NNToExec.h"
#include "compiler/Conversion/NNToExec/RopeTables.h"
#include "dialects/Exec/ExecDialect.h"
#include "dialects/NN/NNOps.h"
#include "dialects/Runs.h"

#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringSwitch.h"
#include "llvm/ADT/TypeSwitch.h"

#include <cctype>
#include <numeric>

namespace mbc {
#define GEN_PASS_DEF_NNTOEXEC
#include "compiler/Conversion/NNToExec/Passes.h.inc"
} // namespace mbc

using namespace mlir;
using namespace mbc;

namespace {

/// The symbols of a program, shared by its functions.
class ProgramBuilder {
public:
  ProgramBuilder(nn::GraphOp graph, exec::ProgramOp program, Type dtype)
      : graph(graph), program(program), dtype(dtype),
        builder(OpBuilder::atBlockEnd(&program.getBody().front())) {}

  void declareWeights();
  MemRefType weightType(StringRef path) {
    return cast<MemRefType>(
        program.lookupSymbol<exec::WeightOp>(path).getType());
  }
  FlatSymbolRefAttr kernel(Location loc, int64_t operands,
                           ArrayRef<Attribute> steps);
  FlatSymbolRefAttr rope(Location loc, const RopeTable &table);
  FlatSymbolRefAttr state(Location loc, StringRef path, Type dtype,
                          ArrayRef<int64_t> widths, ArrayRef<int64_t> layers);

  nn::GraphOp graph;
  exec::ProgramOp program;
  Type dtype; ///< of activations and of weights that pin no other

private:
  OpBuilder builder;
  DenseMap<Attribute, FlatSymbolRefAttr> kernels, ropes;
};

/// One entry of the graph becomes one function.
class FunctionBuilder {
public:
  FunctionBuilder(ProgramBuilder &shared, nn::EntryOp entry)
      : shared(shared), entry(entry), ctx(entry.getContext()), builder(ctx) {}

  LogicalResult run();

private:
  LogicalResult lowerBlock(mlir::Block &block);
  LogicalResult lower(Operation *op);
  LogicalResult lowerCluster(nn::ClusterOp op);
  LogicalResult lowerRepeat(nn::RepeatOp op);
  LogicalResult lowerAttention(nn::AttentionOp op);
  LogicalResult lowerSplit(nn::SplitOp op);
  LogicalResult lowerJoin(nn::JoinOp op);
  void lowerTap(nn::TapOp op);

  Type elementOf(nn::TensorType type) {
    return type.getElem() == "i32"
               ? builder.getI32Type()
               : (type.getElem() == "f32" ? builder.getF32Type()
                                          : shared.dtype);
  }
  SmallVector<int64_t> sizesOf(nn::TensorType type) {
    SmallVector<int64_t> sizes;
    for (nn::AxisAttr axis : type.getOut())
      sizes.push_back(*axis.getStaticSize());
    return sizes;
  }
  MemRefType denseType(nn::TensorType type) {
    return MemRefType::get(sizesOf(type), elementOf(type));
  }

  /// Where the value of `result` is to be written: the function's output, the
  /// carried buffer, or memory of its own.
  Value destination(Value result);
  /// The view as [rows, rest]; copied where the rest has gaps.
  Value asMatrix(Value view, Location loc);
  /// The view with dimensions of these sizes; copied where they do not fit.
  Value reshape(Value view, ArrayRef<int64_t> sizes, Location loc);
  Value subview(Value source, int64_t offset, MemRefType type, Location loc);
  Value angles(nn::RopeOp op, int64_t dim);
  Value positions(int64_t numbers);

  ProgramBuilder &shared;
  nn::EntryOp entry;
  MLIRContext *ctx;
  OpBuilder builder;
  exec::FuncOp function;
  DenseMap<Value, Value> views;
  /// Values of the entry and of kinds that have a place already.
  DenseMap<Value, Value> places;
  /// Of each rope at its positions: the angles of the rows.
  DenseMap<std::pair<Attribute, Value>, Value> angleBuffers;
  Value positionInput;
  /// Place before the first command, for what every layer uses.
  Operation *prologue = nullptr;
  // The stack at hand.
  StringRef stack;
  SmallVector<int64_t> layers;
  int attentions = 0;
  int64_t depth = 1;
  /// Outputs of values that the caller wants to see, by name.
  llvm::StringMap<Value> taps;
};

} // namespace

//===----------------------------------------------------------------------===//
// Shared symbols
//===----------------------------------------------------------------------===//

void ProgramBuilder::declareWeights() {
  auto product = [](ArrayRef<nn::AxisAttr> axes) {
    int64_t size = 1;
    for (nn::AxisAttr axis : axes)
      size *= *axis.getStaticSize();
    return size;
  };
  for (auto weights : graph.getOps<nn::WeightsOp>()) {
    nn::TensorType type = weights.getType();
    SmallVector<int64_t> sizes;
    if (!type.getBatch().empty())
      sizes.push_back(product(type.getBatch()));
    sizes.push_back(product(type.getOut()));
    if (!type.getIn().empty())
      sizes.push_back(product(type.getIn()));
    Type element = weights.getDtype() == "f32" ? builder.getF32Type() : dtype;
    exec::WeightOp::create(builder, weights.getLoc(), weights.getSymName(),
                           MemRefType::get(sizes, element),
                           weights.getLayersAttr());
  }
}

FlatSymbolRefAttr ProgramBuilder::kernel(Location loc, int64_t operands,
                                         ArrayRef<Attribute> steps) {
  ArrayAttr list = builder.getArrayAttr(steps);
  FlatSymbolRefAttr &symbol = kernels[list];
  if (!symbol) {
    std::string name = "rows" + std::to_string(kernels.size() - 1);
    exec::KernelOp::create(builder, loc, name, operands, list);
    symbol = FlatSymbolRefAttr::get(builder.getContext(), name);
  }
  return symbol;
}

FlatSymbolRefAttr ProgramBuilder::rope(Location loc, const RopeTable &table) {
  auto frequencies = builder.getDenseF32ArrayAttr(table.invFreq);
  auto factor = builder.getF64FloatAttr(table.attentionFactor);
  DenseF64ArrayAttr dynamic;
  DenseI64ArrayAttr axis;
  SmallVector<Attribute> key{frequencies, factor};
  if (table.dynamic)
    key.push_back(dynamic = builder.getDenseF64ArrayAttr(*table.dynamic));
  if (!table.axis.empty())
    key.push_back(axis = builder.getDenseI64ArrayAttr(table.axis));
  FlatSymbolRefAttr &symbol = ropes[builder.getArrayAttr(key)];
  if (!symbol) {
    std::string name = "rope" + std::to_string(ropes.size() - 1);
    exec::RopeOp::create(builder, loc, builder.getStringAttr(name), frequencies,
                         factor, dynamic, axis);
    symbol = FlatSymbolRefAttr::get(builder.getContext(), name);
  }
  return symbol;
}

/// The state of that path; kinds of one stack share it where their rows agree.
FlatSymbolRefAttr ProgramBuilder::state(Location loc, StringRef path,
                                        Type dtype, ArrayRef<int64_t> widths,
                                        ArrayRef<int64_t> layers) {
  std::string name = path.str();
  for (int copy = 1;; ++copy) {
    auto found = program.lookupSymbol<exec::StateOp>(name);
    if (!found) {
      exec::StateOp::create(builder, loc, name, dtype, widths, layers);
      break;
    }
    if (found.getWidths() == widths && found.getDtype() == dtype) {
      SmallVector<int64_t> all(found.getLayers());
      all.append(layers.begin(), layers.end());
      llvm::sort(all);
      all.erase(llvm::unique(all), all.end());
      found.setLayers(all);
      break;
    }
    name = path.str() + std::to_string(copy);
  }
  return FlatSymbolRefAttr::get(builder.getContext(), name);
}

//===----------------------------------------------------------------------===//
// Views
//===----------------------------------------------------------------------===//

Value FunctionBuilder::subview(Value source, int64_t offset, MemRefType type,
                               Location loc) {
  if (offset == 0 && type == source.getType())
    return source;
  // A window of a window is one of the whole.
  if (auto inner = source.getDefiningOp<exec::SubviewOp>())
    return subview(inner.getSource(), inner.getOffset() + offset, type, loc);
  return exec::SubviewOp::create(builder, loc, type, source, offset);
}

Value FunctionBuilder::destination(Value result) {
  if (auto it = places.find(result); it != places.end())
    return it->second;
  auto type = cast<nn::TensorType>(result.getType());
  return exec::BufferOp::create(builder, result.getLoc(), denseType(type),
                                IntegerAttr());
}

/// The sizes and strides of `type` cut anew into `sizes`, or none.
static std::optional<MemRefType> recut(MemRefType type,
                                       ArrayRef<int64_t> sizes) {
  SmallVector<int64_t> strides(sizes.size(), 0);
  SmallVector<int64_t> from = exec::stridesOf(type);
  ArrayRef<int64_t> shape = type.getShape();
  // From the innermost: consume old dimensions until the new one is full.
  int64_t old = shape.size() - 1, left = 1, stride = 1;
  bool started = false;
  for (int64_t i = sizes.size() - 1; i >= 0; --i) {
    int64_t need = sizes[i];
    if (!started || left == 1) {
      while (old >= 0 && shape[old] == 1)
        --old;
      if (old >= 0) {
        left = shape[old];
        stride = from[old];
        --old;
        started = true;
      }
    }
    strides[i] = stride;
    while (need > left) {
      // The next dimension outward must continue this one.
      if (old < 0 || need % left != 0 || from[old] != stride * left)
        return std::nullopt;
      left *= shape[old];
      --old;
    }
    if (left % need != 0)
      return std::nullopt;
    left /= need;
    stride *= need;
  }
  return exec::viewType(type.getElementType(), sizes, strides);
}

Value FunctionBuilder::reshape(Value view, ArrayRef<int64_t> sizes,
                               Location loc) {
  auto type = cast<MemRefType>(view.getType());
  if (std::optional<MemRefType> cut = recut(type, sizes))
    return subview(view, 0, *cut, loc);
  auto dense = MemRefType::get(type.getShape(), type.getElementType());
  Value copy = exec::BufferOp::create(builder, loc, dense, IntegerAttr());
  exec::CopyOp::create(builder, loc, view, copy);
  return subview(copy, 0, *recut(dense, sizes), loc);
}

Value FunctionBuilder::asMatrix(Value view, Location loc) {
  auto type = cast<MemRefType>(view.getType());
  int64_t rows = type.getDimSize(0);
  int64_t sizes[] = {rows, type.getNumElements() / rows};
  Value matrix = reshape(view, sizes, loc);
  if (exec::stridesOf(cast<MemRefType>(matrix.getType()))[1] == 1)
    return matrix;
  auto dense = MemRefType::get(sizes, type.getElementType());
  Value copy = exec::BufferOp::create(builder, loc, dense, IntegerAttr());
  exec::CopyOp::create(builder, loc, matrix, copy);
  return copy;
}

//===----------------------------------------------------------------------===//
// Operations
//===----------------------------------------------------------------------===//

Value FunctionBuilder::positions(int64_t numbers) {
  if (!positionInput) {
    // Behind the other inputs, before the outputs.
    unsigned index = function.getInputNames().size();
    SmallVector<int64_t> sizes{static_cast<int64_t>(function.getRows())};
    if (numbers > 1)
      sizes.push_back(numbers);
    positionInput = function.getBody().front().insertArgument(
        index, MemRefType::get(sizes, builder.getI32Type()), function.getLoc());
    SmallVector<Attribute> names(function.getInputNames().getValue());
    names.push_back(builder.getStringAttr("positions"));
    function.setInputNamesAttr(builder.getArrayAttr(names));
  }
  return positionInput;
}

/// The angles of the rows, computed once before all layers.
Value FunctionBuilder::angles(nn::RopeOp op, int64_t dim) {
  auto theta = dyn_cast<FloatAttr>(op.getTheta());
  double base = theta ? theta.getValueAsDouble()
                      : cast<IntegerAttr>(op.getTheta()).getInt();
  auto axial = dyn_cast_or_null<BoolAttr>(op.getAxialAttr());
  std::optional<RopeTable> table =
      ropeTable(dim, base, op.getScaling(), axial && axial.getValue(),
                [&](std::string why) { op.emitError(why); });
  if (!table)
    return {};
  FlatSymbolRefAttr rope = shared.rope(op.getLoc(), *table);
  int64_t numbers =
      table->axis.empty() ? 1 : *llvm::max_element(table->axis) + 1;
  Value at =
      op.getPositions() ? views.lookup(op.getPositions()) : positions(numbers);
  Value &buffer = angleBuffers[{rope, at}];
  if (!buffer) {
    OpBuilder::InsertionGuard guard(builder);
    if (prologue)
      builder.setInsertionPointAfter(prologue);
    else
      builder.setInsertionPointToStart(&function.getBody().front());
    int64_t rows = cast<MemRefType>(at.getType()).getDimSize(0);
    auto type = MemRefType::get({rows, dim}, builder.getF32Type());
    buffer = exec::BufferOp::create(builder, op.getLoc(), type, IntegerAttr());
    prologue = exec::AnglesOp::create(builder, op.getLoc(), rope, at, buffer);
  }
  return buffer;
}

LogicalResult FunctionBuilder::lowerCluster(nn::ClusterOp op) {
  SmallVector<Value> operands;
  SmallVector<Attribute> loads, steps, stores;
  auto zero = builder.getF64FloatAttr(0);
  auto elements = [](Value value, bool shared) {
    auto type = cast<MemRefType>(value.getType());
    return shared ? type.getNumElements()
                  : type.getNumElements() / type.getDimSize(0);
  };
  DenseMap<Value, int64_t> stepOf;
  auto load = [&](Value view, bool shared) {
    loads.push_back(exec::StepAttr::get(ctx, "Load", {}, operands.size(), 1,
                                        elements(view, shared), zero));
    operands.push_back(view);
    return static_cast<int64_t>(loads.size()) - 1;
  };
  mlir::Block &body = op.getBody().front();
  for (auto [argument, input] :
       llvm::zip(body.getArguments(), op.getInputs())) {
    StringRef elem = cast<nn::TensorType>(input.getType()).getElem();
    // Positions come in as the angles that are made of them.
    if (elem == "i32")
      continue;
    stepOf[argument] = load(views.lookup(input), elem == "weight");
  }
  // Angles are one more operand; loads come first, so that a kernel may write
  // over what it reads.
  DenseMap<Operation *, int64_t> angleStep;
  DenseMap<Value, int64_t> angleLoads;
  for (auto rope : body.getOps<nn::RopeOp>()) {
    int64_t dim = *cast<nn::TensorType>(rope.getQ().getType())
                       .getOut()
                       .back()
                       .getStaticSize();
    Value buffer;
    if (rope.getPositions()) {
      // The positions are an input of the cluster: look through it.
      auto argument = cast<BlockArgument>(rope.getPositions());
      views[argument] = views.lookup(op.getInputs()[argument.getArgNumber()]);
    }
    buffer = angles(rope, dim);
    if (!buffer)
      return failure();
    auto [it, inserted] = angleLoads.try_emplace(buffer, 0);
    if (inserted)
      it->second = load(buffer, false);
    angleStep[rope] = it->second;
  }
  auto next = [&] { return static_cast<int64_t>(loads.size() + steps.size()); };
  auto rowElements = [&](Value value) {
    SmallVector<int64_t> sizes = sizesOf(cast<nn::TensorType>(value.getType()));
    return std::accumulate(sizes.begin() + 1, sizes.end(), int64_t(1),
                           std::multiplies<>());
  };
  for (Operation &inner : body.without_terminator()) {
    auto step = [&](StringRef kind, ArrayRef<int64_t> inputs, int64_t total,
                    int64_t width, FloatAttr scalar) {
      steps.push_back(exec::StepAttr::get(ctx, kind, inputs, 0, total / width,
                                          width, scalar));
      return next() - 1;
    };
    auto number = [&](Attribute attr) {
      if (auto real = dyn_cast<FloatAttr>(attr))
        return builder.getF64FloatAttr(real.getValueAsDouble());
      return builder.getF64FloatAttr(cast<IntegerAttr>(attr).getInt());
    };
    if (auto map = dyn_cast<nn::MapOp>(inner)) {
      int64_t total = rowElements(map.getResult());
      SmallVector<int64_t> inputs;
      for (Value input : map.getInputs())
        inputs.push_back(stepOf.lookup(input));
      std::string kind = map.getKind().str();
      kind[0] = std::toupper(kind[0]);
      FloatAttr scalar = zero;
      if (map.getScalarAttr()) {
        kind += "Scalar";
        scalar = number(map.getScalarAttr());
        if (kind == "SubScalar") {
          kind = "AddScalar";
          scalar = builder.getF64FloatAttr(-scalar.getValueAsDouble());
        }
      }
      stepOf[map.getResult()] = step(kind, inputs, total, total, scalar);
    } else if (auto norm = dyn_cast<nn::RMSNormOp>(inner)) {
      int64_t width = 1;
      for (nn::AxisAttr axis :
           cast<nn::TensorType>(norm.getWeight().getType()).getOut())
        width *= *axis.getStaticSize();
      stepOf[norm.getResult()] =
          step("RMSNorm",
               {stepOf.lookup(norm.getX()), stepOf.lookup(norm.getWeight())},
               rowElements(norm.getX()), width, number(norm.getEps()));
    } else if (auto norm = dyn_cast<nn::LayerNormOp>(inner)) {
      int64_t width = 1;
      for (nn::AxisAttr axis :
           cast<nn::TensorType>(norm.getWeight().getType()).getOut())
        width *= *axis.getStaticSize();
      stepOf[norm.getResult()] =
          step("LayerNorm",
               {stepOf.lookup(norm.getX()), stepOf.lookup(norm.getWeight()),
                stepOf.lookup(norm.getBias())},
               rowElements(norm.getX()), width, number(norm.getEps()));
    } else {
      auto rope = cast<nn::RopeOp>(inner);
      auto pairs = dyn_cast_or_null<BoolAttr>(rope.getInterleavedAttr());
      StringRef kind = pairs && pairs.getValue() ? "RopePairs" : "Rope";
      for (auto [input, result] :
           llvm::zip(rope->getOperands().take_front(2), rope.getResults())) {
        int64_t width = sizesOf(cast<nn::TensorType>(result.getType())).back();
        stepOf[result] =
            step(kind, {stepOf.lookup(input), angleStep.lookup(rope)},
                 rowElements(result), width, zero);
      }
    }
  }
  for (auto [value, result] :
       llvm::zip(body.getTerminator()->getOperands(), op.getResults())) {
    Value place = destination(result);
    views[result] = place;
    stores.push_back(exec::StepAttr::get(ctx, "Store", {stepOf.lookup(value)},
                                         operands.size(), 1,
                                         elements(place, false), zero));
    operands.push_back(place);
  }
  loads.append(steps);
  loads.append(stores);
  exec::RowsOp::create(builder, op.getLoc(),
                       shared.kernel(op.getLoc(), operands.size(), loads),
                       operands, FlatSymbolRefAttr());
  return success();
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
    std::string path =
        (stack.empty() ? "" : stack + ".").str() + "attention" +
        (attentions ? std::to_string(attentions) : std::string());
    ++attentions;
    int64_t widths[] = {heads * k.back(), heads * v.back()};
    SmallVector<int64_t> all = layers;
    state = shared.state(loc, path, shared.dtype, widths, all);
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

LogicalResult FunctionBuilder::lowerSplit(nn::SplitOp op) {
  Value source = views.lookup(op.getX());
  auto type = cast<MemRefType>(source.getType());
  auto axes = cast<nn::TensorType>(op.getX().getType()).getOut();
  size_t at = llvm::find_if(axes,
                            [&](nn::AxisAttr axis) {
                              return axis.getName() == op.getAxis();
                            }) -
              axes.begin();
  SmallVector<int64_t> strides = exec::stridesOf(type);
  int64_t offset = 0;
  for (auto [part, result] : llvm::zip(axes[at].getParts(), op.getResults())) {
    SmallVector<int64_t> sizes(type.getShape()), steps(strides);
    sizes[at] = *part.getStaticSize();
    if (part.getKept().empty()) {
      sizes.erase(sizes.begin() + at);
      steps.erase(steps.begin() + at);
    }
    views[result] = subview(source, offset * strides[at],
                            exec::viewType(type.getElementType(), sizes, steps),
                            op.getLoc());
    offset += *part.getStaticSize();
  }
  return success();
}

LogicalResult FunctionBuilder::lowerJoin(nn::JoinOp op) {
  Value place = destination(op.getResult());
  views[op.getResult()] = place;
  auto type = cast<MemRefType>(place.getType());
  auto axes = cast<nn::TensorType>(op.getType()).getOut();
  size_t at = llvm::find(axes, op.getAxis()) - axes.begin();
  SmallVector<int64_t> strides = exec::stridesOf(type);
  int64_t offset = 0;
  for (auto [part, value] : llvm::zip(op.getAxis().getParts(), op.getParts())) {
    SmallVector<int64_t> sizes(type.getShape()), steps(strides);
    sizes[at] = *part.getStaticSize();
    if (part.getKept().empty()) {
      sizes.erase(sizes.begin() + at);
      steps.erase(steps.begin() + at);
    }
    Value window = subview(place, offset * strides[at],
                           exec::viewType(type.getElementType(), sizes, steps),
                           op.getLoc());
    exec::CopyOp::create(builder, op.getLoc(), views.lookup(value), window);
    offset += *part.getStaticSize();
  }
  return success();
}

/// One output for all layers, which any kind of them fills.
void FunctionBuilder::lowerTap(nn::TapOp op) {
  Value from = views.lookup(op.getX());
  Value &to = taps[op.getName()];
  if (!to) {
    SmallVector<int64_t> sizes(cast<MemRefType>(from.getType()).getShape());
    sizes.insert(sizes.begin() + 1, depth);
    to = function.getBody().front().addArgument(
        MemRefType::get(sizes, builder.getF32Type()), op.getLoc());
    SmallVector<Attribute> names(function.getOutputNames().getValue());
    names.push_back(op.getNameAttr());
    function.setOutputNamesAttr(builder.getArrayAttr(names));
  }
  exec::TapOp::create(builder, op.getLoc(), from, to);
}

LogicalResult FunctionBuilder::lowerRepeat(nn::RepeatOp op) {
  Location loc = op.getLoc();
  // The carried value has one buffer: that of the first value, where nothing
  // else needs it.
  Value first = op.getInputs()[0];
  Value carried = views.lookup(first);
  if (!first.hasOneUse() || !carried.getDefiningOp<exec::BufferOp>()) {
    carried = exec::BufferOp::create(
        builder, loc, denseType(cast<nn::TensorType>(op.getType())),
        IntegerAttr());
    exec::CopyOp::create(builder, loc, views.lookup(first), carried);
  }
  auto repeat = exec::RepeatOp::create(builder, loc, op.getStackAttr(),
                                       op.getRunsAttr(), op.getKinds().size());
  views[op.getResult()] = carried;
  stack = op.getStack();
  depth = 0;
  for (auto run : op.getRuns().getAsRange<DenseI64ArrayAttr>())
    depth = std::max(depth, run[1] + run[2]);
  for (auto [kind, body] : llvm::enumerate(op.getKinds())) {
    layers = layersOfKind(op.getRuns(), kind);
    attentions = 0;
    OpBuilder::InsertionGuard guard(builder);
    mlir::Block &target = repeat.getBodies()[kind].emplaceBlock();
    builder.setInsertionPointToStart(&target);
    mlir::Block &source = body.front();
    views[source.getArgument(0)] = carried;
    for (auto [argument, input] :
         llvm::drop_begin(llvm::zip(source.getArguments(), op.getInputs())))
      views[argument] = views.lookup(input);
    // The last value goes straight into the carried buffer where nothing
    // reads the old one after it is made; a row kernel loads before it stores.
    Value last = source.getTerminator()->getOperand(0);
    Operation *maker = last.getDefiningOp();
    bool direct =
        isa_and_nonnull<nn::ClusterOp>(maker) &&
        llvm::all_of(source.getArgument(0).getUsers(), [&](Operation *user) {
          return user == maker || user->isBeforeInBlock(maker);
        });
    if (direct)
      places[last] = carried;
    if (failed(lowerBlock(source)))
      return failure();
    if (!direct)
      exec::CopyOp::create(builder, loc, views.lookup(last), carried);
  }
  stack = "";
  depth = 1;
  layers.clear();
  return success();
}

LogicalResult FunctionBuilder::lower(Operation *op) {
  Location loc = op->getLoc();
  return llvm::TypeSwitch<Operation *, LogicalResult>(op)
      .Case([&](nn::WeightOp weight) {
        views[weight.getResult()] = exec::UseOp::create(
            builder, loc, shared.weightType(weight.getWeight()),
            weight.getWeightAttr());
        return success();
      })
      .Case([&](nn::EmbeddingOp embed) {
        Value place = destination(embed.getResult());
        views[embed.getResult()] = place;
        exec::EmbedOp::create(builder, loc, views.lookup(embed.getIds()),
                              views.lookup(embed.getWeight()),
                              asMatrix(place, loc));
        return success();
      })
      .Case([&](nn::LinearOp linear) {
        Value place = destination(linear.getResult());
        views[linear.getResult()] = place;
        exec::GemmOp::create(
            builder, loc, asMatrix(views.lookup(linear.getX()), loc),
            views.lookup(linear.getWeight()),
            linear.getBias() ? views.lookup(linear.getBias()) : Value(),
            asMatrix(place, loc));
        return success();
      })
      .Case([&](nn::TakeOp take) {
        Value place = destination(take.getResult());
        views[take.getResult()] = place;
        exec::TakeOp::create(
            builder, loc, asMatrix(views.lookup(take.getX()), loc),
            views.lookup(take.getRows()), asMatrix(place, loc));
        return success();
      })
      .Case([&](nn::TapOp tap) {
        lowerTap(tap);
        return success();
      })
      .Case([&](nn::SplitOp split) { return lowerSplit(split); })
      .Case([&](nn::JoinOp join) { return lowerJoin(join); })
      .Case([&](nn::ClusterOp cluster) { return lowerCluster(cluster); })
      .Case(
          [&](nn::AttentionOp attention) { return lowerAttention(attention); })
      .Case([&](nn::RepeatOp repeat) { return lowerRepeat(repeat); })
      .Default([&](Operation *other) {
        return other->emitError()
               << "'" << other->getName() << "' has no command yet";
      });
}

LogicalResult FunctionBuilder::lowerBlock(mlir::Block &block) {
  for (Operation &op : block.without_terminator())
    if (failed(lower(&op)))
      return failure();
  return success();
}

LogicalResult FunctionBuilder::run() {
  builder.setInsertionPointToEnd(&shared.program.getBody().front());
  mlir::Block &source = entry.getBody().front();
  int64_t rows = 0;
  for (Type type : source.getArgumentTypes())
    rows = std::max(rows, sizesOf(cast<nn::TensorType>(type))[0]);
  function = exec::FuncOp::create(builder, entry.getLoc(), entry.getSymName(),
                                  rows, entry.getInputNames(),
                                  entry.getResultNames(), IntegerAttr());
  mlir::Block &body = function.getBody().emplaceBlock();
  builder.setInsertionPointToStart(&body);
  for (BlockArgument argument : source.getArguments())
    views[argument] = body.addArgument(
        denseType(cast<nn::TensorType>(argument.getType())), argument.getLoc());
  SmallVector<std::pair<Value, Value>> copies;
  for (Value result : source.getTerminator()->getOperands()) {
    // Results are read by people and samplers: not rounded once more.
    auto type = MemRefType::get(sizesOf(cast<nn::TensorType>(result.getType())),
                                builder.getF32Type());
    Value out = body.addArgument(type, result.getLoc());
    if (isa_and_nonnull<nn::LinearOp, nn::ClusterOp>(result.getDefiningOp()) &&
        result.hasOneUse() && places.try_emplace(result, out).second)
      continue;
    copies.emplace_back(result, out);
  }
  if (failed(lowerBlock(source)))
    return failure();
  for (auto [result, out] : copies)
    exec::CopyOp::create(builder, result.getLoc(), views.lookup(result), out);
  return success();
}

namespace {

struct NNToExec : mbc::impl::NNToExecBase<NNToExec> {
  using NNToExecBase::NNToExecBase;

  void runOnOperation() override {
    Builder builder(&getContext());
    Type type = llvm::StringSwitch<Type>(dtype)
                    .Case("f32", builder.getF32Type())
                    .Case("bf16", builder.getBF16Type())
                    .Case("f16", builder.getF16Type())
                    .Default(Type());
    if (!type) {
      getOperation().emitError()
          << "unknown type '" << dtype << "'; expected f32, bf16 or f16";
      return signalPassFailure();
    }
    for (nn::GraphOp graph :
         llvm::make_early_inc_range(getOperation().getOps<nn::GraphOp>())) {
      OpBuilder at(graph);
      auto program = exec::ProgramOp::create(
          at, graph.getLoc(), graph.getSymName(), type, graph.getValues());
      program.getBody().emplaceBlock();
      ProgramBuilder shared(graph, program, type);
      shared.declareWeights();
      for (auto entry : graph.getOps<nn::EntryOp>())
        if (failed(FunctionBuilder(shared, entry).run()))
          return signalPassFailure();
      graph.erase();
    }
  }
};

} // namespace
