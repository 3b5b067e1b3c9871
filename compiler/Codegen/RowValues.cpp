//===- RowValues.cpp ------------------------------------------------------===//

#include "compiler/Codegen/RowValues.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

#include <numeric>

using namespace mlir;
using mbc::program::RowKind;

namespace mbc::codegen {

//===----------------------------------------------------------------------===//
// Numbers
//===----------------------------------------------------------------------===//

Value RowValues::constant(int64_t value) {
  Value &known = constants[value];
  if (!known) {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(entry);
    known = arith::ConstantOp::create(b, b.getI64IntegerAttr(value));
  }
  return known;
}

Value RowValues::number(float value) {
  return arith::ConstantOp::create(b, b.getF32FloatAttr(value));
}

Value RowValues::plus(Value x, Value y) {
  return b.createOrFold<arith::AddIOp>(x, y);
}

Value RowValues::times(Value x, int64_t y) {
  return y == 1 ? x : b.createOrFold<arith::MulIOp>(x, constant(y));
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

Value RowValues::address(Type stored, Value base, Value element) {
  return LLVM::GEPOp::create(b, base.getType(), stored, base,
                             LLVM::GEPArg(element));
}

Type RowValues::storedType(Type element) {
  return element.isBF16() ? IntegerType::get(element.getContext(), 16)
                          : element;
}

Value RowValues::rowAddress(int64_t operand, Value base, Value row) {
  const RowLayout &layout = kernel.operands[operand];
  return layout.shared ? base
                       : address(storedType(layout.element), base,
                                 times(row, layout.rowStride));
}

/// The number, in a row of an operand, of a piece's first element: of its
/// chunk, and from there on.
std::pair<Value, Value> RowValues::elementAt(Path path, const Piece &piece,
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
Value RowValues::runAt(const RowLayout &layout, Value element) {
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

/// Bytes that the address of so many elements of a piece is a multiple of.
unsigned RowValues::alignmentAt(int64_t operand, int64_t lanes) const {
  const RowLayout &layout = kernel.operands[operand];
  int64_t bytes =
      storedType(layout.element).getIntOrFloatBitWidth() / 8 * lanes;
  return std::gcd(bytes,
                  memory.aligned ? kernel.alignments[operand] : bytes / lanes);
}

Value RowValues::load(int64_t operand, Path path, const Piece &piece,
                      int64_t n) {
  const RowLayout &layout = kernel.operands[operand];
  auto [chunk, offset] = elementAt(path, piece, n);
  Value first = plus(runAt(layout, chunk), times(offset, layout.step()));
  Type stored = storedType(layout.element);
  auto type = VectorType::get({piece.lanes}, stored);
  Value vector;
  if (layout.step() == 1 || piece.lanes == 1) {
    vector =
        LLVM::LoadOp::create(b, type, address(stored, rowBase[operand], first),
                             alignmentAt(operand, piece.lanes));
  } else {
    vector = arith::ConstantOp::create(b, b.getZeroAttr(type));
    for (int64_t i = 0; i < piece.lanes; ++i) {
      Value element = plus(first, constant(i * layout.step()));
      Value one = LLVM::LoadOp::create(
          b, stored, address(stored, rowBase[operand], element),
          alignmentAt(operand, 1));
      vector = vector::InsertOp::create(b, one, vector, i);
    }
  }
  return math.toFloat(vector, layout.element);
}

void RowValues::store(int64_t operand, const Piece &piece, int64_t n,
                      Value value) {
  const RowLayout &layout = kernel.operands[operand];
  auto [chunk, offset] = elementAt(Path::Main, piece, n);
  Value first = plus(runAt(layout, chunk), times(offset, layout.step()));
  Type stored = storedType(layout.element);
  Value vector = math.fromFloat(value, layout.element);
  if (layout.step() == 1 || piece.lanes == 1) {
    LLVM::StoreOp::create(b, vector, address(stored, rowBase[operand], first),
                          alignmentAt(operand, piece.lanes));
    return;
  }
  for (int64_t i = 0; i < piece.lanes; ++i) {
    Value element = plus(first, constant(i * layout.step()));
    LLVM::StoreOp::create(b, vector::ExtractOp::create(b, vector, i),
                          address(stored, rowBase[operand], element),
                          alignmentAt(operand, 1));
  }
}

Value RowValues::keptAddress(int64_t step, Path path, const Piece &piece,
                             int64_t n) {
  auto [chunk, offset] = elementAt(path, piece, n);
  Value element = plus(plus(chunk, offset), constant(plan.scratchOffset[step]));
  return address(b.getF32Type(), scratch, element);
}

//===----------------------------------------------------------------------===//
// Values
//===----------------------------------------------------------------------===//

Values RowValues::valueAt(int64_t step, Path path, const Piece &piece) {
  Value of = path == Path::Main ? segment : Value();
  auto key = std::tuple(step, path, of.getAsOpaquePointer(),
                        piece.chunk.getAsOpaquePointer(),
                        piece.offset.getAsOpaquePointer(), piece.lanes);
  if (auto it = known.find(key); it != known.end())
    return it->second;
  Values values = compute(step, path, piece);
  known[key] = values;
  return values;
}

Values RowValues::compute(int64_t i, Path path, const Piece &piece) {
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

//===----------------------------------------------------------------------===//
// Stages
//===----------------------------------------------------------------------===//

Values RowValues::rootAt(int64_t root, const Piece &piece) {
  const Step &step = kernel.steps[root];
  return valueAt(step.kind == RowKind::Store ? step.inputs[0] : root,
                 Path::Main, piece);
}

void RowValues::storeRoot(int64_t root, const Piece &piece,
                          const Values &values) {
  const Step &step = kernel.steps[root];
  for (auto [n, value] : llvm::enumerate(values))
    if (step.kind == RowKind::Store)
      store(step.operand, piece, n, value);
    else
      LLVM::StoreOp::create(b, value, keptAddress(root, Path::Main, piece, n),
                            /*alignment=*/4);
}

void RowValues::collectLoads(
    int64_t i, Path path, bool isRoot,
    std::vector<std::pair<int64_t, Path>> &loads) const {
  const Step &step = kernel.steps[i];
  if (plan.kept[i] && !isRoot)
    return;
  if (step.kind == RowKind::Load) {
    if (!llvm::is_contained(loads, std::pair(i, path)))
      loads.emplace_back(i, path);
    return;
  }
  for (auto [n, input] : llvm::enumerate(step.inputs)) {
    bool own = n > 0 && (step.isNorm() || step.isRope());
    collectLoads(input,
                 !own            ? path
                 : step.isNorm() ? Path::Weight
                                 : Path::Angle,
                 false, loads);
  }
}

std::vector<std::pair<int64_t, Path>> RowValues::loadsOfStage() const {
  std::vector<std::pair<int64_t, Path>> loads;
  for (int64_t root : stage->roots)
    collectLoads(root, Path::Main, true, loads);
  return loads;
}

} // namespace mbc::codegen
