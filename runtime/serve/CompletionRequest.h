//===- CompletionRequest.h - What a client asks for -------------*- C++ -*-===//
#pragma once

#include "runtime/generate/GenerationConfig.h"
#include "runtime/serve/ApiError.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace mbc::serve {

/// Most choices of a prompt, end texts, and best tokens, that may be asked for.
constexpr int64_t mostChoices = 128, mostStops = 4, mostLogprobs = 20;
/// Bytes of an end text: each token's text is compared with it.
constexpr size_t mostStopBytes = 1024;

/// A text or tokens to continue.
using PromptValue = std::variant<std::string, std::vector<int32_t>>;

/// The body of POST /v1/completions or /v1/chat/completions, in its form as
/// OpenAI's API reference describes it in 2025, and checked as far as that goes
/// without a model. Extensions have the names that other servers gave them:
/// top_k, min_p, repetition_penalty, ignore_eos, stop_token_ids and
/// chat_template_kwargs.
struct CompletionRequest {
  bool chat = false;
  std::optional<std::string> model;
  std::vector<PromptValue> prompts; ///< at least one, unless it is a chat
  /// Of a chat: an array of messages, as templates take them, and an object of
  /// what else a template is told.
  Json messages, variables = Json::object();
  /// The files of the messages' pictures, in order.
  std::vector<std::string> pictures;

  std::optional<int64_t> maxTokens;
  int64_t choices = 1; ///< of each prompt
  /// What is left out is the model's. Drawing, unless the temperature is 0.
  generate::SamplingSettings sampling;
  std::vector<std::string> stop;
  std::vector<int32_t> stopTokens;
  bool ignoreEos = false;
  /// < 0: none, else the tokens', and those of so many best ones.
  int32_t logprobs = -1;
  bool echo = false;
  bool stream = false, includeUsage = false;

  /// An error of status 400 that names the field, for a body that is not JSON,
  /// values of other types and ranges, and fields that are unknown or would
  /// change the text and are not supported.
  static ApiResult<CompletionRequest> parse(std::string_view body, bool chat);
};

/// The messages of a chat in the form that templates take: "developer" is
/// "system", and the arguments of tool calls are values. The texts of a list of
/// parts are joined by line ends, unless there are pictures among them: these
/// are {"type": "image"} in a list then, and their files go to `pictures`.
/// Errors name the message by its place.
ApiResult<Json> readMessages(const Json &messages,
                             std::vector<std::string> &pictures);

} // namespace mbc::serve
