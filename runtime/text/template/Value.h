//===- Value.h - The values of a template -----------------------*- C++ -*-===//
//
// Python's values, as far as templates see them. Values are shared and do not
// change, but for namespaces and what iterates.
//
//===----------------------------------------------------------------------===//
#pragma once

#include "runtime/core/Json.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mbc::text::jinja {

/// Why a template cannot go on. Thrown inside of this library alone: parse and
/// render return it as an Error, with the place.
struct Problem {
  std::string message;
};

enum class Kind : uint8_t {
  Missing, ///< no value at all: never seen by a template
  Undefined,
  None,
  Bool,
  Int,
  BigInt, ///< an integer beyond 64 bits, which can only be printed
  Float,
  Str,
  List,
  Tuple,
  Dict,
  View, ///< dict.keys(), values(), items()
  Range,
  Iterator,
  Namespace,
  Macro,
  Function,
  Method,
  Loop,
  Cycler,
  Joiner,
};

/// What a value refers to.
struct Object {
  virtual ~Object() = default;
  /// How many objects are inside of each other. Bounded where objects are made,
  /// so that walking and freeing them needs a bounded stack.
  unsigned depth = 0;
};
constexpr unsigned valueDepthLimit = 200;

struct Text;
struct Sequence;
struct Mapping;

class Value {
public:
  Value() = default;
  static Value none() { return Value(Kind::None); }
  static Value boolean(bool flag);
  static Value integer(int64_t number);
  static Value real(double number);
  /// `text` is valid UTF-8.
  static Value str(std::string text, bool markup = false);
  static Value bigInt(std::string digits);
  static Value list(std::vector<Value> items);
  static Value tuple(std::vector<Value> items);
  /// `hint` is the message of an error about its use.
  static Value undefined(std::string hint);
  /// Numbers with a fraction or an exponent are floats.
  static Value fromJson(const Json &json, unsigned depth = 0);
  /// Checks the depth of `object`.
  static Value of(Kind kind, std::shared_ptr<Object> object);

  Kind kind() const { return tag; }
  bool is(Kind other) const { return tag == other; }
  bool isStr() const { return tag == Kind::Str; }
  /// A str that HTML's escape leaves as it is.
  bool isMarkup() const { return tag == Kind::Str && markup; }
  /// Bool, Int: Python's bool is an int.
  bool isInteger() const { return tag == Kind::Bool || tag == Kind::Int; }
  bool isNumber() const { return isInteger() || tag == Kind::Float; }

  bool asBool() const { return bits.number != 0; }
  /// Of Bool and Int.
  int64_t asInt() const { return bits.number; }
  /// Of Bool, Int and Float.
  double asReal() const {
    return tag == Kind::Float ? bits.real : double(bits.number);
  }
  /// Of Str, BigInt and Undefined (its hint).
  const std::string &text() const;
  /// Of List and Tuple.
  const std::vector<Value> &items() const;
  /// Of Dict.
  const Mapping &mapping() const;
  template <typename T> T &as() const { return static_cast<T &>(*object); }
  const std::shared_ptr<Object> &pointer() const { return object; }
  unsigned depth() const { return object ? object->depth : 0; }

private:
  explicit Value(Kind kind) : tag(kind) {}

  Kind tag = Kind::Missing;
  bool markup = false;
  union {
    int64_t number;
    double real;
  } bits = {0};
  std::shared_ptr<Object> object;
};

struct Text : Object {
  explicit Text(std::string bytes) : bytes(std::move(bytes)) {}
  std::string bytes;
};

struct Sequence : Object {
  std::vector<Value> items;
  /// A tuple of the groupby filter, whose items have names.
  bool group = false;
};

/// A dict: in the order of insertion.
struct Mapping : Object {
  using Entry = std::pair<Value, Value>;
  std::vector<Entry> entries;

  const Value *find(const Value &key) const;
  const Value *find(std::string_view key) const;
  /// Replaces the value, not the key, of an equal key.
  void set(Value key, Value value);
};

struct View : Object {
  enum class Part { Keys, Values, Items };
  Part part;
  Value dict;
};

struct Range : Object {
  int64_t start, stop, step;
  int64_t size() const;
  int64_t at(int64_t index) const { return start + index * step; }
};

struct Namespace : Object {
  Mapping attributes;
};

struct Cycler : Object {
  std::vector<Value> items;
  size_t position = 0;
};

struct Joiner : Object {
  std::string separator;
  bool used = false;
};

/// A method of a value, not yet called.
struct Method : Object {
  Value self;
  std::string name;
};

/// "a str", "a list", ...: Python's name of the type, for messages.
std::string_view typeName(const Value &value);

/// Python's ==.
bool equal(const Value &a, const Value &b);
/// Python's <, for numbers, texts, lists and tuples; a Problem for others.
bool less(const Value &a, const Value &b);
/// Python's bool().
bool truthy(const Value &value);
/// A Problem where Python's hash() refuses.
void requireHashable(const Value &value);
bool hashable(const Value &value);

} // namespace mbc::text::jinja
