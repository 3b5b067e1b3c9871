//===- Json.cpp - JSON values that keep order and spelling ----------------===//

#include "runtime/core/Json.h"
#include "runtime/core/File.h"
#include "runtime/core/JsonReader.h"
#include "runtime/core/Text.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fmt/format.h>
#include <unordered_set>

namespace mbc {

//===----------------------------------------------------------------------===//
// Building
//===----------------------------------------------------------------------===//

Json::Json(double number) {
  if (!std::isfinite(number))
    return;
  // fmt's shortest form has Python's thresholds for the exponent, but leaves
  // out the ".0" of whole numbers.
  std::string text = fmt::format("{}", number);
  if (text.find_first_of(".e") == std::string::npos)
    text += ".0";
  value = Number{std::move(text)};
}

Json Json::array(std::vector<Json> elements) {
  Json json;
  json.value = std::move(elements);
  return json;
}

Json Json::object(std::vector<Member> members) {
  Json json;
  json.value = std::move(members);
  return json;
}

Json &Json::set(std::string_view key, Json member) {
  if (isNull())
    value = Object();
  if (Json *old = find(key))
    return *old = std::move(member);
  return std::get<Object>(value)
      .emplace_back(std::string(key), std::move(member))
      .second;
}

bool Json::erase(std::string_view key) {
  auto *object = std::get_if<Object>(&value);
  return object && std::erase_if(*object, [&](const Member &member) {
                     return member.first == key;
                   }) > 0;
}

Json &Json::push(Json element) {
  if (isNull())
    value = Array();
  return std::get<Array>(value).emplace_back(std::move(element));
}

//===----------------------------------------------------------------------===//
// Access
//===----------------------------------------------------------------------===//

std::optional<bool> Json::asBool() const {
  if (auto *flag = std::get_if<bool>(&value))
    return *flag;
  return std::nullopt;
}

std::optional<int64_t> Json::asInt() const {
  std::string_view text = numberText();
  int64_t number = 0;
  auto [stop, error] =
      std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || error != std::errc() || stop != text.data() + text.size())
    return std::nullopt;
  return number;
}

std::optional<double> Json::asDouble() const {
  std::string_view text = numberText();
  if (text.empty())
    return std::nullopt;
  double number = 0;
  auto [stop, error] =
      std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc())
    return number;
  // Out of range is an underflow or an overflow; strtod tells which, and gives
  // the subnormal or zero of the former.
  number = std::strtod(std::string(text).c_str(), nullptr);
  if (!std::isfinite(number))
    return std::nullopt;
  return number;
}

const std::string *Json::asString() const {
  return std::get_if<std::string>(&value);
}

std::string_view Json::numberText() const {
  auto *number = std::get_if<Number>(&value);
  return number ? std::string_view(number->text) : std::string_view();
}

const std::vector<Json> &Json::elements() const {
  static const Array none;
  auto *array = std::get_if<Array>(&value);
  return array ? *array : none;
}

const std::vector<Json::Member> &Json::members() const {
  static const Object none;
  auto *object = std::get_if<Object>(&value);
  return object ? *object : none;
}

const Json *Json::find(std::string_view key) const {
  for (const Member &member : members())
    if (member.first == key)
      return &member.second;
  return nullptr;
}

Json *Json::find(std::string_view key) {
  return const_cast<Json *>(std::as_const(*this).find(key));
}

std::string_view kindText(Json::Kind kind) {
  static constexpr std::string_view names[] = {
      "null", "a boolean", "a number", "a string", "an array", "an object"};
  return names[static_cast<size_t>(kind)];
}

//===----------------------------------------------------------------------===//
// Equality
//===----------------------------------------------------------------------===//

/// Integers of any length by their digits, others as doubles.
static bool equalNumbers(const Json &a, const Json &b) {
  if (a.numberText() == b.numberText())
    return true;
  auto isInteger = [](const Json &json) {
    return json.numberText().find_first_of(".eE") == std::string_view::npos;
  };
  auto isZero = [](const Json &json) { return json.asInt() == 0; };
  if (isInteger(a) && isInteger(b))
    return isZero(a) && isZero(b); // -0 and 0
  auto x = a.asDouble(), y = b.asDouble();
  return x && y && *x == *y;
}

bool Json::operator==(const Json &other) const {
  if (kind() != other.kind())
    return false;
  switch (kind()) {
  case Kind::Null:
    return true;
  case Kind::Bool:
    return asBool() == other.asBool();
  case Kind::Number:
    return equalNumbers(*this, other);
  case Kind::String:
    return *asString() == *other.asString();
  case Kind::Array:
    return elements() == other.elements();
  case Kind::Object:
    return members().size() == other.members().size() &&
           std::ranges::all_of(members(), [&](const Member &member) {
             const Json *peer = other.find(member.first);
             return peer && *peer == member.second;
           });
  }
  return false;
}

