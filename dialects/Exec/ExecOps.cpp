//===- ExecOps.cpp - Verifiers of programs --------------------------------===//
//
// Numbers are those of README.md.
//
//===----------------------------------------------------------------------===//

#include "dialects/Exec/ExecDialect.h"
#include "dialects/Signature.h"

using namespace mlir;
using namespace mbc::exec;

// Of the generated parsers.
using mbc::parseSignature;
using mbc::printSignature;

/// "[1.0, 0.25]", every digit that it takes to read the same number: the
/// printer of dense arrays stops at six.
template <typename Array>
static void printNumbers(OpAsmPrinter &printer, Operation *, Array array) {
  printer << '[';
  llvm::interleaveComma(array.asArrayRef(), printer, [&](auto number) {
    printer.printFloat(APFloat(number));
  });
  printer << ']';
}

template <typename Array>
static ParseResult parseNumbers(OpAsmParser &parser, Array &array) {
  using Number = typename decltype(array.asArrayRef())::value_type;
  SmallVector<Number> numbers;
  auto parseOne = [&]() -> ParseResult {
    APFloat number = APFloat(Number(0));
    if (parser.parseFloat(number.getSemantics(), number))
      return failure();
    numbers.push_back(std::is_same_v<Number, float> ? number.convertToFloat()
                                                    : number.convertToDouble());
    return success();
  };
  if (parser.parseCommaSeparatedList(AsmParser::Delimiter::Square, parseOne))
    return failure();
  array = Array::get(parser.getContext(), numbers);
  return success();
}

#define GET_OP_CLASSES
#include "dialects/Exec/ExecOps.cpp.inc"

