#include "runtime/text/template/Methods.h"

#include "runtime/core/Text.h"
#include "runtime/text/template/Iteration.h"
#include "runtime/text/template/Loop.h"
#include "runtime/text/template/Operators.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <span>

namespace mbc::text::jinja {
namespace {

using Names = std::span<const std::string_view>;

/// What Python's types have.
struct MethodNames {
  Names supported, unsafe, unsupported;
};

constexpr std::string_view dictSupported[] = {"copy", "get", "items", "keys",
                                              "values"};
constexpr std::string_view dictUnsafe[] = {"clear", "pop", "popitem",
                                           "setdefault", "update"};
constexpr std::string_view dictUnsupported[] = {"fromkeys"};
constexpr std::string_view listSupported[] = {"copy", "count", "index"};
constexpr std::string_view listUnsafe[] = {
    "append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort"};
constexpr std::string_view tupleSupported[] = {"count", "index"};
constexpr std::string_view loopSupported[] = {"changed", "cycle"};
constexpr std::string_view cyclerSupported[] = {"next", "reset"};
constexpr std::string_view intUnsupported[] = {"as_integer_ratio", "bit_count",
                                               "bit_length",       "conjugate",
                                               "from_bytes",       "to_bytes"};
constexpr std::string_view floatSupported[] = {"is_integer"};
constexpr std::string_view floatUnsupported[] = {"as_integer_ratio",
                                                 "conjugate", "fromhex", "hex"};
constexpr std::string_view stringUnsupported[] = {
    "casefold",     "isnumeric",   "encode",    "expandtabs", "format_map",
    "isidentifier", "isprintable", "maketrans", "translate"};
constexpr std::string_view viewUnsupported[] = {"isdisjoint", "mapping"};
constexpr std::string_view macroUnsupported[] = {
    "arguments",     "caller",          "catch_kwargs",
    "catch_varargs", "explicit_caller", "name"};

MethodNames namesOf(const Value &object) {
  static const std::vector<std::string_view> strings = [] {
    std::vector<std::string_view> names;
    for (const NamedStringMethod &method : stringMethods())
      names.push_back(method.name);
    return names;
  }();
  switch (object.kind()) {
  case Kind::Str:
    return {strings, {}, stringUnsupported};
  case Kind::Dict:
    return {dictSupported, dictUnsafe, dictUnsupported};
  case Kind::List:
    return {listSupported, listUnsafe, {}};
  case Kind::Tuple:
  case Kind::Range:
    return {tupleSupported, {}, {}};
  case Kind::Loop:
    return {loopSupported, {}, {}};
  case Kind::Cycler:
    return {cyclerSupported, {}, {}};
  case Kind::Bool:
  case Kind::Int:
  case Kind::BigInt:
    return {{}, {}, intUnsupported};
  case Kind::Float:
    return {floatSupported, {}, floatUnsupported};
  case Kind::View:
    return {{}, {}, viewUnsupported};
  case Kind::Macro:
    return {{}, {}, macroUnsupported};
  default:
    return {};
  }
}

bool has(Names names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

Value viewOf(const Value &dict, View::Part part) {
  auto view = std::make_shared<View>();
  view->part = part;
  view->dict = dict;
  view->depth = dict.depth() + 1;
  return Value::of(Kind::View, std::move(view));
}

Value callDict(Run &run, const Value &self, const std::string &name,
               const Arguments &arguments) {
  if (name == "get") {
    auto values = bindPositional(arguments, "get()", 1, 2);
    requireHashable(values[0]);
    run.step(self.mapping().entries.size() / 8);
    if (const Value *value = self.mapping().find(values[0]))
      return *value;
    return values[1].is(Kind::Missing) ? Value::none() : values[1];
  }
  bindPositional(arguments, name + "()", 0, 0);
  if (name == "copy")
    return self; // nothing can change either
  return viewOf(self, name == "items"  ? View::Part::Items
                      : name == "keys" ? View::Part::Keys
                                       : View::Part::Values);
}

Value callSequence(Run &run, const Value &self, const std::string &name,
                   const Arguments &arguments) {
  if (name == "copy") {
    bindPositional(arguments, "copy()", 0, 0);
    return run.list(self.items());
  }
  bool index = name == "index";
  bool ranged = index && !self.is(Kind::Range);
  auto values = bindPositional(arguments, name + "()", 1, ranged ? 3 : 1);
  std::vector<Value> items = itemsOf(run, self);
  int64_t size = items.size();
  int64_t start = 0, stop = size;
  if (ranged) {
    auto clamped = [&](int64_t at) {
      return std::clamp<int64_t>(at < 0 ? at + size : at, 0, size);
    };
    start = clamped(integerOr(values[1], 0, "the start of index()"));
    stop = clamped(integerOr(values[2], size, "the stop of index()"));
  }
  int64_t count = 0;
  for (int64_t i = start; i < stop; ++i) {
    if (!compare(run, "==", items[i], values[0]))
      continue;
    if (index)
      return Value::integer(i);
    ++count;
  }
  if (index)
    throw Problem{
        fmt::format("index() of a {} finds no such item", typeName(self))};
  return Value::integer(count);
}

Value callLoop(Run &run, Loop &loop, const std::string &name,
               const Arguments &arguments) {
  if (!arguments.keywords.empty())
    throw Problem{fmt::format("loop.{}() takes no argument by name", name)};
  if (name == "changed")
    return Value::boolean(loop.changed(run.tuple(arguments.positional)));
  if (arguments.positional.empty())
    throw Problem{"loop.cycle() needs an argument"};
  return arguments.positional[loop.index0 % arguments.positional.size()];
}

Value callCycler(Cycler &cycler, const std::string &name,
                 const Arguments &arguments) {
  bindPositional(arguments, name + "()", 0, 0);
  if (name == "reset") {
    cycler.position = 0;
    return Value::none();
  }
  Value current = cycler.items[cycler.position];
  cycler.position = (cycler.position + 1) % cycler.items.size();
  return current;
}

} // namespace

MethodStanding methodStanding(const Value &object, std::string_view name) {
  MethodNames names = namesOf(object);
  return has(names.supported, name)     ? MethodStanding::Supported
         : has(names.unsafe, name)      ? MethodStanding::Unsafe
         : has(names.unsupported, name) ? MethodStanding::Unsupported
                                        : MethodStanding::None;
}

std::string supportedMethods(const Value &object) {
  Names names = namesOf(object).supported;
  return names.empty() ? "none" : fmt::format("'{}'", fmt::join(names, "', '"));
}

Value callMethod(Run &run, const Value &object, const std::string &name,
                 const Arguments &arguments) {
  switch (object.kind()) {
  case Kind::Str:
    for (const NamedStringMethod &method : stringMethods())
      if (method.name == name)
        return method.call(run, object, arguments);
    break;
  case Kind::Dict:
    return callDict(run, object, name, arguments);
  case Kind::List:
  case Kind::Tuple:
  case Kind::Range:
    return callSequence(run, object, name, arguments);
  case Kind::Loop:
    return callLoop(run, object.as<Loop>(), name, arguments);
  case Kind::Cycler:
    return callCycler(object.as<Cycler>(), name, arguments);
  case Kind::Float:
    bindPositional(arguments, "is_integer()", 0, 0);
    return Value::boolean(std::isfinite(object.asReal()) &&
                          std::floor(object.asReal()) == object.asReal());
  default:
    break;
  }
  throw Problem{
      fmt::format("a {} has no method {}", typeName(object), quote(name))};
}

} // namespace mbc::text::jinja
