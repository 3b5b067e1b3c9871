//===- CompletionFields.cpp -----------------------------------------------===//
#include "runtime/serve/CompletionFields.h"

#include "runtime/core/Text.h"

#include <algorithm>
#include <fmt/format.h>

namespace mbc::serve {

tl::unexpected<ApiError> wrongValue(std::string_view name, const Json &value,
                                    std::string_view expected) {
  // Large values are not repeated.
  std::string shown = value.isArray() || value.isObject()
                          ? std::string(kindText(value.kind()))
                          : quote(value.dumpCompact());
  return badRequest(std::string(name), fmt::format("{} is {}, expected {}",
                                                   name, shown, expected));
}

const Json *CompletionFields::find(std::string_view name) {
  known.push_back(name);
  const Json *value = object.find(name);
  return value && !value->isNull() ? value : nullptr;
}

ApiResult<std::optional<bool>> CompletionFields::flag(std::string_view name) {
  const Json *value = find(name);
  if (value && !value->isBool())
    return wrongValue(name, *value, "true or false");
  return value ? value->asBool() : std::nullopt;
}

ApiResult<std::optional<int64_t>>
CompletionFields::whole(std::string_view name, int64_t least, int64_t most) {
  const Json *value = find(name);
  if (!value)
    return std::nullopt;
  std::optional<int64_t> number = value->asInt();
  if (number && *number >= least && *number <= most)
    return number;
  return wrongValue(
      name, *value,
      most == INT64_MAX
          ? fmt::format("a whole number from {} on", least)
          : fmt::format("a whole number from {} to {}", least, most));
}

ApiResult<std::optional<double>>
CompletionFields::number(std::string_view name, double least, double most) {
  const Json *value = find(name);
  if (!value)
    return std::nullopt;
  std::optional<double> number = value->asDouble();
  if (number && *number >= least && *number <= most)
    return number;
  return wrongValue(name, *value,
                    fmt::format("a number from {} to {}", least, most));
}

ApiResult<std::optional<std::string>>
CompletionFields::text(std::string_view name) {
  const Json *value = find(name);
  if (!value)
    return std::nullopt;
  const std::string *text = value->asString();
  if (!text)
    return wrongValue(name, *value, "a string");
  return *text;
}

ApiResult<std::vector<int32_t>> readTokenIds(const Json &list,
                                             std::string_view name) {
  if (!list.isArray())
    return wrongValue(name, list, "a list of token ids");
  std::vector<int32_t> ids;
  ids.reserve(list.elements().size());
  for (const Json &item : list.elements()) {
    std::optional<int64_t> id = item.asInt();
    if (!id || *id < 0 || *id > INT32_MAX)
      return wrongValue(name, item, "token ids: whole numbers from 0 on");
    ids.push_back(static_cast<int32_t>(*id));
  }
  return ids;
}

ApiResult<std::vector<int32_t>>
CompletionFields::tokens(std::string_view name) {
  const Json *value = find(name);
  if (!value)
    return std::vector<int32_t>();
  return readTokenIds(*value, name);
}

void CompletionFields::ignore(std::initializer_list<std::string_view> names) {
  known.insert(known.end(), names);
}

ApiResult<void> CompletionFields::refuse(std::string_view name,
                                         std::initializer_list<Json> neutral) {
  const Json *value = find(name);
  if (!value || std::ranges::find(neutral, *value) != neutral.end())
    return {};
  std::string expected;
  for (const Json &item : neutral)
    expected += (expected.empty() ? "" : " or ") + item.dumpCompact();
  return badRequest(
      std::string(name),
      fmt::format("{} is not supported here; leave it out{}", name,
                  expected.empty() ? "" : ", or set it to " + expected));
}

ApiResult<void> CompletionFields::finish() const {
  for (const Json::Member &member : object.members())
    if (std::ranges::find(known, member.first) == known.end())
      return badRequest(
          member.first,
          fmt::format("unknown field {} in the request", quote(member.first)));
  return {};
}

} // namespace mbc::serve
