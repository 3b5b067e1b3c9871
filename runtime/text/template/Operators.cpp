#include "runtime/text/template/Operators.h"

#include "runtime/text/template/Format.h"
#include "runtime/text/template/Iteration.h"
#include "runtime/text/template/Printing.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <optional>

namespace mbc::text::jinja {
namespace {

[[noreturn]] void beyond() {
  throw Problem{"the result is an integer beyond 64 bits, which is not "
                "supported"};
}

[[noreturn]] void unfit(std::string_view op, const Value &a, const Value &b) {
  for (const Value *value : {&a, &b})
    if (value->is(Kind::Undefined))
      throw Problem{value->text()};
  for (const Value *value : {&a, &b})
    if (value->is(Kind::BigInt))
      beyond();
  throw Problem{fmt::format("'{}' is not defined for a {} and a {}", op,
                            typeName(a), typeName(b))};
}

int64_t power(int64_t base, int64_t exponent) {
  int64_t result = 1;
  if (base == 0 || base == 1 || base == -1)
    return exponent == 0 ? 1 : base == -1 && exponent % 2 == 0 ? 1 : base;
  for (; exponent > 0; --exponent)
    if (__builtin_mul_overflow(result, base, &result))
      beyond();
  return result;
}

[[noreturn]] void divisionByZero() { throw Problem{"a division by zero"}; }

Value onIntegers(std::string_view op, int64_t a, int64_t b) {
  int64_t result = 0;
  bool overflow = false;
  if (op == "+") {
    overflow = __builtin_add_overflow(a, b, &result);
  } else if (op == "-") {
    overflow = __builtin_sub_overflow(a, b, &result);
  } else if (op == "*") {
    overflow = __builtin_mul_overflow(a, b, &result);
  } else if (op == "**") {
    if (b >= 0)
      return Value::integer(power(a, b));
    if (a == 0)
      divisionByZero();
    return Value::real(std::pow(double(a), double(b)));
  } else {
    if (b == 0)
      divisionByZero();
    if (op == "/")
      return Value::real(double((long double)(a) / (long double)(b)));
    if (b == -1) {
      if (op == "%")
        return Value::integer(0);
      overflow = __builtin_sub_overflow(int64_t(0), a, &result);
    } else {
      int64_t quotient = a / b, rest = a % b;
      if (rest != 0 && (rest < 0) != (b < 0)) {
        --quotient;
        rest += b;
      }
      result = op == "%" ? rest : quotient;
    }
  }
  if (overflow)
    beyond();
  return Value::integer(result);
}

double realPower(double a, double b) {
  if (a == 0 && b < 0)
    divisionByZero();
  double result = std::pow(a, b);
  if (std::isnan(result) && !std::isnan(a) && !std::isnan(b))
    throw Problem{"the power is a complex number, which is not supported"};
  if (std::isinf(result) && std::isfinite(a) && std::isfinite(b))
    throw Problem{"the power is beyond the range of numbers"};
  return result;
}

Value onReals(std::string_view op, double a, double b) {
  if (op == "+")
    return Value::real(a + b);
  if (op == "-")
    return Value::real(a - b);
  if (op == "*")
    return Value::real(a * b);
  if (op == "**")
    return Value::real(realPower(a, b));
  if (b == 0)
    divisionByZero();
  if (op == "/")
    return Value::real(a / b);
  // As CPython's float_divmod.
  double rest = std::fmod(a, b), quotient = (a - rest) / b;
  if (rest != 0) {
    if ((b < 0) != (rest < 0)) {
      rest += b;
      quotient -= 1;
    }
  } else {
    rest = std::copysign(0.0, b);
  }
  if (op == "%")
    return Value::real(rest);
  if (quotient == 0)
    return Value::real(std::copysign(0.0, a / b));
  double whole = std::floor(quotient);
  return Value::real(quotient - whole > 0.5 ? whole + 1 : whole);
}

bool repeats(const Value &value) {
  return value.isStr() || value.is(Kind::List) || value.is(Kind::Tuple);
}

Value repeated(Run &run, const Value &sequence, int64_t times) {
  uint64_t count = std::max<int64_t>(times, 0);
  uint64_t size = sequence.isStr() ? sequence.text().size()
                                   : sequence.items().size() * sizeof(Value);
  if (size && count > Run::byteLimit / size)
    run.allocate(Run::byteLimit + 1);
  if (!size)
    count = 0;
  if (sequence.isStr()) {
    run.allocate(size * count);
    std::string text;
    text.reserve(size * count);
    for (uint64_t i = 0; i != count; ++i)
      text += sequence.text();
    return Value::str(std::move(text), sequence.isMarkup());
  }
  run.allocate(size * count);
  std::vector<Value> items;
  items.reserve(sequence.items().size() * count);
  for (uint64_t i = 0; i != count; ++i)
    items.insert(items.end(), sequence.items().begin(), sequence.items().end());
  return sequence.is(Kind::List) ? Value::list(std::move(items))
                                 : Value::tuple(std::move(items));
}

Value sum(Run &run, const Value &a, const Value &b) {
  if (a.isStr() && b.isStr()) {
    bool markup = a.isMarkup() || b.isMarkup();
    auto part = [&](const Value &value) {
      return markup && !value.isMarkup() ? escapeHtml(value.text())
                                         : value.text();
    };
    run.allocate(a.text().size() + b.text().size());
    return Value::str(part(a) + part(b), markup);
  }
  bool lists = a.is(Kind::List) && b.is(Kind::List);
  if (!lists && !(a.is(Kind::Tuple) && b.is(Kind::Tuple)))
    unfit("+", a, b);
  run.allocate((a.items().size() + b.items().size()) * sizeof(Value));
  std::vector<Value> items = a.items();
  items.insert(items.end(), b.items().begin(), b.items().end());
  return lists ? Value::list(std::move(items)) : Value::tuple(std::move(items));
}

/// What comparing may cost; both sides are walked at most once.
uint64_t weight(const Value &value) {
  if (value.isStr())
    return value.text().size() / 64;
  uint64_t all = 1;
  if (value.is(Kind::List) || value.is(Kind::Tuple))
    for (const Value &item : value.items())
      all += weight(item);
  if (value.is(Kind::Dict))
    for (const auto &[key, item] : value.mapping().entries)
      all += value.mapping().entries.size() / 8 + weight(item);
  return all;
}

} // namespace

Value binary(Run &run, std::string_view op, const Value &a, const Value &b) {
  if (a.isNumber() && b.isNumber())
    return a.isInteger() && b.isInteger() ? onIntegers(op, a.asInt(), b.asInt())
                                          : onReals(op, a.asReal(), b.asReal());
  if (op == "+")
    return sum(run, a, b);
  if (op == "*" && repeats(a) && b.isInteger())
    return repeated(run, a, b.asInt());
  if (op == "*" && a.isInteger() && repeats(b))
    return repeated(run, b, a.asInt());
  if (op == "%" && a.isStr())
    return formatPercent(run, a, b);
  unfit(op, a, b);
}

Value negated(const Value &value) {
  if (value.is(Kind::Float))
    return Value::real(-value.asReal());
  if (value.isInteger())
    return onIntegers("-", 0, value.asInt());
  unfit("-", value, value);
}

Value positive(const Value &value) {
  if (value.isInteger())
    return Value::integer(value.asInt());
  if (value.is(Kind::Float) || value.is(Kind::BigInt))
    return value;
  unfit("+", value, value);
}

bool contains(Run &run, const Value &container, const Value &item) {
  switch (container.kind()) {
  case Kind::Str:
    if (!item.isStr())
      unfit("in", item, container);
    run.step((container.text().size() + item.text().size()) / 16);
    return container.text().find(item.text()) != std::string::npos;
  case Kind::Dict:
    requireHashable(item);
    run.step(container.mapping().entries.size() / 4);
    return container.mapping().find(item) != nullptr;
  case Kind::Undefined:
    return false;
  default: {
    if (!isIterable(container))
      throw Problem{
          fmt::format("'in' is not defined for a {}", typeName(container))};
    auto source = iterate(run, container);
    for (Value other; source->next(run, other);)
      if (compare(run, "==", other, item))
        return true;
    return false;
  }
  }
}

bool compare(Run &run, std::string_view op, const Value &a, const Value &b) {
  if (op == "in" || op == "not in")
    return contains(run, b, a) == (op == "in");
  if (a.kind() == b.kind() && a.depth() + b.depth() > 0)
    run.step(std::min(weight(a), weight(b)));
  if (op == "==")
    return equal(a, b);
  if (op == "!=")
    return !equal(a, b);
  if (op == "<")
    return less(a, b);
  if (op == ">")
    return less(b, a);
  // Not the negation of the reverse: NaN is in no order.
  if (op == "<=")
    return less(a, b) || equal(a, b);
  return less(b, a) || equal(a, b);
}

} // namespace mbc::text::jinja
