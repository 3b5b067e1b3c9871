//===- Field.cpp ----------------------------------------------------------===//
#include "runtime/text/Field.h"

#include "runtime/core/Text.h"

#include <fmt/format.h>

namespace mbc::text {

static const Json absent;

Field Field::at(std::string_view key) const {
  const Json *member = value->find(key);
  std::string where = place + (place.ends_with(": ") ? "" : ".");
  return Field(member ? *member : absent, where + std::string(key));
}

Expected<std::vector<Field>> Field::elements() const {
  if (!value->isArray())
    return expected("an array");
  std::vector<Field> result;
  for (size_t i = 0; i < value->elements().size(); ++i)
    result.emplace_back(value->elements()[i], fmt::format("{}[{}]", place, i));
  return result;
}

Failure Field::fail(std::string_view what) const {
  return inputError(place + (place.ends_with(' ') ? "" : " ") +
                    std::string(what));
}

Failure Field::expected(std::string_view what) const {
  if (isNull())
    return fail(fmt::format("is missing; expected {}", what));
  return fail(fmt::format("is {}; expected {}", kindText(value->kind()), what));
}

Expected<std::string> Field::text() const {
  if (const std::string *found = value->asString())
    return *found;
  return expected("a text");
}

Expected<std::string> Field::text(std::string_view fallback) const {
  if (isNull())
    return std::string(fallback);
  return text();
}

Expected<bool> Field::boolean(bool fallback) const {
  if (isNull())
    return fallback;
  if (auto found = value->asBool())
    return *found;
  return expected("true or false");
}

Expected<int32_t> Field::id() const {
  auto number = value->asInt();
  if (!number || *number < 0 || *number > INT32_MAX)
    return expected("a token id, a number from 0 on");
  return static_cast<int32_t>(*number);
}

Expected<std::string> Field::character() const {
  MBC_ASSIGN(std::string found, text());
  if (found.empty() || utf8Length(found) != found.size())
    return fail(fmt::format("is {}; expected one character", quote(found)));
  return found;
}

Expected<std::string> Field::type() const {
  if (!value->isObject())
    return expected("an object with a 'type'");
  return at("type").text();
}

Failure Field::unknownType(std::string_view kind,
                           std::string_view known) const {
  const std::string *type = at("type").json().asString();
  return fail(fmt::format("is a {}, which is no {} that mbc computes; it knows "
                          "{}",
                          quote(type ? *type : ""), kind, known));
}

} // namespace mbc::text
