//===- Expr.cpp - Canonical polynomials, substitution, evaluation ---------===//

#include "dialects/NN/Expr.h"
#include "dialects/NN/ExprFold.h"
#include "dialects/NN/NNDialect.h"

#include "mlir/IR/BuiltinTypes.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;
using namespace mbc::nn;

//===----------------------------------------------------------------------===//
// Order
//===----------------------------------------------------------------------===//

static int rank(Attribute attr) {
  return isa<FlatSymbolRefAttr>(attr) ? 0 : isa<ExprAttr>(attr) ? 1 : 2;
}

/// A total order that does not depend on addresses, for canonical forms.
static int compare(Attribute a, Attribute b) {
  if (a == b)
    return 0;
  if (rank(a) != rank(b))
    return rank(a) < rank(b) ? -1 : 1;
  if (auto symbol = dyn_cast<FlatSymbolRefAttr>(a))
    return symbol.getValue().compare(cast<FlatSymbolRefAttr>(b).getValue());
  auto x = dyn_cast<ExprAttr>(a), y = dyn_cast<ExprAttr>(b);
  if (!x)
    return exprText(a).compare(exprText(b));
  if (int order = x.getOp().compare(y.getOp()))
    return order;
  for (auto [p, q] : llvm::zip(x.getOperands(), y.getOperands()))
    if (int order = compare(p, q))
      return order;
  return x.getOperands().size() < y.getOperands().size() ? -1 : 1;
}

static bool before(Attribute a, Attribute b) { return compare(a, b) < 0; }

//===----------------------------------------------------------------------===//
// Polynomials
//===----------------------------------------------------------------------===//

namespace {

/// coefficient * product of atoms, sorted.
struct Term {
  int64_t coefficient;
  SmallVector<Attribute> atoms;
};

/// Sum of terms with different atoms. Products are only of sizes, which are
/// small: a coefficient that overflows makes the polynomial invalid, and the
/// operation stays as it was written.
struct Polynomial {
  SmallVector<Term> terms;
  bool valid = true;

  void add(Term term) {
    if (term.coefficient == 0)
      return;
    for (Term &other : terms)
      if (other.atoms == term.atoms) {
        if (__builtin_add_overflow(other.coefficient, term.coefficient,
                                   &other.coefficient))
          valid = false;
        llvm::erase_if(terms, [](Term &t) { return t.coefficient == 0; });
        return;
      }
    terms.push_back(std::move(term));
  }
};

} // namespace

static Attribute makeExpr(MLIRContext *ctx, StringRef op,
                          ArrayRef<Attribute> operands) {
  return ExprAttr::get(ctx, op, operands);
}

static Term toTerm(Attribute attr) {
  if (std::optional<int64_t> value = asInt(attr))
    return {*value, {}};
  auto expr = dyn_cast<ExprAttr>(attr);
  if (!expr || expr.getOp() != "*")
    return {1, {attr}};
  Term term{1, {}};
  for (Attribute operand : expr.getOperands()) {
    if (std::optional<int64_t> value = asInt(operand))
      term.coefficient = *value;
    else
      term.atoms.push_back(operand);
  }
  return term;
}

/// Reads a canonical expression.
static Polynomial toPolynomial(Attribute attr) {
  Polynomial result;
  auto expr = dyn_cast<ExprAttr>(attr);
  if (expr && expr.getOp() == "+")
    for (Attribute operand : expr.getOperands())
      result.add(toTerm(operand));
  else
    result.add(toTerm(attr));
  return result;
}

static Attribute fromTerm(MLIRContext *ctx, const Term &term) {
  if (term.atoms.empty())
    return intExpr(ctx, term.coefficient);
  if (term.coefficient == 1 && term.atoms.size() == 1)
    return term.atoms[0];
  SmallVector<Attribute> operands;
  if (term.coefficient != 1)
    operands.push_back(intExpr(ctx, term.coefficient));
  operands.append(term.atoms);
  return makeExpr(ctx, "*", operands);
}

