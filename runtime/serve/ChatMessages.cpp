//===- ChatMessages.cpp - From a client's messages to a template's --------===//

#include "runtime/core/Text.h"
#include "runtime/serve/CompletionRequest.h"

#include <fmt/format.h>

namespace mbc::serve {

namespace {

/// One message; errors begin with its place.
class Message {
public:
  Message(const Json &message, size_t index)
      : message(message), place(fmt::format("messages[{}]", index)) {}

  ApiResult<Json> read() const;

private:
  tl::unexpected<ApiError> wrong(std::string_view what) const {
    return badRequest(place, fmt::format("{}{}", place, what));
  }
  ApiResult<Json> content(const Json &value) const;
  ApiResult<Json> toolCalls(const Json &value) const;

  const Json &message;
  std::string place;
};

ApiResult<Json> Message::content(const Json &value) const {
  if (value.isString())
    return value;
  if (!value.isArray())
    return wrong(".content is neither a string nor a list of parts");
  std::string text;
  bool first = true;
  for (const Json &part : value.elements()) {
    const Json *type = part.find("type"), *words = part.find("text");
    if (!type || *type != Json("text") || !words || !words->isString())
      return wrong(".content has a part that is not {\"type\": \"text\", "
                   "\"text\": TEXT}; only texts are supported");
    if (!std::exchange(first, false))
      text += '\n';
    text += *words->asString();
  }
  return Json(std::move(text));
}

ApiResult<Json> Message::toolCalls(const Json &value) const {
  if (!value.isArray())
    return wrong(".tool_calls is not a list");
  Json calls = Json::array();
  for (Json call : value.elements()) {
    Json *function = call.find("function");
    Json *arguments = function ? function->find("arguments") : nullptr;
    const Json *name = function ? function->find("name") : nullptr;
    if (!name || !name->isString())
      return wrong(".tool_calls has an entry that is not {\"type\": "
                   "\"function\", \"function\": {\"name\", \"arguments\"}}");
    // Templates print them; a client has them as text.
    if (const std::string *text = arguments ? arguments->asString() : nullptr) {
      auto parsed = Json::parse(*text, "the arguments");
      if (!parsed)
        return wrong(fmt::format(".tool_calls has arguments that are no JSON: "
                                 "{}",
                                 parsed.error().message));
      *arguments = std::move(*parsed);
    }
    calls.push(std::move(call));
  }
  return calls;
}

ApiResult<Json> Message::read() const {
  if (!message.isObject())
    return wrong(" is not an object");
  const Json *role = message.find("role");
  const std::string *name = role ? role->asString() : nullptr;
  if (!name)
    return wrong(" has no role");
  if (*name != "system" && *name != "developer" && *name != "user" &&
      *name != "assistant" && *name != "tool")
    return wrong(fmt::format(".role is {}, expected system, developer, user, "
                             "assistant or tool",
                             quote(*name)));
  Json result = Json::object();
  bool said = false, calls = false;
  for (const auto &[key, value] : message.members()) {
    if (key == "role") {
      result.set(key, *name == "developer" ? "system" : *name);
    } else if (value.isNull()) {
      if (key == "content")
        result.set(key, Json());
    } else if (key == "content") {
      MBC_ASSIGN(Json text, content(value));
      result.set(key, std::move(text));
      said = true;
    } else if (key == "tool_calls" && *name == "assistant") {
      MBC_ASSIGN(Json list, toolCalls(value));
      calls = !list.elements().empty();
      result.set(key, std::move(list));
    } else if (key == "name" || key == "tool_call_id" || key == "refusal" ||
               key == "reasoning_content") {
      if (!value.isString())
        return wrong(fmt::format(".{} is not a string", key));
      result.set(key, value);
    } else {
      return wrong(fmt::format(" has {}, which is not supported for the role "
                               "{}",
                               quote(key), *name));
    }
  }
  if (!said && !calls)
    return wrong(" has no content");
  return result;
}

} // namespace

ApiResult<Json> readMessages(const Json &messages) {
  if (!messages.isArray() || messages.elements().empty())
    return badRequest("messages", "messages is not a list of at least one "
                                  "message");
  Json result = Json::array();
  size_t index = 0;
  for (const Json &message : messages.elements()) {
    MBC_ASSIGN(Json read, Message(message, index++).read());
    result.push(std::move(read));
  }
  return result;
}

} // namespace mbc::serve