//===----------------------------------------------------------------------===//
// Parsing
//===----------------------------------------------------------------------===//

class JsonBuilder {
public:
  explicit JsonBuilder(JsonReader &reader) : reader(reader) {}

  Status build(Json &out) {
    MBC_ASSIGN(auto kind, reader.peek());
    switch (kind) {
    case JsonReader::Kind::Null:
      out.value = std::monostate();
      return reader.readNull();
    case JsonReader::Kind::Bool: {
      MBC_ASSIGN(out.value, reader.readBool());
      return {};
    }
    case JsonReader::Kind::Number: {
      MBC_ASSIGN(auto text, reader.readNumber());
      out.value = Json::Number{std::string(text)};
      return {};
    }
    case JsonReader::Kind::String: {
      MBC_ASSIGN(auto text, reader.readString());
      out.value = std::string(text);
      return {};
    }
    case JsonReader::Kind::Array:
      return buildArray(out.value.emplace<Json::Array>());
    case JsonReader::Kind::Object:
      return buildObject(out.value.emplace<Json::Object>());
    }
    return {};
  }

private:
  Status buildArray(Json::Array &array) {
    return reader.readArray([&] { return build(array.emplace_back()); });
  }

  Status buildObject(Json::Object &object) {
    // A set only once the object is large: most have a few members.
    std::unordered_set<std::string> seen;
    return reader.readObject([&](std::string_view key) -> Status {
      if (object.size() == smallObject)
        for (const Json::Member &member : object)
          seen.insert(member.first);
      bool duplicate =
          object.size() < smallObject
              ? std::ranges::any_of(
                    object, [&](auto &m) { return m.first == key; })
              : !seen.emplace(key).second;
      if (duplicate)
        return reader.fail(fmt::format("duplicate key {}", quote(key)));
      return build(object.emplace_back(std::string(key), Json()).second);
    });
  }

  static constexpr size_t smallObject = 32;
  JsonReader &reader;
};

Expected<Json> Json::parse(std::string_view text, std::string_view name) {
  JsonReader reader(text, name);
  Json json;
  MBC_TRY(JsonBuilder(reader).build(json));
  MBC_TRY(reader.finish());
  return json;
}

Expected<Json> Json::parseFile(const std::filesystem::path &path,
                               uint64_t limit) {
  MBC_ASSIGN(std::string text, readWholeFile(path, limit));
  return parse(text, path.string());
}

//===----------------------------------------------------------------------===//
// Writing
//===----------------------------------------------------------------------===//

void appendJsonString(std::string &out, std::string_view text) {
  out += '"';
  for (char c : text) {
    switch (c) {
    case '"':
      out += "\\\"";
      break;
    case '\\':
      out += "\\\\";
      break;
    case '\n':
      out += "\\n";
      break;
    case '\r':
      out += "\\r";
      break;
    case '\t':
      out += "\\t";
      break;
    case '\b':
      out += "\\b";
      break;
    case '\f':
      out += "\\f";
      break;
    default:
      if (static_cast<unsigned char>(c) < 0x20)
        out += fmt::format("\\u{:04x}", c);
      else
        out += c;
    }
  }
  out += '"';
}

namespace {
/// `indent` < 0: on one line, without spaces.
struct Writer {
  std::string &out;
  int indent;

  void newline(size_t level) {
    if (indent < 0)
      return;
    out += '\n';
    out.append(level * static_cast<size_t>(indent), ' ');
  }

  void write(const Json &json, size_t level) {
    switch (json.kind()) {
    case Json::Kind::Null:
      out += "null";
      break;
    case Json::Kind::Bool:
      out += json.asBool() == true ? "true" : "false";
      break;
    case Json::Kind::Number:
      out += json.numberText();
      break;
    case Json::Kind::String:
      appendJsonString(out, *json.asString());
      break;
    case Json::Kind::Array:
      writeList('[', json.elements(), ']', level,
                [&](const Json &element) { write(element, level + 1); });
      break;
    case Json::Kind::Object:
      writeList('{', json.members(), '}', level,
                [&](const Json::Member &member) {
                  appendJsonString(out, member.first);
                  out += indent < 0 ? ":" : ": ";
                  write(member.second, level + 1);
                });
      break;
    }
  }

  template <typename List, typename Fn>
  void writeList(char open, const List &list, char close, size_t level,
                 Fn writeOne) {
    out += open;
    bool first = true;
    for (const auto &entry : list) {
      if (!first)
        out += ',';
      first = false;
      newline(level + 1);
      writeOne(entry);
    }
    if (!first)
      newline(level);
    out += close;
  }
};
} // namespace

std::string Json::dump(unsigned indent) const {
  std::string out;
  Writer{out, static_cast<int>(indent)}.write(*this, 0);
  return out;
}

std::string Json::dumpCompact() const {
  std::string out;
  Writer{out, -1}.write(*this, 0);
  return out;
}

} // namespace mbc