static Attribute fromPolynomial(MLIRContext *ctx, Polynomial polynomial) {
  // Constants last, otherwise by atoms: "heads * d + heads + 1".
  llvm::sort(polynomial.terms, [](const Term &a, const Term &b) {
    if (a.atoms.empty() != b.atoms.empty())
      return b.atoms.empty();
    return std::lexicographical_compare(a.atoms.begin(), a.atoms.end(),
                                        b.atoms.begin(), b.atoms.end(), before);
  });
  if (polynomial.terms.empty())
    return intExpr(ctx, 0);
  SmallVector<Attribute> operands;
  for (const Term &term : polynomial.terms)
    operands.push_back(fromTerm(ctx, term));
  return operands.size() == 1 ? operands[0] : makeExpr(ctx, "+", operands);
}

/// `term / divisor`, if that is a term.
static std::optional<Term> divide(Term term, const Term &divisor) {
  if (divisor.coefficient == 0 || divisor.coefficient == -1 ||
      term.coefficient % divisor.coefficient != 0)
    return std::nullopt;
  term.coefficient /= divisor.coefficient;
  for (Attribute atom : divisor.atoms) {
    auto *found = llvm::find(term.atoms, atom);
    if (found == term.atoms.end())
      return std::nullopt;
    term.atoms.erase(found);
  }
  return term;
}

static void addProduct(Polynomial &result, const Term &a, const Term &b) {
  Term product{0, a.atoms};
  if (__builtin_mul_overflow(a.coefficient, b.coefficient,
                             &product.coefficient))
    result.valid = false;
  product.atoms.append(b.atoms);
  llvm::sort(product.atoms, before);
  // d * (n / d) is n: an integer quotient is exact.
  for (auto [i, atom] : llvm::enumerate(product.atoms)) {
    auto quotient = dyn_cast<ExprAttr>(atom);
    if (!quotient || quotient.getOp() != "/")
      continue;
    Polynomial divisor = toPolynomial(quotient.getOperands()[1]);
    Term rest = product;
    rest.atoms.erase(rest.atoms.begin() + i);
    if (divisor.terms.size() != 1)
      continue;
    if (std::optional<Term> left = divide(rest, divisor.terms[0])) {
      for (const Term &term : toPolynomial(quotient.getOperands()[0]).terms)
        addProduct(result, *left, term);
      return;
    }
  }
  result.add(std::move(product));
}

/// Integer arithmetic on what may be an integer; null: stays as written.
static Attribute buildPolynomial(MLIRContext *ctx, StringRef op,
                                 ArrayRef<Attribute> operands) {
  Polynomial result = toPolynomial(operands[0]);
  if (op == "neg") {
    Polynomial negative;
    for (const Term &term : result.terms)
      addProduct(negative, term, Term{-1, {}});
    result = negative;
  }
  for (Attribute operand : operands.drop_front()) {
    Polynomial other = toPolynomial(operand);
    if (op == "*") {
      Polynomial product;
      for (const Term &a : result.terms)
        for (const Term &b : other.terms)
          addProduct(product, a, b);
      product.valid &= result.valid;
      result = product;
      continue;
    }
    for (const Term &term : other.terms)
      addProduct(result, term, Term{op == "-" ? -1 : 1, {}});
  }
  return result.valid ? fromPolynomial(ctx, result) : Attribute();
}

/// An exact quotient, if it is a polynomial.
static Attribute buildQuotient(MLIRContext *ctx, Attribute n, Attribute d) {
  if (n == d)
    return intExpr(ctx, 1);
  Polynomial divisor = toPolynomial(d), result;
  if (divisor.terms.size() != 1)
    return {};
  for (const Term &term : toPolynomial(n).terms) {
    std::optional<Term> quotient = divide(term, divisor.terms[0]);
    if (!quotient)
      return {};
    result.add(std::move(*quotient));
  }
  return fromPolynomial(ctx, result);
}

