//===- EmitRows.cpp -------------------------------------------------------===//

#include "compiler/Codegen/EmitRows.h"
#include "compiler/Codegen/RowValues.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

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

class Emitter : RowValues {
public:
  Emitter(ImplicitLocOpBuilder &builder, const RowKernel &kernel,
          const StagePlan &plan, int64_t lanes)
      : RowValues(builder, kernel, plan, Machine::X86, MemoryKind()),
        lanes(lanes) {}

  void emit(func::FuncOp function);

private:
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

  Value sumOf(int64_t norm, Value mean);
  void emitNorm(int64_t norm);

  const int64_t lanes;
};

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
    if (carried.empty())
      b.setInsertionPoint(loop.getBody()->getTerminator());
    else
      b.setInsertionPointToStart(loop.getBody());
    SmallVector<Value> values(loop.getRegionIterArgs());
    keepingKnown([&] { body(loop.getInductionVar(), values); });
    if (!carried.empty())
      scf::YieldOp::create(b, values);
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
    for (int64_t root : stage->roots)
      results.push_back(rootAt(root, piece));
    for (auto [root, values] : llvm::zip(stage->roots, results))
      storeRoot(root, piece, values);
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
         for (auto [i, base] : llvm::enumerate(bases))
           rowBase.push_back(rowAddress(i, base, row));
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
