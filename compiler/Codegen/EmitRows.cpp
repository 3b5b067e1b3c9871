//===- EmitRows.cpp -------------------------------------------------------===//

#include "compiler/Codegen/EmitRows.h"
#include "compiler/Codegen/VectorMath.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using mbc::program::RowKind;

namespace mbc::codegen {

namespace {

/// Sums of a row have that many accumulators: additions of one wait for each
/// other.
constexpr int64_t accumulators = 4;
/// Most vectors of a segment that are written out instead of looped over: with
/// sums, so that values stay in registers until they are known.
constexpr int64_t unrolledWithSums = 20, unrolled = 4;

/// `lanes` places of a segment, from chunk + offset on.
struct Piece {
  Value chunk, offset;
  int64_t lanes;
};

/// The values of a step at a piece: one vector for each of the stage's points.
using Values = SmallVector<Value, 2>;

class Emitter {
public:
  Emitter(ImplicitLocOpBuilder &builder, const RowKernel &kernel,
          const StagePlan &plan, int64_t lanes)
      : b(builder), math(builder), kernel(kernel), plan(plan), lanes(lanes) {}

  void emit(func::FuncOp function);

private:
  // Numbers.
  /// One value for equal numbers: pieces are known by theirs.
  Value constant(int64_t value) {
    Value &known = constants[value];
    if (!known) {
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPointToStart(entry);
      known = arith::ConstantOp::create(b, b.getI64IntegerAttr(value));
    }
    return known;
  }
  Value number(float value) {
    return arith::ConstantOp::create(b, b.getF32FloatAttr(value));
  }
  Value plus(Value x, Value y) { return b.createOrFold<arith::AddIOp>(x, y); }
  Value times(Value x, int64_t y) {
    return y == 1 ? x : b.createOrFold<arith::MulIOp>(x, constant(y));
  }

  // Loops.
  template <typename Body>
  void loop(Value begin, Value end, int64_t step, SmallVector<Value> &carried,
            Body body);
  void emitStage(const Stage &of);
  void emitSegment(Value number);
  /// Calls `body(piece, carried, n)` for every piece of a segment, the n-th
  /// of those that follow each other; the code for it may run many times.
  using PieceBody =
      llvm::function_ref<void(const Piece &, SmallVector<Value> &, int64_t)>;
  void eachPiece(SmallVector<Value> &carried, PieceBody body);
  void eachPieceOfChunk(Value chunk, bool unroll, SmallVector<Value> &carried,
                        PieceBody body);
  bool unrolls() const;

  // Values.
  Values valueAt(int64_t step, Path path, const Piece &piece);
  Values compute(int64_t step, Path path, const Piece &piece);
  Value sumOf(int64_t norm, Value mean);
  void emitNorm(int64_t norm);
  bool isRoot(int64_t step) const {
    return llvm::is_contained(stage->roots, step);
  }

  // Memory.
  /// The number, in a row of an operand, of a piece's first element: of its
  /// chunk, and from there on.
  std::pair<Value, Value> elementAt(Path path, const Piece &piece, int64_t n);
  Value address(Type stored, Value base, Value element) {
    return LLVM::GEPOp::create(b, LLVM::LLVMPointerType::get(b.getContext()),
                               stored, base, LLVM::GEPArg(element));
  }
  Type storedType(Type element) {
    return element.isBF16() ? b.getI16Type() : element;
  }
  Value runAt(const RowLayout &layout, Value element);
  Value load(int64_t operand, Path path, const Piece &piece, int64_t n);
  void store(int64_t operand, const Piece &piece, int64_t n, Value value);
  Value keptAddress(int64_t step, Path path, const Piece &piece, int64_t n);

  ImplicitLocOpBuilder &b;
  VectorMath math;
  const RowKernel &kernel;
  const StagePlan &plan;
  const int64_t lanes;