/// Whether arithmetic on it may be reordered: it is no float, text or record.
/// A name is taken for an integer; were it a float, only the order of a
/// product or a sum would change.
static bool mayBeInt(Attribute attr) {
  if (isa<FlatSymbolRefAttr>(attr) || asInt(attr))
    return true;
  auto expr = dyn_cast<ExprAttr>(attr);
  if (!expr || llvm::is_contained({"sqrt", "log", "float"}, expr.getOp()))
    return false;
  if (llvm::is_contained({"+", "-", "*", "/", "%", "neg", "min", "max"},
                         expr.getOp()))
    return llvm::all_of(expr.getOperands(), mayBeInt);
  return true;
}

//===----------------------------------------------------------------------===//
// Building
//===----------------------------------------------------------------------===//

Attribute mbc::nn::intExpr(MLIRContext *ctx, int64_t value) {
  return IntegerAttr::get(IntegerType::get(ctx, 64), value);
}

std::optional<int64_t> mbc::nn::asInt(Attribute expr) {
  auto value = dyn_cast_or_null<IntegerAttr>(expr);
  if (!value || !value.getType().isInteger(64))
    return std::nullopt;
  return value.getInt();
}

Attribute mbc::nn::buildExpr(MLIRContext *ctx, StringRef op,
                             ArrayRef<Attribute> operands) {
  if (op == "field" || op == "per_layer")
    return makeExpr(ctx, op, operands);
  if (llvm::all_of(operands, isValue)) {
    std::string why;
    if (Attribute value = foldValues(ctx, op, operands, why))
      return value;
    return makeExpr(ctx, op, operands);
  }
  // A known first operand may decide.
  Attribute first = operands[0];
  if (isValue(first)) {
    auto flag = dyn_cast<BoolAttr>(first);
    if (op == "??")
      return isa<UnitAttr>(first) ? operands[1] : first;
    if (op == "?:" && flag)
      return operands[flag.getValue() ? 1 : 2];
    if ((op == "&&" || op == "||") && flag)
      return flag.getValue() == (op == "&&") ? operands[1] : first;
  }
  if (llvm::is_contained({"+", "-", "*", "neg", "/"}, op) &&
      llvm::all_of(operands, mayBeInt)) {
    Attribute result = op == "/" ? buildQuotient(ctx, operands[0], operands[1])
                                 : buildPolynomial(ctx, op, operands);
    if (result)
      return result;
  }
  return makeExpr(ctx, op, operands);
}

void mbc::nn::forEachSymbol(Attribute expr,
                            llvm::function_ref<void(StringRef)> fn) {
  if (auto symbol = dyn_cast<FlatSymbolRefAttr>(expr))
    fn(symbol.getValue());
  else if (auto list = dyn_cast<ArrayAttr>(expr))
    llvm::for_each(list, [&](Attribute e) { forEachSymbol(e, fn); });
  else if (auto operation = dyn_cast<ExprAttr>(expr))
    llvm::for_each(operation.getOperands(),
                   [&](Attribute e) { forEachSymbol(e, fn); });
}

void mbc::nn::forEachField(Attribute expr,
                           llvm::function_ref<void(Attribute)> fn) {
  if (auto list = dyn_cast<ArrayAttr>(expr))
    llvm::for_each(list, [&](Attribute e) { forEachField(e, fn); });
  auto operation = dyn_cast<ExprAttr>(expr);
  if (!operation)
    return;
  if (operation.getOp() == "field")
    return fn(operation);
  llvm::for_each(operation.getOperands(),
                 [&](Attribute e) { forEachField(e, fn); });
}

//===----------------------------------------------------------------------===//
// Substitution and evaluation
//===----------------------------------------------------------------------===//

