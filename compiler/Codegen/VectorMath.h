//===- VectorMath.h - Arithmetic on vectors of floats -----------*- C++ -*-===//
#pragma once

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace mbc::codegen {

/// Whose instructions arithmetic is written for.
enum class Machine { X86, Gpu };

/// Emits operations on `vector<N x f32>`; N is that of the operands. Every
/// fused multiply-add is explicit, so that what is computed does not depend on
/// how a compiler joins operations. Nothing calls a library.
class VectorMath {
public:
  VectorMath(mlir::ImplicitLocOpBuilder &builder, Machine machine)
      : b(builder), machine(machine) {}

  using Value = mlir::Value;

  /// A constant in every lane of a vector like `like`.
  Value splat(double value, Value like);
  /// A float32 in every lane.
  Value broadcast(Value scalar, int64_t lanes);

  Value add(Value x, Value y);
  Value sub(Value x, Value y);
  Value mul(Value x, Value y);
  Value div(Value x, Value y);
  Value negate(Value x);
  /// x * y + z, rounded once.
  Value fma(Value x, Value y, Value z);

  /// e^x: 2^n times e^r, |r| <= ln2 / 2; relative error below 2e-7, on GPUs,
  /// whose instruction gives e^r, below 3e-7. What would be outside of the
  /// normal numbers is about the last of them: 2.4e38, 1.2e-38. A NaN stays
  /// one.
  Value exp(Value x);
  Value sigmoid(Value x);
  Value silu(Value x);
  /// 0.5 x (1 + erf(x / sqrt 2)), the error function to 3e-7.
  Value gelu(Value x);

  /// The sum of all lanes, halves added to each other.
  Value sum(Value x);
  /// Lanes [first, first + count).
  Value slice(Value x, int64_t first, int64_t count);
  /// Lanes by number; y's follow x's.
  Value shuffle(Value x, Value y, llvm::ArrayRef<int64_t> lanes);
  /// With zeros behind, `lanes` in all.
  Value extend(Value x, int64_t lanes);

  /// From and to what memory holds: f32, f16, or bfloat16 as i16. To nearest,
  /// ties to even; a NaN stays one.
  Value toFloat(Value stored, mlir::Type element);
  Value fromFloat(Value x, mlir::Type element);

private:
  Value expOfRest(Value x, Value n);
  Value erf(Value x);
  Value integer(int32_t value, Value like);
  Value likeWith(mlir::Type element, Value like);

  mlir::ImplicitLocOpBuilder &b;
  const Machine machine;
};

} // namespace mbc::codegen
