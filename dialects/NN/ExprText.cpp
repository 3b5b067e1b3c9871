//===- ExprText.cpp - Expressions as the source says them -----------------===//

#include "dialects/NN/Expr.h"
#include "dialects/NN/NNDialect.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSwitch.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;
using namespace mbc::nn;

namespace {

/// Binding strength of infix operators, as README.md of the front end lists
/// them; 0 for what is written as a call.
int strength(StringRef op) {
  return llvm::StringSwitch<int>(op)
      .Case("?:", 1)
      .Case("??", 2)
      .Case("||", 3)
      .Case("&&", 4)
      .Cases({"==", "!=", "<", "<=", ">", ">=", "in"}, 5)
      .Case("|", 6)
      .Cases({"+", "-"}, 7)
      .Cases({"*", "/", "%"}, 8)
      .Cases({"neg", "!"}, 9)
      .Cases({".field", "[]"}, 10)
      .Default(0);
}

std::string text(Attribute expr, int outer);

std::string list(ArrayRef<Attribute> elements) {
  std::string result;
  for (Attribute element : elements)
    result += (result.empty() ? "" : ", ") + text(element, 0);
  return result;
}

std::string floatText(double value) {
  for (int digits : {6, 9, 12, 15, 17}) {
    std::string result;
    llvm::raw_string_ostream(result)
        << llvm::format(("%." + std::to_string(digits) + "g").c_str(), value);
    double back = 0;
    if (!StringRef(result).getAsDouble(back) && back == value) {
      if (StringRef(result).find_first_of(".en") == StringRef::npos)
        result += ".0";
      return result;
    }
  }
  return std::to_string(value);
}

std::string leafText(Attribute expr) {
  if (isa<UnitAttr>(expr))
    return "none";
  if (auto flag = dyn_cast<BoolAttr>(expr))
    return flag.getValue() ? "true" : "false";
  if (auto value = dyn_cast<IntegerAttr>(expr))
    return llvm::toString(value.getValue(), 10, /*Signed=*/true);
  if (auto value = dyn_cast<FloatAttr>(expr))
    return floatText(value.getValueAsDouble());
  if (auto value = dyn_cast<StringAttr>(expr))
    return "\"" + value.getValue().str() + "\"";
  if (auto symbol = dyn_cast<FlatSymbolRefAttr>(expr))
    return symbol.getValue().str();
  if (auto elements = dyn_cast<ArrayAttr>(expr))
    return "[" + list(elements.getValue()) + "]";
  if (auto record = dyn_cast<DictionaryAttr>(expr)) {
    std::string result;
    for (NamedAttribute field : record)
      result += (result.empty() ? "" : ", ") + field.getName().str() + ": " +
                text(field.getValue(), 0);
    return "{" + result + "}";
  }
  std::string result;
  llvm::raw_string_ostream(result) << expr;
  return result;
}

/// Terms of a sum: `a - 2 * b`, not `a + -1 * 2 * b`.
std::string sumText(ArrayRef<Attribute> terms) {
  std::string result;
  for (auto [i, term] : llvm::enumerate(terms)) {
    std::string one = text(term, i ? 8 : 7);
    if (i == 0)
      result = one;
    else if (one.front() == '-')
      result += " - " + one.substr(1);
    else
      result += " + " + one;
  }
  return result;
}

std::string infix(ExprAttr expr, int level) {
  StringRef op = expr.getOp();
  ArrayRef<Attribute> ops = expr.getOperands();
  if (op == "?:")
    return text(ops[0], 2) + " ? " + text(ops[1], 1) + " : " + text(ops[2], 1);
  if (op == ".field")
    return text(ops[0], level) + "." + cast<StringAttr>(ops[1]).str();
  if (op == "[]")
    return text(ops[0], level) + "[" + text(ops[1], 0) + "]";
  if (op == "neg" || op == "!")
    return (op == "neg" ? "-" : "!") + text(ops[0], level);
  if (op == "+")
    return sumText(ops);
  if (op == "*" && asInt(ops[0]) == -1)
    ops = ops.drop_front();
  std::string result;
  for (auto [i, operand] : llvm::enumerate(ops))
    result +=
        (i ? " " + op.str() + " " : "") + text(operand, i ? level + 1 : level);
  return ops.size() == expr.getOperands().size() ? result : "-" + result;
}

std::string text(Attribute attr, int outer) {
  auto expr = dyn_cast<ExprAttr>(attr);
  if (!expr)
    return leafText(attr);
  StringRef op = expr.getOp();
  if (op == "field")
    return cast<StringAttr>(expr.getOperands()[0]).str();
  int level = strength(op);
  if (!level)
    return op.str() + "(" + list(expr.getOperands()) + ")";
  std::string result = infix(expr, level);
  return level < outer ? "(" + result + ")" : result;
}

} // namespace

std::string mbc::nn::exprText(Attribute expr) { return text(expr, 0); }

std::string mbc::nn::exprText(Attribute expr, Attribute value) {
  std::string name = exprText(expr), result = exprText(value);
  return name == result ? result : name + " = " + result;
}