  Block *entry = nullptr;
  DenseMap<int64_t, Value> constants;
  // Of the row, the stage and the segment at hand.
  SmallVector<Value> rowBase;
  Value scratch;
  const Stage *stage = nullptr;
  Value segment; ///< its first element
  /// Of norms: 1 / deviation, and of layer norms the mean.
  DenseMap<int64_t, Value> factors, means;
  /// Values that are known where code is emitted, by step, path and piece.
  std::map<std::tuple<int64_t, Path, const void *, const void *, int64_t>,
           Values>
      known;
};

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

std::pair<Value, Value> Emitter::elementAt(Path path, const Piece &piece,
                                           int64_t n) {
  bool pairs = stage->points == Points::Pairs && path != Path::Angle;
  Value chunk = times(piece.chunk, pairs ? 2 : 1);
  Value offset = times(piece.offset, pairs ? 2 : 1);
  if (pairs)
    offset = plus(offset, constant(n * piece.lanes));
  else
    chunk = plus(chunk, constant(n * (stage->width / 2)));
  if (path == Path::Main)
    chunk = plus(chunk, segment);
  return {chunk, offset};
}

/// Where, in elements from the row's first, the run with `element` has it.
Value Emitter::runAt(const RowLayout &layout, Value element) {
  Value offset;
  for (size_t i = layout.sizes.size(); i-- > 0;) {
    Value index = element;
    if (i > 0) {
      Value size = constant(layout.sizes[i]);
      index = b.createOrFold<arith::RemUIOp>(element, size);
      element = b.createOrFold<arith::DivUIOp>(element, size);
    }
    index = times(index, layout.strides[i]);
    offset = offset ? plus(offset, index) : index;
  }
  return offset;
}

Value Emitter::load(int64_t operand, Path path, const Piece &piece, int64_t n) {
  const RowLayout &layout = kernel.operands[operand];
  auto [chunk, offset] = elementAt(path, piece, n);
  Value first = plus(runAt(layout, chunk), times(offset, layout.step()));
  Type stored = storedType(layout.element);
  auto type = VectorType::get({piece.lanes}, stored);
  unsigned bytes = stored.getIntOrFloatBitWidth() / 8;
  Value vector;
  if (layout.step() == 1 || piece.lanes == 1) {
    vector = LLVM::LoadOp::create(
        b, type, address(stored, rowBase[operand], first), bytes);
  } else {
    vector = arith::ConstantOp::create(b, b.getZeroAttr(type));
    for (int64_t i = 0; i < piece.lanes; ++i) {
      Value element = plus(first, constant(i * layout.step()));
      Value one = LLVM::LoadOp::create(
          b, stored, address(stored, rowBase[operand], element), bytes);
      vector = vector::InsertOp::create(b, one, vector, i);
    }
  }
  return math.toFloat(vector, layout.element);
}

void Emitter::store(int64_t operand, const Piece &piece, int64_t n,
                    Value value) {
  const RowLayout &layout = kernel.operands[operand];
  auto [chunk, offset] = elementAt(Path::Main, piece, n);
  Value first = plus(runAt(layout, chunk), times(offset, layout.step()));
  Type stored = storedType(layout.element);
  unsigned bytes = stored.getIntOrFloatBitWidth() / 8;
  Value vector = math.fromFloat(value, layout.element);
  if (layout.step() == 1 || piece.lanes == 1) {
    LLVM::StoreOp::create(b, vector, address(stored, rowBase[operand], first),
                          bytes);
    return;
  }
  for (int64_t i = 0; i < piece.lanes; ++i) {
    Value element = plus(first, constant(i * layout.step()));
    LLVM::StoreOp::create(b, vector::ExtractOp::create(b, vector, i),
                          address(stored, rowBase[operand], element), bytes);
  }
}

Value Emitter::keptAddress(int64_t step, Path path, const Piece &piece,
                           int64_t n) {
  auto [chunk, offset] = elementAt(path, piece, n);
  Value element = plus(plus(chunk, offset), constant(plan.scratchOffset[step]));
  return address(b.getF32Type(), scratch, element);
}

//===----------------------------------------------------------------------===//
// Values
//===----------------------------------------------------------------------===//

Values Emitter::valueAt(int64_t step, Path path, const Piece &piece) {
  auto key = std::tuple(step, path, piece.chunk.getAsOpaquePointer(),
                        piece.offset.getAsOpaquePointer(), piece.lanes);
  if (auto it = known.find(key); it != known.end())
    return it->second;
  Values values = compute(step, path, piece);
  known[key] = values;
  return values;
}

Values Emitter::compute(int64_t i, Path path, const Piece &piece) {
  const Step &step = kernel.steps[i];
  int64_t points = stage->points == Points::One ? 1 : 2;
  Values out;
  if (plan.kept[i] && !(path == Path::Main && isRoot(i))) {
    auto type = VectorType::get({piece.lanes}, b.getF32Type());
    for (int64_t n = 0; n < points; ++n)
      out.push_back(LLVM::LoadOp::create(
          b, type, keptAddress(i, path, piece, n), /*alignment=*/4));
    return out;
  }
  if (step.kind == RowKind::Load) {
    for (int64_t n = 0; n < points; ++n)
      out.push_back(load(step.operand, path, piece, n));
    return out;
  }
  Values x = valueAt(step.inputs[0], path, piece);
  if (step.isRope()) {
    Values angles = valueAt(step.inputs[1], Path::Angle, piece);
    Value first = x[0], second = x[1];
    SmallVector<int64_t> even, odd;
    if (step.kind == RowKind::RopePairs) {
      for (int64_t lane = 0; lane < piece.lanes; ++lane) {
        even.push_back(2 * lane);
        odd.push_back(2 * lane + 1);
      }
      first = math.shuffle(x[0], x[1], even);
      second = math.shuffle(x[0], x[1], odd);
    }
    Value cosine = angles[0], sine = angles[1];
    Value turned = math.fma(first, cosine, math.negate(math.mul(second, sine)));
    Value other = math.fma(second, cosine, math.mul(first, sine));
    if (step.kind == RowKind::Rope)
      return {turned, other};
    SmallVector<int64_t> mixed;
    for (int64_t lane = 0; lane < piece.lanes; ++lane) {
      mixed.push_back(lane);
      mixed.push_back(piece.lanes + lane);
    }
    return {
        math.shuffle(turned, other, ArrayRef(mixed).take_front(piece.lanes)),
        math.shuffle(turned, other, ArrayRef(mixed).drop_front(piece.lanes))};
  }
  SmallVector<Values, 2> others;
  for (int64_t input : ArrayRef(step.inputs).drop_front())
    others.push_back(
        valueAt(input, step.isNorm() ? Path::Weight : path, piece));
  for (int64_t n = 0; n < points; ++n) {
    Value v = x[n];
    switch (step.kind) {
    case RowKind::Add:
      v = math.add(v, others[0][n]);
      break;
    case RowKind::Sub:
      v = math.sub(v, others[0][n]);
      break;
    case RowKind::Mul:
      v = math.mul(v, others[0][n]);
      break;
    case RowKind::AddScalar:
      v = math.add(v, math.splat(step.scalar, v));
      break;
    case RowKind::MulScalar:
      v = math.mul(v, math.splat(step.scalar, v));
      break;
    case RowKind::Silu:
      v = math.silu(v);
      break;
    case RowKind::Gelu:
      v = math.gelu(v);
      break;
    case RowKind::Sigmoid:
      v = math.sigmoid(v);
      break;
    case RowKind::RMSNorm:
      v = math.mul(math.mul(v, math.broadcast(factors[i], piece.lanes)),
                   others[0][n]);
      break;
    case RowKind::LayerNorm:
      v = math.sub(v, math.broadcast(means[i], piece.lanes));
      v = math.mul(v, math.broadcast(factors[i], piece.lanes));
      v = math.fma(v, others[0][n], others[1][n]);
      break;
    case RowKind::Load:
    case RowKind::Store:
    case RowKind::Rope:
    case RowKind::RopePairs:
      llvm_unreachable("not element by element");
    }
    out.push_back(v);
  }
  return out;
}

/// Of a norm's input over the segment: the sum of squares of (x - mean); the
/// sum of x without one, where the norm has one.
Value Emitter::sumOf(int64_t norm, Value mean) {
  const Step &step = kernel.steps[norm];
  bool squares = mean || step.kind == RowKind::RMSNorm;
  Value zero = math.broadcast(number(0), lanes);
  SmallVector<Value> sums(accumulators, zero);
  eachPiece(sums, [&](const Piece &piece, SmallVector<Value> &carried,
                      int64_t count) {
    Values x = valueAt(step.inputs[0], Path::Main, piece);
    for (auto [n, v] : llvm::enumerate(x)) {
      Value &sum = carried[(count * x.size() + n) % accumulators];
      if (mean)
        v = math.sub(v, math.broadcast(mean, piece.lanes));
      // Zeros behind the last elements add nothing.
      Value whole = math.extend(v, lanes);
      sum = squares ? math.fma(whole, whole, sum) : math.add(sum, whole);
    }
  });
  return math.sum(
      math.add(math.add(sums[0], sums[1]), math.add(sums[2], sums[3])));
}

void Emitter::emitNorm(int64_t norm) {
  const Step &step = kernel.steps[norm];
  Value width = number(static_cast<float>(step.width)), mean;
  if (step.kind == RowKind::LayerNorm)
    mean = means[norm] = math.div(sumOf(norm, {}), width);
  Value variance = math.div(sumOf(norm, mean), width);
  Value deviation = math::SqrtOp::create(
      b, math.add(variance, number(static_cast<float>(step.scalar))));
  factors[norm] = math.div(number(1), deviation);
}

//===----------------------------------------------------------------------===//
// Loops
//===----------------------------------------------------------------------===//

template <typename Body>
void Emitter::loop(Value begin, Value end, int64_t step,
                   SmallVector<Value> &carried, Body body) {
  auto loop =
      scf::ForOp::create(b, begin, end, constant(step), ValueRange(carried));
  {
    OpBuilder::InsertionGuard guard(b);
    // What is known outside is so inside, but not the other way.
    auto outside = known;
    if (carried.empty())
      b.setInsertionPoint(loop.getBody()->getTerminator());
    else
      b.setInsertionPointToStart(loop.getBody());
    SmallVector<Value> values(loop.getRegionIterArgs());
    body(loop.getInductionVar(), values);
    if (!carried.empty())
      scf::YieldOp::create(b, values);
    known = std::move(outside);
  }
  carried.assign(loop.getResults().begin(), loop.getResults().end());
}

bool Emitter::unrolls() const {
  int64_t pieces = stage->chunk / lanes;
  for (int64_t rest = stage->chunk % lanes; rest; rest &= rest - 1)
    ++pieces;
  int64_t vectors = pieces * (stage->places() / stage->chunk) *
                    (stage->points == Points::One ? 1 : 2);
  return vectors <= (stage->norms.empty() ? unrolled : unrolledWithSums);
}

void Emitter::eachPieceOfChunk(Value chunk, bool unroll,
                               SmallVector<Value> &carried, PieceBody body) {
  int64_t atOnce = carried.empty() ? 1 : accumulators;
  int64_t stride = atOnce * lanes;
  int64_t looped = unroll ? 0 : stage->chunk / stride * stride;
  if (looped <= stride)
    looped = 0;
  if (looped)
    loop(constant(0), constant(looped), stride, carried,
         [&](Value offset, SmallVector<Value> &values) {
           for (int64_t n = 0; n < atOnce; ++n)
             body({chunk, plus(offset, constant(n * lanes)), lanes}, values, n);
         });
  // The rest in halves, so that nothing outside of the row is touched.
  int64_t done = looped, n = 0;
  for (int64_t size = lanes; size > 0; size /= 2)
    for (; done + size <= stage->chunk; done += size)
      body({chunk, constant(done), size}, carried, n++);
}

void Emitter::eachPiece(SmallVector<Value> &carried, PieceBody body) {
  int64_t chunks = stage->places() / stage->chunk;
  if (unrolls()) {
    for (int64_t i = 0; i < chunks; ++i)
      eachPieceOfChunk(constant(i * stage->chunk), true, carried, body);
  } else if (chunks == 1) {
    eachPieceOfChunk(constant(0), false, carried, body);
  } else {
    loop(constant(0), constant(stage->places()), stage->chunk, carried,
         [&](Value chunk, SmallVector<Value> &values) {
           eachPieceOfChunk(chunk, false, values, body);
         });
  }
}

void Emitter::emitSegment(Value first) {
  segment = first;
  known.clear();
  for (int64_t norm : stage->norms)
    emitNorm(norm);
  SmallVector<Value> none;
  eachPiece(none, [&](const Piece &piece, SmallVector<Value> &, int64_t) {
    // All of a piece is read before any of it is written.
    SmallVector<Values> results;
    for (int64_t root : stage->roots) {
      const Step &step = kernel.steps[root];
      results.push_back(
          valueAt(step.kind == RowKind::Store ? step.inputs[0] : root,
                  Path::Main, piece));
    }
    for (auto [root, values] : llvm::zip(stage->roots, results))
      for (auto [n, value] : llvm::enumerate(values))
        if (kernel.steps[root].kind == RowKind::Store)
          store(kernel.steps[root].operand, piece, n, value);
        else
          LLVM::StoreOp::create(b, value,
                                keptAddress(root, Path::Main, piece, n), 4);
  });
}

void Emitter::emitStage(const Stage &of) {
  stage = &of;
  SmallVector<Value> none;
  if (of.width == of.count)
    return emitSegment(constant(0));
  loop(constant(0), constant(of.count), of.width, none,
       [&](Value first, SmallVector<Value> &) { emitSegment(first); });
}

void Emitter::emit(func::FuncOp function) {
  entry = function.addEntryBlock();
  Block &body = *entry;
  b.setInsertionPointToStart(entry);
  Value operands = body.getArgument(0);
  scratch = body.getArgument(3);
  Type pointer = operands.getType();
  SmallVector<Value> bases, none;
  for (size_t i = 0; i < kernel.operands.size(); ++i)
    bases.push_back(LLVM::LoadOp::create(
        b, pointer, address(pointer, operands, constant(i))));
  loop(body.getArgument(1), body.getArgument(2), 1, none,
       [&](Value row, SmallVector<Value> &) {
         rowBase.clear();
         for (auto [base, layout] : llvm::zip(bases, kernel.operands))
           rowBase.push_back(layout.shared
                                 ? base
                                 : address(storedType(layout.element), base,
                                           times(row, layout.rowStride)));
         for (const Stage &of : plan.stages)
           emitStage(of);
       });
  func::ReturnOp::create(b);
}

} // namespace

func::FuncOp emitRows(OpBuilder &builder, Location loc, StringRef name,
                      const RowKernel &kernel, const StagePlan &plan,
                      int64_t lanes) {
  ImplicitLocOpBuilder b(loc, builder);
  Type pointer = LLVM::LLVMPointerType::get(builder.getContext());
  Type index = builder.getI64Type();
  auto function = func::FuncOp::create(
      b, name, builder.getFunctionType({pointer, index, index, pointer}, {}));
  Emitter(b, kernel, plan, lanes).emit(function);
  return function;
}

} // namespace mbc::codegen
