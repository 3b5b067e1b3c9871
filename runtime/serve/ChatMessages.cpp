//===- ChatMessages.cpp - From a client's messages to a template's --------===//

#include "runtime/core/Text.h"
#include "runtime/serve/CompletionRequest.h"
#include "runtime/serve/DataUrl.h"

#include <fmt/format.h>

namespace mbc::serve {

namespace {

/// One message; errors begin with its place.
class Message {
public:
  Message(const Json &message, size_t index, std::vector<std::string> &pictures)
      : message(message), place(fmt::format("messages[{}]", index)),
        pictures(pictures) {}

  ApiResult<Json> read();

private:
  tl::unexpected<ApiError> wrong(std::string_view what) const {
    return badRequest(place, fmt::format("{}{}", place, what));
  }
  ApiResult<Json> content(const Json &value);
  ApiResult<void> takePicture(const Json &part);
  ApiResult<Json> toolCalls(const Json &value) const;

  const Json &message;
  std::string place;
  std::vector<std::string> &pictures; ///< files of the whole conversation
};

/// Of {"type": "image_url", "image_url": {"url", "detail"}}.
ApiResult<void> Message::takePicture(const Json &part) {
  const Json *image = part.find("image_url");
  const Json *url = image && image->isObject() ? image->find("url") : image;
  if (!url || !url->isString())
    return wrong(".content has a picture that is not {\"type\": "
                 "\"image_url\", \"image_url\": {\"url\": URL}}");
  const Json *detail = image->find("detail");
  if (detail && !detail->isNull() && *detail != Json("auto") &&
      *detail != Json("high"))
    return wrong(fmt::format(".content has a picture with detail {}; expected "
                             "auto or high: pictures are not made smaller than "
                             "the model's processor makes them",
                             quote(detail->dumpCompact())));
  auto bytes = readPictureUrl(*url->asString());
  if (!bytes)
    return wrong(fmt::format(".content has a picture whose URL {}",
                             bytes.error().message));
  pictures.push_back(std::move(*bytes));
  return {};
}

ApiResult<Json> Message::content(const Json &value) {
  if (value.isString())
    return value;
  if (!value.isArray())
    return wrong(".content is neither a string nor a list of parts");
  std::string text;
  Json parts = Json::array();
  size_t before = pictures.size();
  for (const Json &part : value.elements()) {
    const Json *type = part.find("type"), *words = part.find("text");
    if (type && *type == Json("image_url")) {
      MBC_TRY(takePicture(part));
      parts.push(Json::object({{"type", "image"}}));
      continue;
    }
    if (!type || *type != Json("text") || !words || !words->isString())
      return wrong(".content has a part that is neither {\"type\": \"text\", "
                   "\"text\": TEXT} nor {\"type\": \"image_url\", "
                   "\"image_url\": {\"url\": URL}}; only texts and pictures "
                   "are supported");
    if (!parts.elements().empty())
      text += '\n';
    text += *words->asString();
    parts.push(Json::object({{"type", "text"}, {"text", *words}}));
  }
  if (pictures.size() > before)
    return parts;
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

ApiResult<Json> Message::read() {
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

ApiResult<Json> readMessages(const Json &messages,
                             std::vector<std::string> &pictures) {
  if (!messages.isArray() || messages.elements().empty())
    return badRequest("messages", "messages is not a list of at least one "
                                  "message");
  Json result = Json::array();
  size_t index = 0;
  for (const Json &message : messages.elements()) {
    MBC_ASSIGN(Json read, Message(message, index++, pictures).read());
    result.push(std::move(read));
  }
  return result;
}

} // namespace mbc::serve
