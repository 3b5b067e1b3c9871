//===- NNToExec.cpp - Commands for operations -----------------------------===//

#include "compiler/Conversion/NNToExec/FunctionBuilder.h"
#include "compiler/Conversion/NNToExec/RopeTables.h"
#include "dialects/Runs.h"

#include "llvm/ADT/StringSet.h"
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
using namespace mbc::select;

//===----------------------------------------------------------------------===//
// Shared symbols
//===----------------------------------------------------------------------===//

/// The weights that products alone use, by path.
static llvm::StringSet<> factorsOf(nn::GraphOp graph) {
  llvm::StringSet<> factors, others;
  graph.walk([&](nn::WeightOp weight) {
    for (Operation *user : weight->getUsers()) {
      auto linear = dyn_cast<nn::LinearOp>(user);
      auto grouped = dyn_cast<nn::GroupedLinearOp>(user);
      bool factor = (linear && linear.getWeight() == weight.getResult()) ||
                    (grouped && grouped.getWeight() == weight.getResult());
      (factor ? factors : others).insert(weight.getWeight());
    }
  });
  for (const auto &path : others)
    factors.erase(path.getKey());
  return factors;
}

void ProgramBuilder::declareWeights(ArrayRef<std::string> scaled,
                                    ArrayRef<int64_t> block) {
  llvm::StringSet<> factors = factorsOf(graph);
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
    DenseI64ArrayAttr blocks;
    if (llvm::is_contained(scaled, weights.getSymName()) &&
        factors.contains(weights.getSymName())) {
      element = Float8E4M3FNType::get(builder.getContext());
      blocks = builder.getDenseI64ArrayAttr(block);
    }
    exec::WeightOp::create(builder, weights.getLoc(), weights.getSymNameAttr(),
                           TypeAttr::get(MemRefType::get(sizes, element)),
                           weights.getLayersAttr(), blocks);
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

Value FunctionBuilder::buffer(ArrayRef<int64_t> sizes, Type element,
                              Location loc) {
  return exec::BufferOp::create(builder, loc, MemRefType::get(sizes, element),
                                IntegerAttr());
}

Value FunctionBuilder::destination(Value result) {
  if (auto it = places.find(result); it != places.end())
    return it->second;
  auto type = cast<nn::TensorType>(result.getType());
  // Experts are chosen by scores that are not rounded.
  bool scores = llvm::any_of(result.getUsers(), llvm::IsaPred<nn::RouteOp>);
  return buffer(sizesOf(type), scores ? builder.getF32Type() : elementOf(type),
                result.getLoc());
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

Value FunctionBuilder::dense(Value view, Location loc) {
  auto type = cast<MemRefType>(view.getType());
  if (exec::stridesOf(type).back() == 1)
    return view;
  Value copy = buffer(type.getShape(), type.getElementType(), loc);
  exec::CopyOp::create(builder, loc, view, copy);
  return copy;
}

Value FunctionBuilder::asMatrix(Value view, Location loc) {
  auto type = cast<MemRefType>(view.getType());
  int64_t rows = type.getDimSize(0);
  int64_t sizes[] = {rows, type.getNumElements() / rows};
  Value matrix = reshape(view, sizes, loc);
  return dense(matrix, loc);
}

//===----------------------------------------------------------------------===//
// Operations
//===----------------------------------------------------------------------===//

Value FunctionBuilder::addInput(StringRef name, ArrayRef<int64_t> sizes) {
  // Behind the other inputs, before the outputs.
  unsigned index = function.getInputNames().size();
  SmallVector<Attribute> names(function.getInputNames().getValue());
  names.push_back(builder.getStringAttr(name));
  function.setInputNamesAttr(builder.getArrayAttr(names));
  return function.getBody().front().insertArgument(
      index, MemRefType::get(sizes, builder.getI32Type()), function.getLoc());
}

Value FunctionBuilder::positions(int64_t numbers) {
  if (!positionInput) {
    SmallVector<int64_t> sizes{static_cast<int64_t>(function.getRows())};
    if (numbers > 1)
      sizes.push_back(numbers);
    positionInput = addInput("positions", sizes);
  }
  return positionInput;
}

/// The tokens that follow those of the rows are the caller's to know: they may
/// be of the next call.
LogicalResult FunctionBuilder::lowerShift(nn::ShiftOp op) {
  Value ids = views.lookup(op.getIds());
  auto argument = dyn_cast<BlockArgument>(ids);
  int64_t by = cast<IntegerAttr>(op.getBy()).getInt();
  if (!argument || by <= 0)
    return op.emitError("shifts what is no input of the function");
  Value &input = shiftedInputs[{ids, by}];
  if (!input) {
    StringRef name =
        cast<StringAttr>(function.getInputNames()[argument.getArgNumber()])
            .getValue();
    input = addInput((name + "+" + Twine(by)).str(),
                     cast<MemRefType>(ids.getType()).getShape());
  }
  views[op.getResult()] = input;
  return success();
}

/// Rows are replaced where they lie, unless something else needs them as they
/// were. Which feature is a row's is the caller's to know: others may have come
/// in earlier calls.
LogicalResult FunctionBuilder::lowerPlace(nn::PlaceOp op) {
  Location loc = op.getLoc();
  Value rows = views.lookup(op.getX());
  if (!op.getX().hasOneUse() || !rows.getDefiningOp<exec::BufferOp>()) {
    auto type = cast<MemRefType>(rows.getType());
    Value copy = buffer(type.getShape(), type.getElementType(), loc);
    exec::CopyOp::create(builder, loc, rows, copy);
    rows = copy;
  }
  if (!placeInput)
    placeInput = addInput("place", {static_cast<int64_t>(function.getRows())});
  exec::PlaceOp::create(builder, loc,
                        asMatrix(views.lookup(op.getFeatures()), loc),
                        placeInput, asMatrix(rows, loc));
  views[op.getResult()] = rows;
  return success();
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
  Value at = op.getPositions() ? views.lookup(op.getPositions())
                               : positions(table->numbers);
  if (auto type = cast<MemRefType>(at.getType());
      table->numbers > 1 && type.getRank() == 1) {
    // A declaration says of which rows positions are, not how many numbers
    // each is.
    if (!isa<BlockArgument>(at)) {
      op.emitError("positions of several numbers must be an input of the "
                   "function");
      return {};
    }
    at.setType(MemRefType::get({type.getDimSize(0), table->numbers},
                               type.getElementType()));
  }
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
                       operands, FlatSymbolRefAttr(), FlatSymbolRefAttr());
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
  if (!nn::canBeSeen(cast<nn::TensorType>(op.getX().getType())))
    return;
  Value from = views.lookup(op.getX());
  if (Value place = groupsOf.lookup(op.getX()).place)
    from = inOrderOfTokens(from, place, op.getLoc());
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
      .Case([&](nn::ShiftOp shift) { return lowerShift(shift); })
      .Case([&](nn::PlaceOp place) { return lowerPlace(place); })
      .Case([&](nn::MergeOp merge) {
        // Neighbouring rows are one that is wider.
        views[merge.getResult()] = reshape(
            views.lookup(merge.getX()),
            sizesOf(cast<nn::TensorType>(merge.getResult().getType())), loc);
        return success();
      })
      .Case([&](nn::ReorderOp reorder) {
        Value place = destination(reorder.getResult());
        views[reorder.getResult()] = place;
        exec::TakeOp::create(
            builder, loc, asMatrix(views.lookup(reorder.getX()), loc),
            views.lookup(reorder.getOrder()), asMatrix(place, loc));
        return success();
      })
      .Case([&](nn::RouteOp route) { return lowerRoute(route); })
      .Case([&](nn::DispatchOp dispatch) { return lowerDispatch(dispatch); })
      .Case([&](nn::GroupedLinearOp linear) {
        return lowerGroupedLinear(linear);
      })
      .Case([&](nn::CombineOp combine) { return lowerCombine(combine); })
      .Case([&](nn::MLAAttentionOp attention) {
        return lowerLatentAttention(attention);
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
  for (Operation &op : block.without_terminator()) {
    if (failed(lower(&op)))
      return failure();
    // What is made of rows of experts, row by row, has such rows.
    for (Value operand : op.getOperands())
      if (Groups sorted = groupsOf.lookup(operand); sorted.place)
        for (Value result : op.getResults())
          if (cast<nn::TensorType>(result.getType()).getOut().front() ==
              cast<nn::TensorType>(operand.getType()).getOut().front())
            groupsOf[result] = sorted;
  }
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
  for (BlockArgument argument : source.getArguments()) {
    auto type = cast<nn::TensorType>(argument.getType());
    // What callers give is as what they get: float32, where it is no id.
    Type element = type.getElem() == "i32" ? Type(builder.getI32Type())
                                           : builder.getF32Type();
    views[argument] = body.addArgument(MemRefType::get(sizesOf(type), element),
                                       argument.getLoc());
  }
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
      shared.declareWeights(scaled, block);
      for (auto entry : graph.getOps<nn::EntryOp>())
        if (failed(FunctionBuilder(shared, entry).run()))
          return signalPassFailure();
      graph.erase();
    }
  }
};

} // namespace