/// An environment in which `index` is `value`.
template <typename Fn>
static Attribute withIndex(const ExprEnvironment &env, StringRef index,
                           Attribute value, Fn fn) {
  auto symbol = [&](StringRef name) -> Attribute {
    if (name == index)
      return value;
    return env.symbol ? env.symbol(name) : Attribute();
  };
  return fn(ExprEnvironment{symbol, env.field, env.quotient});
}

Attribute mbc::nn::substitute(Attribute expr, const ExprEnvironment &env) {
  MLIRContext *ctx = expr.getContext();
  if (auto symbol = dyn_cast<FlatSymbolRefAttr>(expr)) {
    Attribute value = env.symbol ? env.symbol(symbol.getValue()) : Attribute();
    return value ? value : expr;
  }
  auto all = [&](ArrayRef<Attribute> operands) {
    return llvm::map_to_vector(operands,
                               [&](Attribute e) { return substitute(e, env); });
  };
  if (auto list = dyn_cast<ArrayAttr>(expr))
    return ArrayAttr::get(ctx, all(list.getValue()));
  auto operation = dyn_cast<ExprAttr>(expr);
  if (!operation)
    return expr;
  if (operation.getOp() == "field") {
    Attribute value = env.field ? env.field(expr) : Attribute();
    return value ? value : expr;
  }
  if (operation.getOp() == "per_layer") {
    StringRef index = cast<StringAttr>(operation.getOperands()[0]).getValue();
    Attribute body =
        withIndex(env, index, FlatSymbolRefAttr::get(ctx, index),
                  [&](const ExprEnvironment &inner) {
                    return substitute(operation.getOperands()[2], inner);
                  });
    return makeExpr(ctx, "per_layer",
                    {operation.getOperands()[0],
                     substitute(operation.getOperands()[1], env), body});
  }
  return buildExpr(ctx, operation.getOp(), all(operation.getOperands()));
}

namespace {

class Evaluator {
public:
  Evaluator(const ExprEnvironment &env, std::string &why)
      : env(env), why(why) {}

  /// `orNone`: an absent field or record is none, as on the left of `??`.
  Attribute evaluate(Attribute expr, bool orNone = false);

private:
  Attribute perLayer(ExprAttr expr);
  Attribute spellings(ExprAttr expr, bool orNone);
  Attribute fail(const std::string &reason) {
    if (why.empty())
      why = reason;
    return {};
  }

  const ExprEnvironment &env;
  std::string &why;
};

} // namespace

Attribute Evaluator::perLayer(ExprAttr expr) {
  Attribute countValue = evaluate(expr.getOperands()[1]);
  if (!countValue)
    return {};
  std::optional<int64_t> count = asInt(countValue);
  if (!count || *count < 0 || *count > (1 << 20))
    return fail("'" + exprText(expr.getOperands()[1]) +
                "' = " + exprText(countValue) + " is not a number of layers");
  StringRef index = cast<StringAttr>(expr.getOperands()[0]).getValue();
  SmallVector<Attribute> values;
  for (int64_t i = 0; i < *count; ++i) {
    Attribute value = withIndex(
        env, index, intExpr(expr.getContext(), i),
        [&](const ExprEnvironment &inner) {
          return Evaluator(inner, why).evaluate(expr.getOperands()[2]);
        });
    if (!value)
      return {};
    values.push_back(value);
  }
  return ArrayAttr::get(expr.getContext(), values);
}

/// `a | b`: names both sides when they differ, which values alone cannot.
Attribute Evaluator::spellings(ExprAttr expr, bool orNone) {
  Attribute a = evaluate(expr.getOperands()[0], true);
  Attribute b = a ? evaluate(expr.getOperands()[1], true) : a;
  if (!b)
    return {};
  if (isa<UnitAttr>(a) && isa<UnitAttr>(b) && !orNone)
    return fail("config field '" + exprText(expr) + "' is missing");
  if (!isa<UnitAttr>(a) && !isa<UnitAttr>(b) && !equalValues(a, b))
    return fail("config fields '" + exprText(expr.getOperands()[0]) +
                "' = " + exprText(a) + " and '" +
                exprText(expr.getOperands()[1]) + "' = " + exprText(b) +
                " are spellings of one field and differ");
  return isa<UnitAttr>(a) ? b : a;
}