namespace mbc::exec {

static MemRefType typeOf(Value value) {
  return cast<MemRefType>(value.getType());
}

/// (X01) The operand has that many dimensions.
static LogicalResult expectRank(Operation *op, Value value, int64_t rank,
                                StringRef what) {
  if (typeOf(value).getRank() == rank)
    return success();
  return op->emitOpError() << what << " must have " << rank
                           << " dimensions, found " << value.getType();
}

/// (X02) Two sizes that the command needs to be one.
static LogicalResult expectSize(Operation *op, int64_t found, int64_t expected,
                                StringRef what) {
  if (found == expected)
    return success();
  return op->emitOpError() << what << " is " << found << ", expected "
                           << expected;
}

/// (X03) Ids, rows and positions are i32.
static LogicalResult expectIntegers(Operation *op, Value value,
                                    StringRef what) {
  if (typeOf(value).getElementType().isInteger(32))
    return success();
  return op->emitOpError() << what << " must be i32, found " << value.getType();
}

/// (X03) Scores and weights of experts are f32.
static LogicalResult expectFloat32(Operation *op, Value value, StringRef what) {
  if (typeOf(value).getElementType().isF32())
    return success();
  return op->emitOpError() << what << " must be f32, found " << value.getType();
}

/// (X10) The last dimension lies without gaps.
static LogicalResult expectDense(Operation *op, Value value, StringRef what) {
  if (stridesOf(typeOf(value)).back() == 1)
    return success();
  return op->emitOpError() << what << " must have dense rows, found "
                           << value.getType();
}

//===----------------------------------------------------------------------===//
// Declarations
//===----------------------------------------------------------------------===//

LogicalResult RopeOp::verify() {
  // (X04)
  if (getDynamic() && getDynamic()->size() != 3)
    return emitOpError("dynamic must be [theta, factor, original length]");
  if (getAxis() && getAxis()->size() != getInvFreq().size())
    return emitOpError() << "axis is for " << getAxis()->size()
                         << " pairs, inv_freq for " << getInvFreq().size();
  return success();
}

LogicalResult KernelOp::verify() {
  // (X05) known kinds; inputs are earlier steps; operands are the kernel's.
  static constexpr std::pair<StringRef, unsigned> kinds[] = {
      {"Load", 0}, {"Store", 1},     {"Add", 2},       {"Sub", 2},
      {"Mul", 2},  {"AddScalar", 1}, {"MulScalar", 1}, {"Silu", 1},
      {"Gelu", 1}, {"Sigmoid", 1},   {"RMSNorm", 2},   {"LayerNorm", 3},
      {"Rope", 2}, {"RopePairs", 2}};
  for (auto [index, step] :
       llvm::enumerate(getSteps().getAsRange<StepAttr>())) {
    const auto *kind = llvm::find_if(kinds, [&](const auto &known) {
      return known.first == step.getKind();
    });
    if (kind == std::end(kinds))
      return emitOpError() << "step " << index << " is of unknown kind '"
                           << step.getKind() << "'";
    if (step.getInputs().size() != kind->second)
      return emitOpError() << "step " << index << " '" << step.getKind()
                           << "' has " << step.getInputs().size()
                           << " inputs, expected " << kind->second;
    for (int64_t input : step.getInputs())
      if (input < 0 || input >= static_cast<int64_t>(index))
        return emitOpError() << "step " << index << " uses step " << input
                             << ", which is not before it";
    bool memory = step.getKind() == "Load" || step.getKind() == "Store";
    if (memory && (step.getOperand() < 0 ||
                   step.getOperand() >= static_cast<int64_t>(getOperands())))
      return emitOpError() << "step " << index << " is about operand "
                           << step.getOperand() << " of " << getOperands();
    if (step.getVectors() <= 0 || step.getWidth() <= 0)
      return emitOpError() << "step " << index << " has no elements";
  }
  return success();
}

LogicalResult ImageOp::verify() {
  // (X16) of images: there is something to load.
  if (getTarget().empty() || getBytes().empty())
    return emitOpError("needs a target and bytes");
  return success();
}

LogicalResult GpuEntryOp::verify() {
  // (X31) a launch has tasks, each of rows and parts.
  if (getRows().empty() || getRows().size() != getParts().size())
    return emitOpError() << "has " << getRows().size()
                         << " tasks with rows and " << getParts().size()
                         << " with parts, expected as many, and one at least";
  return success();
}

LogicalResult GpuImageOp::verify() {
  // (X16)
  if (getTarget().empty() || getPtx().empty())
    return emitOpError("needs a target and text");
  return success();
}

LogicalResult FuncOp::verify() {
  // (X06) the arguments are the inputs and the outputs.
  if (getBody().getNumArguments() !=
      getInputNames().size() + getOutputNames().size())
    return emitOpError() << "has " << getBody().getNumArguments()
                         << " arguments, and names for "
                         << getInputNames().size() + getOutputNames().size();
  for (BlockArgument argument : getBody().getArguments())
    if (auto type = dyn_cast<MemRefType>(argument.getType());
        !type || !isView(type)) // (X15)
      return emitOpError() << "argument " << argument.getArgNumber() << " is "
                           << argument.getType()
                           << ", expected a memref of static sizes";
  return success();
}

//===----------------------------------------------------------------------===//
// Views
//===----------------------------------------------------------------------===//

template <typename OpT>
static FailureOr<OpT> lookup(Operation *op, SymbolTableCollection &symbols,
                             FlatSymbolRefAttr name, StringRef what) {
  auto program = op->getParentOfType<ProgramOp>();
  auto found =
      program ? dyn_cast_or_null<OpT>(symbols.lookupSymbolIn(program, name))
              : OpT();
  if (!found) // (X07)
    return op->emitOpError()
           << "unknown " << what << " '" << name.getValue() << "'";
  return found;
}

LogicalResult WeightOp::verify() {
  auto type = cast<MemRefType>(getType());
  bool scaled = isa<Float8E4M3FNType>(type.getElementType());
  // (X30) blocks have a scale where the weight is FP8, a matrix.
  if (scaled != getBlock().has_value() ||
      (scaled && (type.getRank() < 2 || getBlock()->size() != 2 ||
                  (*getBlock())[0] <= 0 || (*getBlock())[1] <= 0)))
    return emitOpError() << "is " << type
                         << ", expected rows and columns of a block for an FP8 "
                            "matrix, and for no other weight";
  return success();
}

LogicalResult UseOp::verifySymbolUses(SymbolTableCollection &symbols) {
  auto weight = lookup<WeightOp>(*this, symbols, getWeightAttr(), "weight");
  if (failed(weight))
    return failure();
  if (weight->getType() != getType()) // (X08)
    return emitOpError() << "is " << getType() << ", the weight "
                         << weight->getType();
  return success();
}

LogicalResult SubviewOp::verify() {
  MemRefType source = getSource().getType(), result = getType();
  // (X09) inside of its source, which is no window itself.
  if (getSource().getDefiningOp<SubviewOp>())
    return emitOpError("must be of a whole, found a subview");
  if (source.getElementType() != result.getElementType())
    return emitOpError("must keep the element type");
  int64_t end = static_cast<int64_t>(getOffset()) + spanOf(result);
  if (static_cast<int64_t>(getOffset()) < 0 || end > spanOf(source))
    return emitOpError() << "reaches element " << end << " of "
                         << spanOf(source);
  return success();
}

//===----------------------------------------------------------------------===//
// Commands
//===----------------------------------------------------------------------===//

LogicalResult EmbedOp::verify() {
  if (failed(expectIntegers(*this, getIds(), "ids")) ||
      failed(expectRank(*this, getIds(), 1, "ids")) ||
      failed(expectRank(*this, getTable(), 2, "table")) ||
      failed(expectRank(*this, getOut(), 2, "out")) ||
      failed(expectDense(*this, getIds(), "ids")) ||
      failed(expectDense(*this, getTable(), "table")) ||
      failed(expectDense(*this, getOut(), "out")) ||
      failed(expectSize(*this, typeOf(getOut()).getDimSize(0),
                        typeOf(getIds()).getDimSize(0), "rows of out")))
    return failure();
  return expectSize(*this, typeOf(getOut()).getDimSize(1),
                    typeOf(getTable()).getDimSize(1), "columns of out");
}

LogicalResult GemmOp::verify() {
  for (auto [value, what] :
       {std::pair(getX(), "x"), {getWeight(), "weight"}, {getOut(), "out"}}) {
    if (failed(expectRank(*this, value, 2, what)) ||
        failed(expectDense(*this, value, what)))
      return failure();
  }
  MemRefType x = typeOf(getX()), weight = typeOf(getWeight()),
             out = typeOf(getOut());
  if (failed(expectSize(*this, weight.getDimSize(1), x.getDimSize(1),
                        "columns of weight")) ||
      failed(expectSize(*this, out.getDimSize(0), x.getDimSize(0),
                        "rows of out")) ||
      failed(expectSize(*this, out.getDimSize(1), weight.getDimSize(0),
                        "columns of out")))
    return failure();
  if (!getBias())
    return success();
  if (failed(expectRank(*this, getBias(), 1, "bias")) ||
      failed(expectDense(*this, getBias(), "bias")))
    return failure();
  return expectSize(*this, typeOf(getBias()).getDimSize(0), out.getDimSize(1),
                    "size of bias");
}

LogicalResult PlaceOp::verify() {
  for (auto [value, what] :
       {std::pair(getFeatures(), "features"), {getOut(), "out"}}) {
    if (failed(expectRank(*this, value, 2, what)) ||
        failed(expectDense(*this, value, what)))
      return failure();
    if (typeOf(value).getElementType().isInteger(32)) // (X29)
      return emitOpError() << what << " must be of floats, found "
                           << value.getType();
  }
  if (failed(expectIntegers(*this, getPlaces(), "places")) ||
      failed(expectRank(*this, getPlaces(), 1, "places")) ||
      failed(expectDense(*this, getPlaces(), "places")) ||
      failed(expectSize(*this, typeOf(getPlaces()).getDimSize(0),
                        typeOf(getOut()).getDimSize(0), "rows of places")))
    return failure();
  return expectSize(*this, typeOf(getFeatures()).getDimSize(1),
                    typeOf(getOut()).getDimSize(1), "columns of features");
}

LogicalResult TapOp::verify() {
  MemRefType from = typeOf(getFrom()), to = typeOf(getTo());
  // (X17) a tap fills an output of [rows, layers, ...], every layer its own.
  int64_t layers = 1;
  if (auto repeat = (*this)->getParentOfType<RepeatOp>())
    for (auto run : repeat.getRuns().getAsRange<DenseI64ArrayAttr>())
      layers = std::max(layers, run[1] + run[2]);
  SmallVector<int64_t> expected(from.getShape());
  expected.insert(expected.begin() + 1, layers);
  if (to.getShape() != ArrayRef(expected) || !isa<BlockArgument>(getTo()) ||
      !to.getElementType().isF32())
    return emitOpError() << "fills " << to << ", expected an output of "
                         << MemRefType::get(expected,
                                            Float32Type::get(getContext()));
  return success();
}

LogicalResult CopyOp::verify() {
  if (typeOf(getFrom()).getShape() != typeOf(getTo()).getShape()) // (X11)
    return emitOpError() << "from " << getFrom().getType() << " to "
                         << getTo().getType();
  return success();
}

LogicalResult TakeOp::verify() {
  if (failed(expectIntegers(*this, getRows(), "rows")) ||
      failed(expectRank(*this, getX(), 2, "x")) ||
      failed(expectRank(*this, getRows(), 1, "rows")) ||
      failed(expectRank(*this, getOut(), 2, "out")) ||
      failed(expectDense(*this, getX(), "x")) ||
      failed(expectDense(*this, getRows(), "rows")) ||
      failed(expectDense(*this, getOut(), "out")) ||
      failed(expectSize(*this, typeOf(getOut()).getDimSize(0),
                        typeOf(getRows()).getDimSize(0), "rows of out")))
    return failure();
  return expectSize(*this, typeOf(getOut()).getDimSize(1),
                    typeOf(getX()).getDimSize(1), "columns of out");
}

LogicalResult RowsOp::verifySymbolUses(SymbolTableCollection &symbols) {
  auto kernel = lookup<KernelOp>(*this, symbols, getKernelAttr(), "kernel");
  if (failed(kernel))
    return failure();
  // (X16) of row kernels: their code is an entry of the program.
  if (getCodeAttr() &&
      failed(lookup<EntryOp>(*this, symbols, getCodeAttr(), "entry")))
    return failure();
  if (getGpuAttr() &&
      failed(lookup<GpuEntryOp>(*this, symbols, getGpuAttr(), "gpu_entry")))
    return failure();
  // (X12) loads and stores are of the size of their views' rows, and all views
  // but weights have the same rows.
  if (kernel->getOperands() != getViews().size())
    return emitOpError() << "has " << getViews().size() << " views, the kernel "
                         << kernel->getOperands() << " operands";
  std::optional<int64_t> rows;
  for (Value view : getViews()) {
    if (isa_and_nonnull<UseOp>(view.getDefiningOp()))
      continue;
    int64_t found = typeOf(view).getDimSize(0);
    if (rows && *rows != found)
      return emitOpError() << "has views of " << *rows << " and of " << found
                           << " rows";
    rows = found;
  }
  for (auto step : kernel->getSteps().getAsRange<StepAttr>()) {
    if (step.getKind() != "Load" && step.getKind() != "Store")
      continue;
    MemRefType type = typeOf(getViews()[step.getOperand()]);
    if (type.getElementType().isInteger(32))
      return emitOpError() << "operand " << step.getOperand()
                           << " must be of floats, found " << type;
    int64_t elements = step.getVectors() * step.getWidth();
    bool shared =
        isa_and_nonnull<UseOp>(getViews()[step.getOperand()].getDefiningOp());
    int64_t found = shared ? type.getNumElements()
                           : type.getNumElements() / type.getDimSize(0);
    if (found != elements)
      return emitOpError() << "operand " << step.getOperand() << " has "
                           << found << " elements a row, the kernel takes "
                           << elements;
  }
  return success();
}

LogicalResult AnglesOp::verifySymbolUses(SymbolTableCollection &symbols) {
  auto rope = lookup<RopeOp>(*this, symbols, getRopeAttr(), "rope");
  if (failed(rope) ||
      failed(expectIntegers(*this, getPositions(), "positions")) ||
      failed(expectRank(*this, getOut(), 2, "out")) ||
      failed(expectDense(*this, getOut(), "out")) ||
      failed(expectSize(*this, typeOf(getOut()).getDimSize(0),
                        typeOf(getPositions()).getDimSize(0), "rows of out")))
    return failure();
  // One number a row is one even where it stands alone.
  MemRefType positions = typeOf(getPositions());
  int64_t numbers = 1;
  if (auto axis = rope->getAxis())
    numbers = *llvm::max_element(*axis) + 1;
  if (positions.getRank() != 1 || numbers != 1) {
    if (failed(expectRank(*this, getPositions(), 2, "positions")) ||
        failed(expectDense(*this, getPositions(), "positions")))
      return failure();
    if (positions.getDimSize(1) < numbers) // (X02)
      return emitOpError() << "positions have " << positions.getDimSize(1)
                           << " numbers, the rope turns by " << numbers;
  }
  return expectSize(*this, typeOf(getOut()).getDimSize(1),
                    2 * rope->getInvFreq().size(), "columns of out");
}

LogicalResult AttentionOp::verifySymbolUses(SymbolTableCollection &symbols) {
  if (failed(expectRank(*this, getQ(), 4, "q")) ||
      failed(expectRank(*this, getK(), 3, "k")) ||
      failed(expectRank(*this, getV(), 3, "v")) ||
      failed(expectRank(*this, getOut(), 4, "out")))
    return failure();
  MemRefType q = typeOf(getQ()), k = typeOf(getK()), v = typeOf(getV()),
             out = typeOf(getOut());
  for (auto [value, what] : {std::pair(getQ(), "q"),
                             {getK(), "k"},
                             {getV(), "v"},
                             {getOut(), "out"}})
    if (failed(expectDense(*this, value, what)) ||
        failed(expectSize(*this, typeOf(value).getDimSize(0), q.getDimSize(0),
                          ("rows of " + Twine(what)).str())))
      return failure();
  if (failed(expectSize(*this, out.getDimSize(1), q.getDimSize(1),
                        "number of heads of out")) ||
      failed(expectSize(*this, out.getDimSize(2), q.getDimSize(2),
                        "group of out")) ||
      failed(expectSize(*this, k.getDimSize(1), q.getDimSize(1),
                        "number of key heads")) ||
      failed(expectSize(*this, v.getDimSize(1), q.getDimSize(1),
                        "number of value heads")) ||
      failed(expectSize(*this, k.getDimSize(2), q.getDimSize(3),
                        "size of keys")) ||
      failed(expectSize(*this, typeOf(getOut()).getDimSize(3), v.getDimSize(2),
                        "size of out")))
    return failure();
  if (Value ends = getEnds()) {
    if (getState()) // (X28)
      return emitOpError("has a state, and parts that only rows of one call "
                         "can have");
    if (failed(expectIntegers(*this, ends, "ends")) ||
        failed(expectRank(*this, ends, 1, "ends")) ||
        failed(expectDense(*this, ends, "ends")) ||
        failed(expectSize(*this, typeOf(ends).getDimSize(0), q.getDimSize(0),
                          "rows of ends")))
      return failure();
  }
  if (!getState())
    return success();
  auto state = lookup<StateOp>(*this, symbols, getStateAttr(), "state");
  if (failed(state))
    return failure();
  // (X13) the state keeps the keys and values of a token.
  int64_t widths[] = {k.getDimSize(1) * k.getDimSize(2),
                      v.getDimSize(1) * v.getDimSize(2)};
  if (state->getWidths() != ArrayRef<int64_t>(widths))
    return emitOpError() << "keeps " << widths[0] << " and " << widths[1]
                         << " elements, the state's rows are "
                         << state->getWidthsAttr();
  return success();
}

LogicalResult RouteOp::verify() {
  for (auto [value, what] : {std::pair(getLogits(), "logits"),
                             {getWeights(), "weights"},
                             {getIds(), "ids"}})
    if (failed(expectRank(*this, value, 2, what)) ||
        failed(expectDense(*this, value, what)) ||
        failed(expectSize(*this, typeOf(value).getDimSize(0),
                          typeOf(getLogits()).getDimSize(0),
                          ("rows of " + Twine(what)).str())))
      return failure();
  int64_t experts = typeOf(getLogits()).getDimSize(1),
          topk = typeOf(getIds()).getDimSize(1);
  if (failed(expectIntegers(*this, getIds(), "ids")) ||
      failed(expectFloat32(*this, getLogits(), "logits")) ||
      failed(expectFloat32(*this, getWeights(), "weights")) ||
      failed(expectSize(*this, typeOf(getWeights()).getDimSize(1), topk,
                        "columns of weights")))
    return failure();
  if (getCorrection() &&
      (failed(expectRank(*this, getCorrection(), 1, "correction")) ||
       failed(expectFloat32(*this, getCorrection(), "correction")) ||
       failed(expectSize(*this, typeOf(getCorrection()).getDimSize(0), experts,
                         "size of correction"))))
    return failure();
  // (X27) a choice that can be made.
  int64_t groups = getGroups(), chosen = getGroupTopk();
  if (groups <= 0 || experts % groups != 0 || chosen <= 0 || chosen > groups ||
      topk > experts / groups * chosen)
    return emitOpError() << "cannot choose " << topk << " of " << experts
                         << " experts from " << chosen << " of " << groups
                         << " groups";
  if (!llvm::is_contained({"Softmax", "Sigmoid"}, getScore()) ||
      !llvm::is_contained({"Greedy", "GroupLimitedGreedy", "NoauxTc"},
                          getMethod()))
    return emitOpError() << "has no scores '" << getScore()
                         << "' or no method '" << getMethod() << "'";
  return success();
}

LogicalResult GroupOp::verify() {
  for (auto [value, what] : {std::pair(getIds(), "ids"), {getPlace(), "place"}})
    if (failed(expectIntegers(*this, value, what)) ||
        failed(expectRank(*this, value, 2, what)) ||
        failed(expectDense(*this, value, what)))
      return failure();
  if (typeOf(getIds()).getShape() != typeOf(getPlace()).getShape()) // (X11)
    return emitOpError() << "from " << getIds().getType() << " to "
                         << getPlace().getType();
  if (failed(expectIntegers(*this, getOffsets(), "offsets")) ||
      failed(expectDense(*this, getOffsets(), "offsets")))
    return failure();
  return expectRank(*this, getOffsets(), 1, "offsets");
}

LogicalResult ScatterOp::verify() {
  for (auto [value, what] :
       {std::pair(getX(), "x"), {getPlace(), "place"}, {getOut(), "out"}})
    if (failed(expectRank(*this, value, 2, what)) ||
        failed(expectDense(*this, value, what)))
      return failure();
  MemRefType x = typeOf(getX()), place = typeOf(getPlace()),
             out = typeOf(getOut());
  if (failed(expectIntegers(*this, getPlace(), "place")) ||
      failed(expectSize(*this, place.getDimSize(0), x.getDimSize(0),
                        "rows of place")) ||
      failed(expectSize(*this, out.getDimSize(0), place.getNumElements(),
                        "rows of out")))
    return failure();
  if (x.getElementType() != out.getElementType()) // (X11)
    return emitOpError() << "from " << x << " to " << out;
  return expectSize(*this, out.getDimSize(1), x.getDimSize(1),
                    "columns of out");
}

LogicalResult GroupedGemmOp::verify() {
  if (failed(expectRank(*this, getX(), 2, "x")) ||
      failed(expectRank(*this, getWeight(), 3, "weight")) ||
      failed(expectRank(*this, getOffsets(), 1, "offsets")) ||
      failed(expectRank(*this, getOut(), 2, "out")))
    return failure();
  for (auto [value, what] : {std::pair(getX(), "x"),
                             {getWeight(), "weight"},
                             {getOffsets(), "offsets"},
                             {getOut(), "out"}})
    if (failed(expectDense(*this, value, what)))
      return failure();
  MemRefType x = typeOf(getX()), weight = typeOf(getWeight()),
             out = typeOf(getOut());
  if (failed(expectIntegers(*this, getOffsets(), "offsets")) ||
      failed(expectSize(*this, typeOf(getOffsets()).getDimSize(0),
                        weight.getDimSize(0) + 1, "size of offsets")) ||
      failed(expectSize(*this, weight.getDimSize(2), x.getDimSize(1),
                        "columns of weight")) ||
      failed(
          expectSize(*this, out.getDimSize(0), x.getDimSize(0), "rows of out")))
    return failure();
  return expectSize(*this, out.getDimSize(1), weight.getDimSize(1),
                    "columns of out");
}

LogicalResult CombineOp::verify() {
  for (auto [value, what] : {std::pair(getY(), "y"),
                             {getWeights(), "weights"},
                             {getPlace(), "place"},
                             {getOut(), "out"}})
    if (failed(expectRank(*this, value, 2, what)) ||
        failed(expectDense(*this, value, what)))
      return failure();
  MemRefType y = typeOf(getY()), place = typeOf(getPlace()),
             out = typeOf(getOut());
  if (failed(expectIntegers(*this, getPlace(), "place")) ||
      failed(expectFloat32(*this, getWeights(), "weights")) ||
      failed(expectSize(*this, y.getDimSize(0), place.getNumElements(),
                        "rows of y")) ||
      failed(expectSize(*this, out.getDimSize(0), place.getDimSize(0),
                        "rows of out")))
    return failure();
  if (typeOf(getWeights()).getShape() != place.getShape()) // (X11)
    return emitOpError() << "has weights " << getWeights().getType()
                         << " for places " << place;
  return expectSize(*this, out.getDimSize(1), y.getDimSize(1),
                    "columns of out");
}

LogicalResult
LatentAttentionOp::verifySymbolUses(SymbolTableCollection &symbols) {
  if (failed(expectRank(*this, getQNope(), 3, "q_nope")) ||
      failed(expectRank(*this, getQRope(), 3, "q_rope")) ||
      failed(expectRank(*this, getLatent(), 2, "latent")) ||
      failed(expectRank(*this, getKRope(), 2, "k_rope")) ||
      failed(expectRank(*this, getUp(), 3, "up")) ||
      failed(expectRank(*this, getOut(), 3, "out")))
    return failure();
  MemRefType nope = typeOf(getQNope()), rope = typeOf(getQRope()),
             latent = typeOf(getLatent()), key = typeOf(getKRope()),
             up = typeOf(getUp()), out = typeOf(getOut());
  for (auto [value, what] : {std::pair(getQNope(), "q_nope"),
                             {getQRope(), "q_rope"},
                             {getLatent(), "latent"},
                             {getKRope(), "k_rope"},
                             {getOut(), "out"}})
    if (failed(expectDense(*this, value, what)) ||
        failed(expectSize(*this, typeOf(value).getDimSize(0),
                          nope.getDimSize(0),
                          ("rows of " + Twine(what)).str())))
      return failure();
  int64_t heads = nope.getDimSize(1);
  if (failed(expectDense(*this, getUp(), "up")) ||
      failed(expectSize(*this, rope.getDimSize(1), heads, "heads of q_rope")) ||
      failed(expectSize(*this, up.getDimSize(0), heads, "heads of up")) ||
      failed(expectSize(*this, out.getDimSize(1), heads, "heads of out")) ||
      failed(expectSize(*this, key.getDimSize(1), rope.getDimSize(2),
                        "size of rope keys")) ||
      failed(expectSize(*this, up.getDimSize(1),
                        nope.getDimSize(2) + out.getDimSize(2),
                        "keys and values of up")) ||
      failed(expectSize(*this, up.getDimSize(2), latent.getDimSize(1),
                        "columns of up")))
    return failure();
  auto state = lookup<StateOp>(*this, symbols, getStateAttr(), "state");
  if (failed(state))
    return failure();
  // (X13) the state keeps the latent and the rope key of a token.
  int64_t widths[] = {latent.getDimSize(1), key.getDimSize(1)};
  if (state->getWidths() != ArrayRef<int64_t>(widths))
    return emitOpError() << "keeps " << widths[0] << " and " << widths[1]
                         << " elements, the state's rows are "
                         << state->getWidthsAttr();
  return success();
}

LogicalResult RepeatOp::verify() {
  // (X14) runs follow each other, over bodies that are there; no layers inside
  // of layers.
  if ((*this)->getParentOfType<RepeatOp>())
    return emitOpError("must not be inside of another one");
  int64_t next = 0;
  for (Attribute attr : getRuns()) {
    auto run = dyn_cast<DenseI64ArrayAttr>(attr);
    if (!run || run.size() != 3 || run[0] < 0 ||
        run[0] >= static_cast<int64_t>(getBodies().size()) || run[2] <= 0)
      return emitOpError("run must be [body, first, count]");
    if (run[1] != next)
      return emitOpError() << "run starts at layer " << run[1] << ", expected "
                           << next;
    next += run[2];
  }
  return success();
}

} // namespace mbc::exec
