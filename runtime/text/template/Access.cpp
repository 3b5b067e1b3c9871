#include "runtime/text/template/Access.h"

#include "runtime/core/Text.h"
#include "runtime/text/template/Iteration.h"
#include "runtime/text/template/Loop.h"
#include "runtime/text/template/Methods.h"
#include "runtime/text/template/Printing.h"
#include "runtime/text/template/Unicode.h"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>

namespace mbc::text::jinja {
namespace {

Value missingMember(const Value &object, const Value &key) {
  std::string text = key.isStr()       ? quote(key.text())
                     : key.isInteger() ? fmt::format("{}", key.asInt())
                                       : std::string(typeName(key));
  return Value::undefined(
      fmt::format("the {} has no {} {}", typeName(object),
                  key.isStr() ? "attribute or item" : "item", text));
}

Value loopMember(Run &run, const Value &object, const std::string &name) {
  auto &loop = object.as<Loop>();
  if (name == "index")
    return Value::integer(loop.index0 + 1);
  if (name == "index0")
    return Value::integer(loop.index0);
  if (name == "first")
    return Value::boolean(loop.index0 == 0);
  if (name == "last")
    return Value::boolean(loop.peek(run).is(Kind::Missing));
  if (name == "length")
    return Value::integer(loop.length(run));
  if (name == "revindex")
    return Value::integer(loop.length(run) - loop.index0);
  if (name == "revindex0")
    return Value::integer(loop.length(run) - loop.index0 - 1);
  if (name == "depth")
    return Value::integer(loop.depth0 + 1);
  if (name == "depth0")
    return Value::integer(loop.depth0);
  if (name == "previtem")
    return loop.index0 == 0 ? Value::undefined("there is no previous item")
                            : loop.previous();
  if (name == "nextitem") {
    const Value &next = loop.peek(run);
    return next.is(Kind::Missing) ? Value::undefined("there is no next item")
                                  : next;
  }
  return {};
}

/// Attributes that are no methods; Missing when there is none.
Value field(Run &run, const Value &object, const std::string &name) {
  switch (object.kind()) {
  case Kind::Loop:
    return loopMember(run, object, name);
  case Kind::Namespace: {
    const Value *value = object.as<Namespace>().attributes.find(name);
    return value ? *value : Value();
  }
  case Kind::Tuple:
    if (!object.as<Sequence>().group)
      return {};
    return name == "grouper" ? object.items()[0]
           : name == "list"  ? object.items()[1]
                             : Value();
  case Kind::Cycler: {
    const auto &cycler = object.as<Cycler>();
    return name == "current" ? cycler.items[cycler.position]
           : name == "items" ? Value::tuple(cycler.items)
                             : Value();
  }
  case Kind::Joiner:
    return name == "sep"    ? Value::str(object.as<Joiner>().separator)
           : name == "used" ? Value::boolean(object.as<Joiner>().used)
                            : Value();
  case Kind::Range: {
    const auto &range = object.as<Range>();
    return name == "start"  ? Value::integer(range.start)
           : name == "stop" ? Value::integer(range.stop)
           : name == "step" ? Value::integer(range.step)
                            : Value();
  }
  case Kind::Bool:
  case Kind::Int:
    return name == "real" || name == "numerator"
               ? Value::integer(object.asInt())
           : name == "imag"        ? Value::integer(0)
           : name == "denominator" ? Value::integer(1)
                                   : Value();
  case Kind::Float:
    return name == "real" ? object : name == "imag" ? Value::real(0) : Value();
  default:
    return {};
  }
}

/// A field or a method; Missing when Python's getattr finds none.
Value attribute(Run &run, const Value &object, const std::string &name) {
  if (name.starts_with("__") && name.ends_with("__") &&
      !object.is(Kind::Namespace))
    return Value::undefined(
        fmt::format("the attribute {} of a {} is not safe to use", quote(name),
                    typeName(object)));
  if (Value value = field(run, object, name); !value.is(Kind::Missing))
    return value;
  switch (methodStanding(object, name)) {
  case MethodStanding::None:
    return {};
  case MethodStanding::Unsafe:
    return Value::undefined(
        fmt::format("the method {} of a {} is not safe to use: a template "
                    "cannot change its values",
                    quote(name), typeName(object)));
  case MethodStanding::Unsupported:
    throw Problem{fmt::format("the method {} of a {} is not supported; there "
                              "are {}",
                              quote(name), typeName(object),
                              supportedMethods(object))};
  case MethodStanding::Supported:
    break;
  }
  run.allocate(sizeof(Method));
  auto method = std::make_shared<Method>();
  method->self = object;
  method->name = name;
  method->depth = object.depth() + 1;
  return Value::of(Kind::Method, std::move(method));
}

std::optional<size_t> position(int64_t index, int64_t size) {
  if (index < 0)
    index += size;
  if (index < 0 || index >= size)
    return std::nullopt;
  return size_t(index);
}

/// Python's object[key]; Missing where that has no such item.
Value subscript(Run &run, const Value &object, const Value &key) {
  switch (object.kind()) {
  case Kind::Dict: {
    if (!hashable(key))
      return {};
    run.step(object.mapping().entries.size() / 8);
    const Value *value = object.mapping().find(key);
    return value ? *value : Value();
  }
  case Kind::List:
  case Kind::Tuple:
    if (key.isInteger())
      if (auto at = position(key.asInt(), object.items().size()))
        return object.items()[*at];
    return {};
  case Kind::Range: {
    const auto &range = object.as<Range>();
    if (key.isInteger())
      if (auto at = position(key.asInt(), range.size()))
        return Value::integer(range.at(*at));
    return {};
  }
  case Kind::Str: {
    if (!key.isInteger())
      return {};
    const std::string &text = object.text();
    run.step(text.size() / 32);
    auto at = position(key.asInt(), codePoints(text));
    if (!at)
      return {};
    std::string_view rest = std::string_view(text).substr(offsetOf(text, *at));
    return Value::str(std::string(rest.substr(0, utf8Length(rest))),
                      object.isMarkup());
  }
  default:
    return {};
  }
}

struct Bounds {
  int64_t start, stop, step;
};

/// Python's slice.indices.
Bounds boundsOf(const Value &start, const Value &stop, const Value &step,
                int64_t size) {
  auto given = [](const Value &value) -> std::optional<int64_t> {
    if (value.is(Kind::Missing) || value.is(Kind::None))
      return std::nullopt;
    if (value.is(Kind::Undefined) || !value.isInteger())
      throw Problem{fmt::format("the bounds of a slice must be integers, not "
                                "a {}",
                                typeName(value))};
    return value.asInt();
  };
  int64_t stride = given(step).value_or(1);
  if (stride == 0)
    throw Problem{"the step of a slice cannot be 0"};
  int64_t lowest = stride < 0 ? -1 : 0, highest = stride < 0 ? size - 1 : size;
  auto bound = [&](const Value &value, int64_t fallback) {
    std::optional<int64_t> index = given(value);
    if (!index)
      return fallback;
    if (*index < 0)
      return std::max(*index + size, lowest);
    return std::min(*index, highest);
  };
  return {bound(start, stride < 0 ? highest : lowest),
          bound(stop, stride < 0 ? lowest : highest), stride};
}

int64_t countOf(const Bounds &bounds) {
  Range range;
  range.start = bounds.start;
  range.stop = bounds.stop;
  range.step = bounds.step;
  return range.size();
}

Value sliceText(Run &run, const Value &object, const Bounds &bounds,
                int64_t size) {
  const std::string &text = object.text();
  if (bounds.step == 1) {
    if (bounds.start >= bounds.stop)
      return Value::str("", object.isMarkup());
    size_t begin = offsetOf(text, bounds.start);
    size_t end =
        bounds.stop == size ? text.size() : offsetOf(text, bounds.stop);
    return run.str(text.substr(begin, end - begin), object.isMarkup());
  }
  run.allocate(size * sizeof(std::string_view));
  std::vector<std::string_view> all = characters(text);
  std::string out;
  int64_t count = countOf(bounds);
  for (int64_t i = 0; i != count; ++i)
    out += all[bounds.start + i * bounds.step];
  return run.str(std::move(out), object.isMarkup());
}

} // namespace

Value member(Run &run, const Value &object, const std::string &name) {
  bool special = name.starts_with("__") && name.ends_with("__");
  if (object.is(Kind::Undefined) && !special)
    throw Problem{object.text()};
  if (Value value = attribute(run, object, name); !value.is(Kind::Missing))
    return value;
  Value key = Value::str(name);
  if (Value value = subscript(run, object, key); !value.is(Kind::Missing))
    return value;
  return missingMember(object, key);
}

Value item(Run &run, const Value &object, const Value &key) {
  if (object.is(Kind::Undefined))
    throw Problem{object.text()};
  if (Value value = subscript(run, object, key); !value.is(Kind::Missing))
    return value;
  if (key.isStr())
    if (Value value = attribute(run, object, key.text());
        !value.is(Kind::Missing))
      return value;
  return missingMember(object, key);
}

Value slice(Run &run, const Value &object, const Value &start,
            const Value &stop, const Value &step) {
  if (object.is(Kind::Undefined))
    throw Problem{object.text()};
  bool slices = object.isStr() || object.is(Kind::List) ||
                object.is(Kind::Tuple) || object.is(Kind::Range);
  if (!slices)
    throw Problem{fmt::format("a {} cannot be sliced", typeName(object))};
  int64_t size = *lengthOf(run, object);
  Bounds bounds = boundsOf(start, stop, step, size);
  if (object.isStr())
    return sliceText(run, object, bounds, size);
  if (object.is(Kind::Range)) {
    const auto &range = object.as<Range>();
    auto part = std::make_shared<Range>();
    part->start = range.at(bounds.start);
    part->stop = range.at(bounds.stop);
    part->step = range.step * bounds.step;
    return Value::of(Kind::Range, std::move(part));
  }
  int64_t count = countOf(bounds);
  run.allocate(count * sizeof(Value));
  std::vector<Value> items;
  items.reserve(count);
  for (int64_t i = 0; i != count; ++i)
    items.push_back(object.items()[bounds.start + i * bounds.step]);
  return object.is(Kind::List) ? Value::list(std::move(items))
                               : Value::tuple(std::move(items));
}

std::vector<Value> attributePath(const Value &attribute) {
  if (attribute.is(Kind::None) || attribute.is(Kind::Missing))
    return {};
  if (!attribute.isStr())
    return {attribute};
  std::vector<Value> path;
  std::string_view rest = attribute.text();
  while (true) {
    std::string_view part = rest.substr(0, rest.find('.'));
    int64_t index = 0;
    auto [end, failed] =
        std::from_chars(part.data(), part.data() + part.size(), index);
    bool number = !part.empty() && part[0] != '-' && failed == std::errc() &&
                  end == part.data() + part.size();
    path.push_back(number ? Value::integer(index)
                          : Value::str(std::string(part)));
    if (part.size() == rest.size())
      return path;
    rest.remove_prefix(part.size() + 1);
  }
}

Value follow(Run &run, Value object, const std::vector<Value> &path,
             const Value &fallback) {
  bool replaces = !fallback.is(Kind::Missing) && !fallback.is(Kind::None);
  for (const Value &step : path) {
    object = item(run, object, step);
    if (replaces && object.is(Kind::Undefined))
      object = fallback;
  }
  return object;
}

} // namespace mbc::text::jinja
