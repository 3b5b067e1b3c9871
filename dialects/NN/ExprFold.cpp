//===- ExprFold.cpp - Operations on configuration values ------------------===//

#include "dialects/NN/ExprFold.h"
#include "dialects/NN/Expr.h"

#include "mlir/IR/BuiltinTypes.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSwitch.h"

#include <cmath>

using namespace mlir;
using namespace mbc::nn;

namespace {

enum class Number { None, Int, Float };

Number numberKind(Attribute attr) {
  if (asInt(attr))
    return Number::Int;
  return isa<FloatAttr>(attr) ? Number::Float : Number::None;
}

double toDouble(Attribute attr) {
  if (std::optional<int64_t> value = asInt(attr))
    return static_cast<double>(*value);
  return cast<FloatAttr>(attr).getValueAsDouble();
}

/// "'silu' is not a number".
Attribute notA(std::string &why, Attribute value, StringRef kind) {
  why = "'" + exprText(value) + "' is not " + kind.str();
  return {};
}

int64_t floorMod(int64_t a, int64_t b) {
  int64_t rest = a % b;
  return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

Attribute foldInts(MLIRContext *ctx, StringRef op, int64_t a, int64_t b,
                   std::string &why) {
  int64_t result = 0;
  bool overflow = false;
  if (op == "+")
    overflow = __builtin_add_overflow(a, b, &result);
  else if (op == "-")
    overflow = __builtin_sub_overflow(a, b, &result);
  else if (op == "*")
    overflow = __builtin_mul_overflow(a, b, &result);
  else if (op == "min" || op == "max")
    result = op == "min" ? std::min(a, b) : std::max(a, b);
  else {
    if (b == 0) {
      why = "division by zero";
      return {};
    }
    // The one quotient that traps.
    if (b == -1 && op == "/")
      overflow = __builtin_sub_overflow(int64_t(0), a, &result);
    else if (b == -1 && op == "%")
      result = 0;
    else if (op == "/" && a % b != 0) {
      why = std::to_string(a) + " is not a multiple of " + std::to_string(b);
      return {};
    } else if (op == "/")
      result = a / b;
    else if (op == "%")
      result = floorMod(a, b);
    else {
      // Sizes: ceil_div and round_up are for what is not negative.
      if (a < 0 || b < 0) {
        why = "'" + op.str() + "' of a negative number";
        return {};
      }
      result = a / b + (a % b != 0);
      if (op == "round_up")
        overflow = __builtin_mul_overflow(result, b, &result);
    }
  }
  if (overflow) {
    why = "integer overflow in '" + std::to_string(a) + " " + op.str() + " " +
          std::to_string(b) + "'";
    return {};
  }
  return intExpr(ctx, result);
}

Attribute foldFloats(MLIRContext *ctx, StringRef op, double a, double b,
                     std::string &why) {
  if (op == "+")
    return floatValue(ctx, a + b);
  if (op == "-")
    return floatValue(ctx, a - b);
  if (op == "*")
    return floatValue(ctx, a * b);
  if (op == "min" || op == "max")
    return floatValue(ctx, op == "min" ? std::min(a, b) : std::max(a, b));
  if (op == "/" && b != 0)
    return floatValue(ctx, a / b);
  why = op == "/" ? "division by zero" : "'" + op.str() + "' needs integers";
  return {};
}

Attribute foldArithmetic(MLIRContext *ctx, StringRef op,
                         ArrayRef<Attribute> ops, std::string &why) {
  Attribute result = ops[0];
  for (Attribute operand : ops)
    if (numberKind(operand) == Number::None)
      return notA(why, operand, "a number");
  for (Attribute operand : ops.drop_front()) {
    if (numberKind(result) == Number::Int && numberKind(operand) == Number::Int)
      result = foldInts(ctx, op, *asInt(result), *asInt(operand), why);
    else
      result = foldFloats(ctx, op, toDouble(result), toDouble(operand), why);
    if (!result)
      return {};
  }
  return result;
}

Attribute foldCompare(MLIRContext *ctx, StringRef op, Attribute a, Attribute b,
                      std::string &why) {
  for (Attribute operand : {a, b})
    if (numberKind(operand) == Number::None)
      return notA(why, operand, "a number");
  double x = toDouble(a), y = toDouble(b);
  bool less = x < y, equal = equalValues(a, b);
  return boolValue(ctx, op == "<"    ? less
                        : op == "<=" ? less || equal
                        : op == ">"  ? !less && !equal
                                     : !less);
}

Attribute foldUnary(MLIRContext *ctx, StringRef op, Attribute a,
                    std::string &why) {
  if (op == "!") {
    auto flag = dyn_cast<BoolAttr>(a);
    return flag ? boolValue(ctx, !flag.getValue())
                : notA(why, a, "true or false");
  }
  if (op == "len") {
    auto list = dyn_cast<ArrayAttr>(a);
    return list ? intExpr(ctx, list.size()) : notA(why, a, "a list");
  }
  if (numberKind(a) == Number::None)
    return notA(why, a, "a number");
  if (op == "neg")
    return foldArithmetic(ctx, "-", {intExpr(ctx, 0), a}, why);
  if (op == "float")
    return floatValue(ctx, toDouble(a));
  if (toDouble(a) < 0 || (op == "log" && toDouble(a) == 0)) {
    why = "'" + op.str() + "' of " + exprText(a);
    return {};
  }
  if (op == "log")
    return floatValue(ctx, std::log(toDouble(a)));
  return floatValue(ctx, std::sqrt(toDouble(a)));
}

} // namespace

bool mbc::nn::isValue(Attribute attr) {
  if (auto list = dyn_cast<ArrayAttr>(attr))
    return llvm::all_of(list, isValue);
  if (auto record = dyn_cast<DictionaryAttr>(attr))
    return llvm::all_of(
        record, [](NamedAttribute field) { return isValue(field.getValue()); });
  return isa<IntegerAttr, FloatAttr, StringAttr, UnitAttr>(attr);
}

Attribute mbc::nn::floatValue(MLIRContext *ctx, double value) {
  return FloatAttr::get(Float64Type::get(ctx), value);
}

Attribute mbc::nn::boolValue(MLIRContext *ctx, bool value) {
  return BoolAttr::get(ctx, value);
}

bool mbc::nn::equalValues(Attribute a, Attribute b) {
  if (a == b)
    return true;
  if (numberKind(a) != Number::None && numberKind(b) != Number::None)
    return toDouble(a) == toDouble(b) &&
           (numberKind(a) != numberKind(b) || numberKind(a) == Number::Float);
  auto x = dyn_cast<ArrayAttr>(a), y = dyn_cast<ArrayAttr>(b);
  if (x && y)
    return llvm::equal(x, y, equalValues);
  auto r = dyn_cast<DictionaryAttr>(a), s = dyn_cast<DictionaryAttr>(b);
  return r && s && llvm::equal(r, s, [](NamedAttribute p, NamedAttribute q) {
           return p.getName() == q.getName() &&
                  equalValues(p.getValue(), q.getValue());
         });
}

Attribute mbc::nn::foldValues(MLIRContext *ctx, StringRef op,
                              ArrayRef<Attribute> ops, std::string &why) {
  if (op == "?:") {
    auto flag = dyn_cast<BoolAttr>(ops[0]);
    return flag ? ops[flag.getValue() ? 1 : 2]
                : notA(why, ops[0], "true or false");
  }
  if (op == "??")
    return isa<UnitAttr>(ops[0]) ? ops[1] : ops[0];
  if (op == "|") {
    if (isa<UnitAttr>(ops[0]) || isa<UnitAttr>(ops[1]))
      return ops[isa<UnitAttr>(ops[0]) ? 1 : 0];
    if (equalValues(ops[0], ops[1]))
      return ops[0];
    why = "two spellings disagree: " + exprText(ops[0]) + " and " +
          exprText(ops[1]);
    return {};
  }
  if (op == "==" || op == "!=")
    return boolValue(ctx, equalValues(ops[0], ops[1]) == (op == "=="));
  if (op == "in") {
    auto list = dyn_cast<ArrayAttr>(ops[1]);
    if (!list)
      return notA(why, ops[1], "a list");
    return boolValue(ctx, llvm::any_of(list, [&](Attribute element) {
                       return equalValues(ops[0], element);
                     }));
  }
  if (op == "all") {
    auto list = dyn_cast<ArrayAttr>(ops[0]);
    if (!list)
      return notA(why, ops[0], "a list");
    return boolValue(ctx, llvm::all_of(list, [&](Attribute element) {
                       return equalValues(ops[1], element);
                     }));
  }
  if (op == "&&" || op == "||") {
    for (Attribute operand : ops)
      if (!isa<BoolAttr>(operand))
        return notA(why, operand, "true or false");
    bool a = cast<BoolAttr>(ops[0]).getValue();
    bool b = cast<BoolAttr>(ops[1]).getValue();
    return boolValue(ctx, op == "&&" ? a && b : a || b);
  }
  if (op == ".field") {
    StringRef name = cast<StringAttr>(ops[1]).getValue();
    auto record = dyn_cast<DictionaryAttr>(ops[0]);
    if (!record)
      return notA(why, ops[0], "a record with a field '" + name.str() + "'");
    if (Attribute value = record.get(name))
      return value;
    why = "the record has no field '" + name.str() + "'";
    return {};
  }
  if (op == "[]") {
    auto list = dyn_cast<ArrayAttr>(ops[0]);
    if (!list)
      return notA(why, ops[0], "a list");
    std::optional<int64_t> index = asInt(ops[1]);
    if (!index)
      return notA(why, ops[1], "an integer");
    if (*index < 0 || *index >= static_cast<int64_t>(list.size())) {
      why = "index " + std::to_string(*index) + " is outside a list of " +
            std::to_string(list.size());
      return {};
    }
    return list[*index];
  }
  if (op == "<" || op == "<=" || op == ">" || op == ">=")
    return foldCompare(ctx, op, ops[0], ops[1], why);
  if (op == "!" || op == "neg" || op == "len" || op == "float" ||
      op == "sqrt" || op == "log")
    return foldUnary(ctx, op, ops[0], why);
  if (llvm::is_contained(
          {"+", "-", "*", "/", "%", "ceil_div", "round_up", "min", "max"}, op))
    return foldArithmetic(ctx, op, ops, why);
  why = "'" + op.str() + "' has no value here";
  return {};
}