Attribute Evaluator::evaluate(Attribute expr, bool orNone) {
  MLIRContext *ctx = expr.getContext();
  if (auto symbol = dyn_cast<FlatSymbolRefAttr>(expr)) {
    Attribute value = env.symbol ? env.symbol(symbol.getValue()) : Attribute();
    return value ? value
                 : fail("'" + symbol.getValue().str() + "' has no value here");
  }
  SmallVector<Attribute> values;
  auto all = [&](ArrayRef<Attribute> operands) {
    for (Attribute operand : operands) {
      Attribute value = evaluate(operand);
      if (!value)
        return false;
      values.push_back(value);
    }
    return true;
  };
  if (auto list = dyn_cast<ArrayAttr>(expr))
    return all(list.getValue()) ? ArrayAttr::get(ctx, values) : Attribute();
  auto operation = dyn_cast<ExprAttr>(expr);
  if (!operation)
    return expr;
  StringRef op = operation.getOp();
  ArrayRef<Attribute> ops = operation.getOperands();
  if (op == "field") {
    Attribute value = env.field ? env.field(expr) : Attribute();
    if (!value || (isa<UnitAttr>(value) && !orNone))
      return fail("config field '" + exprText(expr) + "' is missing");
    return value;
  }
  if (op == "per_layer")
    return perLayer(operation);
  if (op == "|")
    return spellings(operation, orNone);
  // Only what decides is evaluated: a branch not taken may be without value.
  if (op == "??") {
    Attribute first = evaluate(ops[0], true);
    return first && isa<UnitAttr>(first) ? evaluate(ops[1], orNone) : first;
  }
  if (op == "?:" || op == "&&" || op == "||") {
    Attribute first = evaluate(ops[0]);
    if (!first)
      return {};
    auto flag = dyn_cast<BoolAttr>(first);
    if (!flag)
      return fail("'" + exprText(ops[0]) + "' = " + exprText(first) +
                  " is not true or false");
    if (op == "?:")
      return evaluate(ops[flag.getValue() ? 1 : 2], orNone);
    if (flag.getValue() != (op == "&&"))
      return first;
    Attribute second = evaluate(ops[1]);
    if (second && !isa<BoolAttr>(second))
      return fail("'" + exprText(ops[1]) + "' = " + exprText(second) +
                  " is not true or false");
    return second;
  }
  if (op == ".field" && orNone) {
    Attribute record = evaluate(ops[0], true);
    if (!record)
      return {};
    auto fields = dyn_cast<DictionaryAttr>(record);
    Attribute value =
        fields ? fields.get(cast<StringAttr>(ops[1]).getValue()) : Attribute();
    return value ? value : UnitAttr::get(ctx);
  }
  if (!all(ops))
    return {};
  if (op == "/" && asInt(values[0]) && asInt(values[1])) {
    int64_t n = *asInt(values[0]), d = *asInt(values[1]);
    if (env.quotient)
      env.quotient(expr, n, d);
    if (d != 0 && d != -1 && n % d != 0)
      return fail(exprText(ops[0], values[0]) + " is not a multiple of " +
                  exprText(ops[1], values[1]));
  }
  std::string reason;
  if (Attribute value = foldValues(ctx, op, values, reason))
    return value;
  return fail(reason + " in '" + exprText(expr) + "'");
}

Attribute mbc::nn::evaluate(Attribute expr, const ExprEnvironment &env,
                            std::string &why) {
  why.clear();
  return Evaluator(env, why).evaluate(expr);
}
