#include "runtime/text/template/Value.h"

#include "runtime/text/template/Iteration.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

namespace mbc::text::jinja {

Value Value::boolean(bool flag) {
  Value value(Kind::Bool);
  value.bits.number = flag;
  return value;
}

Value Value::integer(int64_t number) {
  Value value(Kind::Int);
  value.bits.number = number;
  return value;
}

Value Value::real(double number) {
  Value value(Kind::Float);
  value.bits.real = number;
  return value;
}

Value Value::str(std::string text, bool markup) {
  Value value(Kind::Str);
  value.markup = markup;
  value.object = std::make_shared<Text>(std::move(text));
  return value;
}

Value Value::bigInt(std::string digits) {
  return of(Kind::BigInt, std::make_shared<Text>(std::move(digits)));
}

Value Value::undefined(std::string hint) {
  return of(Kind::Undefined, std::make_shared<Text>(std::move(hint)));
}

Value Value::of(Kind kind, std::shared_ptr<Object> object) {
  if (object && object->depth > valueDepthLimit)
    throw Problem{fmt::format("a value has more than {} lists, dicts and "
                              "generators inside of each other",
                              valueDepthLimit)};
  Value value(kind);
  value.object = std::move(object);
  return value;
}

static Value sequence(Kind kind, std::vector<Value> items) {
  auto object = std::make_shared<Sequence>();
  for (const Value &item : items)
    object->depth = std::max(object->depth, item.depth() + 1);
  object->items = std::move(items);
  return Value::of(kind, std::move(object));
}

Value Value::list(std::vector<Value> items) {
  return sequence(Kind::List, std::move(items));
}

Value Value::tuple(std::vector<Value> items) {
  return sequence(Kind::Tuple, std::move(items));
}

static Value fromNumber(const Json &json) {
  std::string text(json.numberText());
  if (text.find_first_of(".eE") != std::string::npos)
    // Beyond the range of double Python has infinity or 0, as strtod.
    return Value::real(std::strtod(text.c_str(), nullptr));
  if (std::optional<int64_t> number = json.asInt())
    return Value::integer(*number);
  return Value::bigInt(std::move(text));
}

Value Value::fromJson(const Json &json, unsigned depth) {
  if (depth > valueDepthLimit)
    throw Problem{fmt::format("a variable has more than {} objects and arrays "
                              "inside of each other",
                              valueDepthLimit)};
  switch (json.kind()) {
  case Json::Kind::Null:
    return none();
  case Json::Kind::Bool:
    return boolean(*json.asBool());
  case Json::Kind::Number:
    return fromNumber(json);
  case Json::Kind::String:
    return str(*json.asString());
  case Json::Kind::Array: {
    std::vector<Value> items;
    for (const Json &element : json.elements())
      items.push_back(fromJson(element, depth + 1));
    return list(std::move(items));
  }
  case Json::Kind::Object:
    break;
  }
  auto dict = std::make_shared<Mapping>();
  // Keys of Json differ already.
  for (const auto &[key, member] : json.members()) {
    Value value = fromJson(member, depth + 1);
    dict->depth = std::max(dict->depth, value.depth() + 1);
    dict->entries.emplace_back(str(key), std::move(value));
  }
  return of(Kind::Dict, std::move(dict));
}

const std::string &Value::text() const { return as<Text>().bytes; }
const std::vector<Value> &Value::items() const { return as<Sequence>().items; }
const Mapping &Value::mapping() const { return as<Mapping>(); }

const Value *Mapping::find(const Value &key) const {
  if (key.isStr())
    return find(std::string_view(key.text()));
  for (const auto &[name, value] : entries)
    if (equal(name, key))
      return &value;
  return nullptr;
}

const Value *Mapping::find(std::string_view key) const {
  for (const auto &[name, value] : entries)
    if (name.isStr() && name.text() == key)
      return &value;
  return nullptr;
}

void Mapping::set(Value key, Value value) {
  depth = std::max({depth, key.depth() + 1, value.depth() + 1});
  if (const Value *old = find(key)) {
    *const_cast<Value *>(old) = std::move(value);
    return;
  }
  entries.emplace_back(std::move(key), std::move(value));
}

int64_t Range::size() const {
  // Through 128 bits: bounds are any 64-bit integers.
  __int128 span = step > 0 ? __int128(stop) - start : __int128(start) - stop;
  __int128 stride = step > 0 ? __int128(step) : -__int128(step);
  return span <= 0 ? 0 : int64_t((span + stride - 1) / stride);
}

std::string_view typeName(const Value &value) {
  switch (value.kind()) {
  case Kind::Missing:
  case Kind::Undefined:
    return "Undefined";
  case Kind::None:
    return "None";
  case Kind::Bool:
    return "bool";
  case Kind::Int:
  case Kind::BigInt:
    return "int";
  case Kind::Float:
    return "float";
  case Kind::Str:
    return "str";
  case Kind::List:
    return "list";
  case Kind::Tuple:
    return "tuple";
  case Kind::Dict:
    return "dict";
  case Kind::View:
    return "dict view";
  case Kind::Range:
    return "range";
  case Kind::Iterator:
    return "generator";
  case Kind::Namespace:
    return "namespace";
  case Kind::Macro:
    return "macro";
  case Kind::Function:
    return "function";
  case Kind::Method:
    return "method";
  case Kind::Loop:
    return "loop";
  case Kind::Cycler:
    return "cycler";
  case Kind::Joiner:
    return "joiner";
  }
  return "value";
}

/// Exact: long double holds every int64 and every double.
static int compareNumbers(const Value &a, const Value &b) {
  if (a.isInteger() && b.isInteger())
    return a.asInt() < b.asInt() ? -1 : a.asInt() > b.asInt();
  auto exact = [](const Value &value) {
    return value.isInteger() ? (long double)(value.asInt())
                             : (long double)(value.asReal());
  };
  long double x = exact(a), y = exact(b);
  return x < y ? -1 : x > y ? 1 : x == y ? 0 : 2;
}

static bool equalDicts(const Mapping &a, const Mapping &b) {
  return a.entries.size() == b.entries.size() &&
         std::ranges::all_of(a.entries, [&](const Mapping::Entry &entry) {
           const Value *other = b.find(entry.first);
           return other && equal(entry.second, *other);
         });
}

bool equal(const Value &a, const Value &b) {
  if (a.isNumber() && b.isNumber())
    return compareNumbers(a, b) == 0;
  if (a.kind() != b.kind())
    return false;
  switch (a.kind()) {
  case Kind::None:
  case Kind::Undefined:
    return true;
  case Kind::Str:
  case Kind::BigInt:
    return a.text() == b.text();
  case Kind::List:
  case Kind::Tuple:
    return a.pointer() == b.pointer() ||
           std::ranges::equal(a.items(), b.items(), equal);
  case Kind::Dict:
    return a.pointer() == b.pointer() || equalDicts(a.mapping(), b.mapping());
  case Kind::Range: {
    const auto &x = a.as<Range>(), &y = b.as<Range>();
    return x.size() == y.size() &&
           (x.size() == 0 ||
            (x.start == y.start && (x.size() == 1 || x.step == y.step)));
  }
  default:
    return a.pointer() == b.pointer();
  }
}

bool less(const Value &a, const Value &b) {
  if (a.isNumber() && b.isNumber())
    return compareNumbers(a, b) == -1;
  if (a.isStr() && b.isStr())
    return a.text() < b.text(); // UTF-8 has the order of code points
  if (a.kind() == b.kind() && (a.is(Kind::List) || a.is(Kind::Tuple))) {
    const auto &x = a.items(), &y = b.items();
    size_t common = std::min(x.size(), y.size());
    for (size_t i = 0; i != common; ++i)
      if (!equal(x[i], y[i]))
        return less(x[i], y[i]);
    return x.size() < y.size();
  }
  for (const Value *value : {&a, &b})
    if (value->is(Kind::Undefined))
      throw Problem{value->text()};
  for (const Value *value : {&a, &b})
    if (value->is(Kind::BigInt))
      throw Problem{fmt::format("the integer {} is beyond 64 bits and cannot "
                                "be compared",
                                value->text())};
  throw Problem{
      fmt::format("{} and {} have no order", typeName(a), typeName(b))};
}

bool truthy(const Value &value) {
  switch (value.kind()) {
  case Kind::Missing:
  case Kind::Undefined:
  case Kind::None:
    return false;
  case Kind::Bool:
  case Kind::Int:
    return value.asInt() != 0;
  case Kind::Float:
    return value.asReal() != 0;
  case Kind::Str:
    return !value.text().empty();
  case Kind::List:
  case Kind::Tuple:
    return !value.items().empty();
  case Kind::Dict:
    return !value.mapping().entries.empty();
  case Kind::View:
    return truthy(value.as<View>().dict);
  case Kind::Range:
    return value.as<Range>().size() != 0;
  default:
    return true;
  }
}

bool hashable(const Value &value) {
  if (value.is(Kind::Tuple))
    return std::ranges::all_of(value.items(), hashable);
  return !value.is(Kind::List) && !value.is(Kind::Dict) &&
         !value.is(Kind::View);
}

void requireHashable(const Value &value) {
  if (!hashable(value))
    throw Problem{
        fmt::format("a {} cannot be the key of a dict", typeName(value))};
}

} // namespace mbc::text::jinja
