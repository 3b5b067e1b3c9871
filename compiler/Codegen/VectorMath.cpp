//===- VectorMath.cpp -----------------------------------------------------===//

#include "compiler/Codegen/VectorMath.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

#include <numeric>

using namespace mlir;

namespace mbc::codegen {

static int64_t lanesOf(Value x) {
  return cast<VectorType>(x.getType()).getDimSize(0);
}
static VectorType typeLike(Value like, Type element) {
  return VectorType::get({lanesOf(like)}, element);
}

Value VectorMath::splat(double value, Value like) {
  return arith::ConstantOp::create(
      b, DenseElementsAttr::get(typeLike(like, b.getF32Type()),
                                static_cast<float>(value)));
}
Value VectorMath::integer(int32_t value, Value like) {
  return arith::ConstantOp::create(
      b, DenseElementsAttr::get(typeLike(like, b.getI32Type()), value));
}
Value VectorMath::broadcast(Value scalar, int64_t lanes) {
  return vector::BroadcastOp::create(
      b, VectorType::get({lanes}, b.getF32Type()), scalar);
}

Value VectorMath::add(Value x, Value y) {
  return arith::AddFOp::create(b, x, y);
}
Value VectorMath::sub(Value x, Value y) {
  return arith::SubFOp::create(b, x, y);
}
Value VectorMath::mul(Value x, Value y) {
  return arith::MulFOp::create(b, x, y);
}
Value VectorMath::div(Value x, Value y) {
  return arith::DivFOp::create(b, x, y);
}
Value VectorMath::negate(Value x) { return arith::NegFOp::create(b, x); }
Value VectorMath::fma(Value x, Value y, Value z) {
  return math::FmaOp::create(b, x, y, z);
}

/// e^x / 2^n, where n is the integer nearest to x / ln 2.
Value VectorMath::expOfRest(Value x, Value n) {
  if (machine == Machine::Gpu) {
    // 1 / ln 2 in two parts; 2^r is an instruction, good to 2^-22.
    Value r = fma(x, splat(1.4426950216293335, x), negate(n));
    r = fma(x, splat(1.925963033500e-8, x), r);
    Type type = b.getF32Type();
    Value result = r;
    for (int64_t lane = 0; lane < lanesOf(x); ++lane) {
      Value power = LLVM::CallIntrinsicOp::create(
                        b, type, b.getStringAttr("llvm.nvvm.ex2.approx.ftz.f"),
                        ValueRange{vector::ExtractOp::create(b, r, lane)})
                        ->getResult(0);
      result = vector::InsertOp::create(b, power, result, lane);
    }
    return result;
  }
  // ln 2 in two parts, the first short enough for n times it to be exact.
  Value r = fma(n, splat(-0.693145751953125, x), x);
  r = fma(n, splat(-1.42860682030941723e-6, x), r);
  Value p = splat(1.9875691500e-4, x);
  for (double c : {1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2,
                   1.6666665459e-1, 5.0000001201e-1})
    p = fma(p, r, splat(c, x));
  return add(fma(mul(p, r), r, r), splat(1.0, x));
}

Value VectorMath::exp(Value x) {
  auto limit = [&](arith::CmpFPredicate beyond, double bound) {
    Value end = splat(bound, x);
    Value is = arith::CmpFOp::create(b, beyond, x, end);
    x = arith::SelectOp::create(b, is, end, x);
  };
  limit(arith::CmpFPredicate::OGT, 88.37);
  limit(arith::CmpFPredicate::OLT, -87.33);
  // Adding 1.5 * 2^23 rounds to an integer, in the low bits of the sum.
  Value magic = splat(12582912.0, x);
  Value shifted = fma(x, splat(1.44269504088896341, x), magic);
  Value n = sub(shifted, magic);
  Value p = expOfRest(x, n);
  // n from the low bits of the sum to the exponent of 2^n; its high bits fall
  // out. A product, so that a NaN stays one.
  Type ints = typeLike(x, b.getI32Type());
  Value exponent = arith::ShLIOp::create(
      b, arith::BitcastOp::create(b, ints, shifted), integer(23, x));
  Value power = arith::AddIOp::create(b, exponent, integer(127 << 23, x));
  return mul(p, arith::BitcastOp::create(b, x.getType(), power));
}

Value VectorMath::sigmoid(Value x) {
  Value one = splat(1.0, x);
  return div(one, add(one, exp(negate(x))));
}

Value VectorMath::silu(Value x) { return mul(x, sigmoid(x)); }

Value VectorMath::erf(Value x) {
  // The complement as t * e^(-x^2 + p(t)), t = 1 / (1 + |x| / 2), which has
  // few terms and no cancellation far from zero.
  Value a = math::AbsFOp::create(b, x);
  Value one = splat(1.0, x);
  Value t = div(one, fma(splat(0.5, x), a, one));
  Value p = splat(0.17087277, x);
  for (double c :
       {-0.82215223, 1.48851587, -1.13520398, 0.27886807, -0.18628806,
        0.09678418, 0.37409196, 1.00002368, -1.26551223})
    p = fma(p, t, splat(c, x));
  Value complement = mul(t, exp(fma(negate(a), a, p)));
  return math::CopySignOp::create(b, sub(one, complement), x);
}

Value VectorMath::gelu(Value x) {
  Value y = erf(mul(x, splat(0.70710678118654752, x)));
  return mul(mul(splat(0.5, x), x), add(splat(1.0, x), y));
}

Value VectorMath::shuffle(Value x, Value y, ArrayRef<int64_t> lanes) {
  return vector::ShuffleOp::create(b, x, y, lanes);
}

Value VectorMath::slice(Value x, int64_t first, int64_t count) {
  SmallVector<int64_t> lanes(count);
  std::iota(lanes.begin(), lanes.end(), first);
  return shuffle(x, x, lanes);
}

Value VectorMath::extend(Value x, int64_t lanes) {
  if (lanesOf(x) == lanes)
    return x;
  SmallVector<int64_t> all(lanes, lanesOf(x));
  std::iota(all.begin(), all.begin() + lanesOf(x), 0);
  return shuffle(x, splat(0, x), all);
}

Value VectorMath::sum(Value x) {
  for (int64_t half = lanesOf(x) / 2; half > 0; half /= 2)
    x = add(slice(x, 0, half), slice(x, half, half));
  return vector::ExtractOp::create(b, x, 0);
}

Value VectorMath::toFloat(Value stored, Type element) {
  if (element.isF32())
    return stored;
  Type floats = typeLike(stored, b.getF32Type());
  if (element.isF16())
    return arith::ExtFOp::create(b, floats, stored);
  Value wide =
      arith::ExtUIOp::create(b, typeLike(stored, b.getI32Type()), stored);
  Value high = arith::ShLIOp::create(b, wide, integer(16, stored));
  return arith::BitcastOp::create(b, floats, high);
}

Value VectorMath::fromFloat(Value x, Type element) {
  if (element.isF32())
    return x;
  if (element.isF16())
    return arith::TruncFOp::create(b, typeLike(x, element), x);
  if (machine == Machine::Gpu)
    return arith::BitcastOp::create(
        b, typeLike(x, b.getI16Type()),
        arith::TruncFOp::create(b, typeLike(x, element), x));
  Value bits = arith::BitcastOp::create(b, typeLike(x, b.getI32Type()), x);
  Value high = arith::ShRUIOp::create(b, bits, integer(16, x));
  Value odd = arith::AndIOp::create(b, high, integer(1, x));
  Value rounded = arith::AddIOp::create(
      b, bits, arith::AddIOp::create(b, odd, integer(0x7fff, x)));
  rounded = arith::ShRUIOp::create(b, rounded, integer(16, x));
  Value quiet = arith::OrIOp::create(b, high, integer(0x40, x));
  Value isNaN = arith::CmpFOp::create(b, arith::CmpFPredicate::UNO, x, x);
  Value result = arith::SelectOp::create(b, isNaN, quiet, rounded);
  return arith::TruncIOp::create(b, typeLike(x, b.getI16Type()), result);
}

} // namespace mbc::codegen
