#include "runtime/text/template/Tests.h"

#include "runtime/core/Text.h"
#include "runtime/text/template/Case.h"
#include "runtime/text/template/Filters.h"
#include "runtime/text/template/Iteration.h"
#include "runtime/text/template/Operators.h"
#include "runtime/text/template/Printing.h"

#include <algorithm>
#include <fmt/format.h>

namespace mbc::text::jinja {
namespace {

template <Kind... kinds> bool isKind(Run &, const Value &self, const Value &) {
  return (self.is(kinds) || ...);
}

template <const char *op>
bool compares(Run &run, const Value &self, const Value &other) {
  return compare(run, op, self, other);
}
constexpr char eq[] = "==", ne[] = "!=", lt[] = "<", le[] = "<=", gt[] = ">",
               ge[] = ">=", in[] = "in";

bool isDefined(Run &, const Value &self, const Value &) {
  return !self.is(Kind::Undefined);
}

bool remainderIs(Run &run, const Value &self, int64_t divisor, int64_t rest) {
  return equal(binary(run, "%", self, Value::integer(divisor)),
               Value::integer(rest));
}
bool isOdd(Run &run, const Value &self, const Value &) {
  return remainderIs(run, self, 2, 1);
}
bool isEven(Run &run, const Value &self, const Value &) {
  return remainderIs(run, self, 2, 0);
}
bool isDivisible(Run &run, const Value &self, const Value &other) {
  return equal(binary(run, "%", self, other), Value::integer(0));
}

bool isTrue(Run &, const Value &self, const Value &) {
  return self.is(Kind::Bool) && self.asBool();
}
bool isFalse(Run &, const Value &self, const Value &) {
  return self.is(Kind::Bool) && !self.asBool();
}

bool isNumber(Run &, const Value &self, const Value &) {
  return self.isNumber() || self.is(Kind::BigInt);
}
bool isSequence(Run &, const Value &self, const Value &) {
  // Undefined has a length of 0 and takes an index, which fails.
  return self.is(Kind::Undefined) || self.isStr() || self.is(Kind::List) ||
         self.is(Kind::Tuple) || self.is(Kind::Dict) || self.is(Kind::Range);
}
bool iterable(Run &, const Value &self, const Value &) {
  return isIterable(self);
}
bool isCallable(Run &, const Value &self, const Value &) {
  switch (self.kind()) {
  case Kind::Undefined: // has __call__, which fails
  case Kind::Macro:
  case Kind::Function:
  case Kind::Method:
  case Kind::Loop:
  case Kind::Joiner:
    return true;
  default:
    return false;
  }
}

bool isLower(Run &run, const Value &self, const Value &) {
  return isLowerCase(printed(run, self));
}
bool isUpper(Run &run, const Value &self, const Value &) {
  return isUpperCase(printed(run, self));
}

bool isEscaped(Run &, const Value &self, const Value &) {
  return self.isMarkup();
}
bool isFilter(Run &, const Value &self, const Value &) {
  requireHashable(self);
  return self.isStr() && findFilter(self.text());
}
bool isTest(Run &, const Value &self, const Value &) {
  requireHashable(self);
  return self.isStr() && findTest(self.text());
}

/// Python's `is`: one object. Whether equal texts or numbers are one is up to
/// CPython, so that only the constants and lists, dicts and so on are told.
bool isSame(Run &, const Value &self, const Value &other) {
  if (self.kind() != other.kind())
    return false;
  switch (self.kind()) {
  case Kind::None:
    return true;
  case Kind::Bool:
    return self.asBool() == other.asBool();
  case Kind::Int:
  case Kind::BigInt:
  case Kind::Float:
  case Kind::Str:
    throw Problem{fmt::format("'sameas' of a {} is not supported; use '=='",
                              typeName(self))};
  default:
    return self.pointer() == other.pointer();
  }
}

constexpr Test tests[] = {
    {"!=", compares<ne>, true},
    {"<", compares<lt>, true},
    {"<=", compares<le>, true},
    {"==", compares<eq>, true},
    {">", compares<gt>, true},
    {">=", compares<ge>, true},
    {"boolean", isKind<Kind::Bool>},
    {"callable", isCallable},
    {"defined", isDefined},
    {"divisibleby", isDivisible, true},
    {"eq", compares<eq>, true},
    {"equalto", compares<eq>, true},
    {"escaped", isEscaped},
    {"even", isEven},
    {"false", isFalse},
    {"filter", isFilter},
    {"float", isKind<Kind::Float>},
    {"ge", compares<ge>, true},
    {"greaterthan", compares<gt>, true},
    {"gt", compares<gt>, true},
    {"in", compares<in>, true},
    {"integer", isKind<Kind::Int, Kind::BigInt>},
    {"iterable", iterable},
    {"le", compares<le>, true},
    {"lessthan", compares<lt>, true},
    {"lower", isLower},
    {"lt", compares<lt>, true},
    {"mapping", isKind<Kind::Dict>},
    {"ne", compares<ne>, true},
    {"none", isKind<Kind::None>},
    {"number", isNumber},
    {"odd", isOdd},
    {"sameas", isSame, true},
    {"sequence", isSequence},
    {"string", isKind<Kind::Str>},
    {"test", isTest},
    {"true", isTrue},
    {"undefined", isKind<Kind::Undefined>},
    {"upper", isUpper},
};

} // namespace

const Test *findTest(std::string_view name) {
  const Test *found = std::ranges::find(tests, name, &Test::name);
  return found == std::end(tests) ? nullptr : found;
}

std::string unknownTest(std::string_view name) {
  std::string names;
  for (const Test &test : tests)
    names += (names.empty() ? "" : ", ") + std::string(test.name);
  return fmt::format("unknown test {}; supported are {}", quote(name), names);
}

bool applyTest(Run &run, const Test &test, const Value &self,
               const Arguments &arguments) {
  std::string what = fmt::format("the test '{}'", test.name);
  if (!test.binary) {
    bindPositional(arguments, what, 0, 0);
    return test.holds(run, self, {});
  }
  return test.holds(run, self, bindPositional(arguments, what, 1, 1)[0]);
}

} // namespace mbc::text::jinja
