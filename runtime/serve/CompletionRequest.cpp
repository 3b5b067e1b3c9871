//===- CompletionRequest.cpp ----------------------------------------------===//
#include "runtime/serve/CompletionRequest.h"

#include "runtime/core/Text.h"
#include "runtime/serve/CompletionFields.h"

#include <algorithm>
#include <fmt/format.h>

namespace mbc::serve {

/// Divided by less, logits leave the range of their type; it is the most
/// probable token by then.
constexpr double leastTemperature = 1e-5;

static ApiResult<std::vector<PromptValue>> readPrompts(const Json &value) {
  auto wrong = [&](const Json &what) {
    return wrongValue("prompt", what,
                      "a string, a list of strings, a list of token ids, or a "
                      "list of such lists");
  };
  std::vector<PromptValue> prompts;
  if (const std::string *text = value.asString()) {
    prompts.emplace_back(*text);
    return prompts;
  }
  if (!value.isArray())
    return wrong(value);
  const std::vector<Json> &items = value.elements();
  if (items.empty())
    return badRequest("prompt", "prompt is an empty list");
  if (items.front().isNumber()) {
    MBC_ASSIGN(auto ids, readTokenIds(value, "prompt"));
    prompts.emplace_back(std::move(ids));
    return prompts;
  }
  for (const Json &item : items) {
    if (item.kind() != items.front().kind())
      return badRequest("prompt", "prompt is a list of different kinds");
    if (const std::string *text = item.asString()) {
      prompts.emplace_back(*text);
    } else if (item.isArray()) {
      MBC_ASSIGN(auto ids, readTokenIds(item, "prompt"));
      prompts.emplace_back(std::move(ids));
    } else {
      return wrong(item);
    }
  }
  return prompts;
}

static ApiResult<std::vector<std::string>> readStops(CompletionFields &fields) {
  std::vector<std::string> stops;
  const Json *value = fields.find("stop");
  if (!value)
    return stops;
  std::vector<Json> items =
      value->isArray() ? value->elements() : std::vector{*value};
  if (items.size() > mostStops)
    return badRequest("stop", fmt::format("stop has {} texts, expected {} at "
                                          "most",
                                          items.size(), mostStops));
  for (const Json &item : items) {
    const std::string *text = item.asString();
    if (!text)
      return wrongValue("stop", item, "a string, or a list of strings");
    if (text->empty() || text->size() > mostStopBytes)
      return badRequest("stop",
                        fmt::format("a text of stop has {} bytes, expected "
                                    "1 to {}",
                                    text->size(), mostStopBytes));
    stops.push_back(*text);
  }
  return stops;
}

static ApiResult<void> readSampling(CompletionFields &fields,
                                    generate::SamplingSettings &sampling) {
  MBC_ASSIGN(sampling.temperature, fields.number("temperature", 0, 2));
  if (sampling.temperature && *sampling.temperature < leastTemperature)
    sampling.temperature = 0;
  MBC_ASSIGN(sampling.topP, fields.number("top_p", 0, 1));
  if (sampling.topP && *sampling.topP == 0)
    return badRequest("top_p", "top_p is 0, expected a number above 0, at "
                               "most 1");
  MBC_ASSIGN(sampling.minP, fields.number("min_p", 0, 1));
  MBC_ASSIGN(sampling.repetitionPenalty,
             fields.number("repetition_penalty", 0.01, 100));
  MBC_ASSIGN(auto topK, fields.whole("top_k", -1, INT32_MAX));
  if (topK) // -1, and 0: all
    sampling.topK = static_cast<uint64_t>(std::max<int64_t>(*topK, 0));
  MBC_ASSIGN(auto seed, fields.whole("seed", INT64_MIN, INT64_MAX));
  if (seed)
    sampling.seed = static_cast<uint64_t>(*seed);
  sampling.sample = sampling.temperature != 0.0;
  return {};
}

static ApiResult<void> readStreaming(CompletionFields &fields,
                                     CompletionRequest &request) {
  MBC_ASSIGN(auto stream, fields.flag("stream"));
  request.stream = stream.value_or(false);
  const Json *options = fields.find("stream_options");
  if (!options)
    return {};
  if (!options->isObject())
    return wrongValue("stream_options", *options, "an object");
  if (!request.stream)
    return badRequest("stream_options",
                      "stream_options is given, and stream is not true");
  CompletionFields inner(*options);
  MBC_ASSIGN(auto usage, inner.flag("include_usage"));
  request.includeUsage = usage.value_or(false);
  inner.ignore({"include_obfuscation"});
  return inner.finish();
}

/// What both endpoints have.
static ApiResult<void> readShared(CompletionFields &fields,
                                  CompletionRequest &request) {
  MBC_ASSIGN(request.model, fields.text("model"));
  MBC_ASSIGN(auto choices, fields.whole("n", 1, mostChoices));
  request.choices = choices.value_or(1);
  MBC_TRY(readSampling(fields, request.sampling));
  MBC_ASSIGN(request.stop, readStops(fields));
  MBC_ASSIGN(request.stopTokens, fields.tokens("stop_token_ids"));
  MBC_ASSIGN(auto ignoreEos, fields.flag("ignore_eos"));
  request.ignoreEos = ignoreEos.value_or(false);
  MBC_TRY(readStreaming(fields, request));
  MBC_TRY(fields.refuse("frequency_penalty", {Json(0)}));
  MBC_TRY(fields.refuse("presence_penalty", {Json(0)}));
  MBC_TRY(fields.refuse("logit_bias", {Json::object()}));
  fields.ignore({"user"});
  return {};
}

static ApiResult<void> readText(CompletionFields &fields,
                                CompletionRequest &request) {
  const Json *prompt = fields.find("prompt");
  if (!prompt)
    return badRequest("prompt", "prompt is missing");
  MBC_ASSIGN(request.prompts, readPrompts(*prompt));
  MBC_ASSIGN(auto most, fields.whole("max_tokens", 1, INT64_MAX));
  request.maxTokens = most.value_or(16); // OpenAI's
  MBC_ASSIGN(auto logprobs, fields.whole("logprobs", 0, mostLogprobs));
  request.logprobs = static_cast<int32_t>(logprobs.value_or(-1));
  MBC_ASSIGN(auto echo, fields.flag("echo"));
  request.echo = echo.value_or(false);
  if (request.echo && request.logprobs >= 0)
    return badRequest("echo", "echo is true and logprobs is given, which would "
                              "ask for those of the prompt: not supported "
                              "here; leave one of them out");
  MBC_TRY(fields.refuse("suffix", {Json("")}));
  // As many as are returned is no choice of the best.
  return fields.refuse("best_of", {Json(request.choices)});
}

static ApiResult<void> readTools(CompletionFields &fields, Json &variables) {
  const Json *tools = fields.find("tools"),
             *choice = fields.find("tool_choice");
  if (tools) {
    if (!tools->isArray())
      return wrongValue("tools", *tools, "a list of tools");
    for (const Json &tool : tools->elements()) {
      const Json *type = tool.find("type"), *function = tool.find("function");
      const Json *name = function ? function->find("name") : nullptr;
      if (!type || *type != Json("function") || !name || !name->isString())
        return badRequest("tools", "tools has an entry that is not {\"type\": "
                                   "\"function\", \"function\": {\"name\", "
                                   "...}}");
    }
  }
  bool none = false;
  if (choice) {
    none = *choice == Json("none");
    if (!none && *choice != Json("auto"))
      return badRequest("tool_choice",
                        "tool_choice is supported as \"auto\" and \"none\": "
                        "the model is told of its tools and not made to use "
                        "one");
  }
  // A template tells null from an empty list.
  variables.set("tools",
                tools && !none && !tools->elements().empty() ? *tools : Json());
  return {};
}

static ApiResult<void> readVariables(CompletionFields &fields,
                                     Json &variables) {
  const Json *given = fields.find("chat_template_kwargs");
  if (!given)
    return {};
  if (!given->isObject())
    return wrongValue("chat_template_kwargs", *given, "an object");
  for (const auto &[name, value] : given->members()) {
    if (name == "messages" || name == "tools" ||
        name == "add_generation_prompt")
      return badRequest("chat_template_kwargs",
                        fmt::format("chat_template_kwargs has {}, which is not "
                                    "set there",
                                    quote(name)));
    variables.set(name, value);
  }
  return {};
}

static ApiResult<void> readChat(CompletionFields &fields,
                                CompletionRequest &request) {
  const Json *messages = fields.find("messages");
  if (!messages)
    return badRequest("messages", "messages is missing");
  MBC_ASSIGN(request.messages, readMessages(*messages, request.pictures));
  MBC_ASSIGN(auto most, fields.whole("max_tokens", 1, INT64_MAX));
  MBC_ASSIGN(request.maxTokens,
             fields.whole("max_completion_tokens", 1, INT64_MAX));
  if (most && request.maxTokens && *most != *request.maxTokens)
    return badRequest("max_tokens",
                      fmt::format("max_tokens is {} and max_completion_tokens "
                                  "is {}; give one",
                                  *most, *request.maxTokens));
  if (most)
    request.maxTokens = most;
  MBC_ASSIGN(auto logprobs, fields.flag("logprobs"));
  MBC_ASSIGN(auto best, fields.whole("top_logprobs", 0, mostLogprobs));
  if (best && !logprobs.value_or(false))
    return badRequest("top_logprobs",
                      "top_logprobs is given, and logprobs is not true");
  if (logprobs.value_or(false))
    request.logprobs = static_cast<int32_t>(best.value_or(0));
  MBC_TRY(readTools(fields, request.variables));
  MBC_TRY(readVariables(fields, request.variables));
  MBC_TRY(fields.refuse("response_format", {Json::object({{"type", "text"}})}));
  MBC_TRY(fields.refuse("modalities", {Json::array({"text"})}));
  MBC_TRY(fields.refuse("functions", {Json::array()}));
  for (const char *name : {"audio", "function_call", "reasoning_effort",
                           "verbosity", "web_search_options", "moderation"})
    MBC_TRY(fields.refuse(name, {}));
  MBC_TRY(fields.refuse("store", {Json(false)}));
  fields.ignore({"metadata", "parallel_tool_calls", "prediction",
                 "prompt_cache_key", "prompt_cache_options",
                 "prompt_cache_retention", "safety_identifier",
                 "service_tier"});
  return {};
}

ApiResult<CompletionRequest> CompletionRequest::parse(std::string_view body,
                                                      bool chat) {
  auto json = Json::parse(body, "the body of the request");
  if (!json)
    return tl::unexpected(toApi(json.error()));
  if (!json->isObject())
    return badRequest("", fmt::format("the body of the request is {}, expected "
                                      "an object",
                                      kindText(json->kind())));
  CompletionFields fields(*json);
  CompletionRequest request;
  request.chat = chat;
  MBC_TRY(readShared(fields, request));
  MBC_TRY(chat ? readChat(fields, request) : readText(fields, request));
  MBC_TRY(fields.finish());
  return request;
}

} // namespace mbc::serve
