//===- Json.h - JSON values that keep order and spelling --------*- C++ -*-===//
#pragma once

#include "runtime/core/Error.h"

#include <concepts>
#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace mbc {

/// A JSON value. Objects keep the order of their members; a number keeps the
/// exact text it was read from, so that writing a value back changes nothing
/// but white space and escapes.
class Json {
public:
  enum class Kind { Null, Bool, Number, String, Array, Object };
  using Member = std::pair<std::string, Json>;

  Json() = default;
  Json(std::nullptr_t) {}
  // A template, so that no pointer converts to bool and lands here.
  template <std::same_as<bool> T> Json(T flag) : value(flag) {}
  Json(std::string text) : value(std::move(text)) {}
  Json(std::string_view text) : value(std::string(text)) {}
  Json(const char *text) : value(std::string(text)) {}
  template <std::integral T>
    requires(!std::same_as<T, bool>)
  Json(T number) : value(Number{std::to_string(number)}) {}
  /// Spelled as Python's repr does; JSON has no spelling for a number that is
  /// not finite, which becomes null.
  Json(double number);
  static Json array(std::vector<Json> elements = {});
  static Json object(std::vector<Member> members = {});

  /// Parses a whole text, strictly (see JsonReader); duplicate keys are
  /// refused by name. Errors are Input errors that start with `name`.
  static Expected<Json> parse(std::string_view text, std::string_view name);
  /// Reads and parses a file of at most `limit` bytes.
  static Expected<Json> parseFile(const std::filesystem::path &path,
                                  uint64_t limit = 64u << 20);

  Kind kind() const { return static_cast<Kind>(value.index()); }
  bool isNull() const { return kind() == Kind::Null; }
  bool isBool() const { return kind() == Kind::Bool; }
  bool isNumber() const { return kind() == Kind::Number; }
  bool isString() const { return kind() == Kind::String; }
  bool isArray() const { return kind() == Kind::Array; }
  bool isObject() const { return kind() == Kind::Object; }

  /// None when the value is of another kind.
  std::optional<bool> asBool() const;
  /// None also for a fraction, an exponent, or beyond int64.
  std::optional<int64_t> asInt() const;
  /// None also beyond the range of double. The nearest double otherwise.
  std::optional<double> asDouble() const;
  /// Null when the value is of another kind.
  const std::string *asString() const;
  /// The exact spelling of a number; empty when the value is none.
  std::string_view numberText() const;

  /// Elements of an array; empty when the value is none.
  const std::vector<Json> &elements() const;
  /// Members of an object in order; empty when the value is none.
  const std::vector<Member> &members() const;
  /// Member of an object, or null.
  const Json *find(std::string_view key) const;
  Json *find(std::string_view key);

  /// Replaces the member in its place, or appends it. A null becomes an object.
  Json &set(std::string_view key, Json member);
  /// Removes a member; whether there was one.
  bool erase(std::string_view key);
  /// Appends an element. A null becomes an array.
  Json &push(Json element);

  /// Equal values: numbers by value (1e2 == 100), objects in any order.
  bool operator==(const Json &other) const;

  /// The layout of Python's json.dumps(indent=indent, ensure_ascii=False),
  /// without a newline at the end.
  std::string dump(unsigned indent = 2) const;
  /// One line without spaces: json.dumps(separators=(",", ":")).
  std::string dumpCompact() const;

private:
  struct Number {
    std::string text;
  };
  using Array = std::vector<Json>;
  using Object = std::vector<Member>;
  friend class JsonBuilder;

  // In the order of Kind.
  std::variant<std::monostate, bool, Number, std::string, Array, Object> value;
};

/// Appends `text` as a JSON string, quotes included, as Python's json does with
/// ensure_ascii=False.
void appendJsonString(std::string &out, std::string_view text);

/// "an object", for messages.
std::string_view kindText(Json::Kind kind);

} // namespace mbc
