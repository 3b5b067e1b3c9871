//===- Reply.cpp ----------------------------------------------------------===//
#include "runtime/serve/Reply.h"

#include "runtime/core/Text.h"

#include <algorithm>
#include <chrono>
#include <fmt/format.h>
#include <random>

namespace mbc::serve {

using generate::Choice;
using generate::TokenScore;

std::string randomId() {
  static thread_local std::random_device device;
  return fmt::format("{:08x}{:08x}{:08x}", device(), device(), device());
}

Reply::Reply(bool chat, std::string model, bool everyUsage)
    : chat(chat), everyUsage(everyUsage),
      id((chat ? "chatcmpl-" : "cmpl-") + randomId()), model(std::move(model)),
      created(std::chrono::duration_cast<std::chrono::seconds>(
                  std::chrono::system_clock::now().time_since_epoch())
                  .count()) {}

static Json finishReason(const std::optional<generate::Finish> &finish) {
  if (!finish)
    return {};
  return *finish == generate::Finish::Length ? "length" : "stop";
}

static Json usageJson(const Usage &usage) {
  return Json::object({{"prompt_tokens", usage.prompt},
                       {"completion_tokens", usage.completion},
                       {"total_tokens", usage.prompt + usage.completion},
                       {"prompt_tokens_details",
                        Json::object({{"cached_tokens", usage.cached}})}});
}

static std::string event(const Json &json) {
  return "data: " + json.dumpCompact() + "\n\n";
}

Json Reply::head(const char *object) const {
  return Json::object(
      {{"id", id}, {"object", object}, {"created", created}, {"model", model}});
}

Json Reply::whole(std::vector<ReplyPart> parts, const Usage &usage) const {
  Json choices = Json::array();
  for (ReplyPart &part : parts) {
    Json choice = Json::object({{"index", part.index}});
    if (chat)
      choice.set("message", Json::object({{"role", "assistant"},
                                          {"content", part.text},
                                          {"refusal", nullptr}}));
    else
      choice.set("text", part.text);
    choice.set("logprobs", std::move(part.logprobs));
    choice.set("finish_reason", finishReason(part.finish));
    choices.push(std::move(choice));
  }
  Json result = head(chat ? "chat.completion" : "text_completion");
  result.set("choices", std::move(choices));
  result.set("usage", usageJson(usage));
  return result;
}

Json Reply::chunk(Json choices) const {
  Json result = head(chat ? "chat.completion.chunk" : "text_completion");
  result.set("choices", std::move(choices));
  if (everyUsage)
    result.set("usage", nullptr);
  return result;
}

std::string Reply::begin(size_t index) const {
  if (!chat)
    return {};
  return event(chunk(Json::array({Json::object(
      {{"index", index},
       {"delta", Json::object({{"role", "assistant"}, {"content", ""}})},
       {"logprobs", nullptr},
       {"finish_reason", nullptr}})})));
}

std::string Reply::part(ReplyPart part) const {
  Json choice = Json::object({{"index", part.index}});
  if (!chat)
    choice.set("text", part.text);
  else if (part.finish && part.text.empty())
    choice.set("delta", Json::object());
  else
    choice.set("delta", Json::object({{"content", part.text}}));
  choice.set("logprobs", std::move(part.logprobs));
  choice.set("finish_reason", finishReason(part.finish));
  return event(chunk(Json::array({std::move(choice)})));
}

std::string Reply::usage(const Usage &usage) const {
  Json result = chunk(Json::array());
  result.set("usage", usageJson(usage));
  return event(result);
}

std::string Reply::end() { return "data: [DONE]\n\n"; }

std::string Reply::failure(const ApiError &error) {
  return event(error.body());
}

//===----------------------------------------------------------------------===//
// Log-probabilities
//===----------------------------------------------------------------------===//

/// JSON has no minus infinity; the API writes this.
static double finite(float logprob) {
  return std::max(static_cast<double>(logprob), -9999.0);
}

/// None where the token is a part of a character only: its text does not have
/// its bytes.
static Json bytesOf(const std::string &token) {
  if (token.find("\xef\xbf\xbd") != std::string::npos)
    return {};
  Json bytes = Json::array();
  for (char byte : token)
    bytes.push(static_cast<unsigned char>(byte));
  return bytes;
}

static Json scoreJson(const TokenScore &score, const TextModel &text) {
  std::string token = text.tokenText(score.id);
  return Json::object({{"token", token},
                       {"logprob", finite(score.logprob)},
                       {"bytes", bytesOf(token)}});
}

Json chatLogprobs(const std::vector<Choice> &tokens, const TextModel &text) {
  Json content = Json::array();
  for (const Choice &choice : tokens) {
    Json entry = scoreJson(choice.token, text), best = Json::array();
    for (const TokenScore &score : choice.top)
      best.push(scoreJson(score, text));
    entry.set("top_logprobs", std::move(best));
    content.push(std::move(entry));
  }
  return Json::object({{"content", std::move(content)}, {"refusal", nullptr}});
}

static int64_t characters(std::string_view text) {
  return std::ranges::count_if(text, [](char byte) {
    return (static_cast<unsigned char>(byte) & 0xc0) != 0x80;
  });
}

Json textLogprobs(const std::vector<Choice> &tokens, const TextModel &text,
                  int64_t &offset) {
  Json names = Json::array(), scores = Json::array(), best = Json::array(),
       offsets = Json::array();
  for (const Choice &choice : tokens) {
    std::string name = text.tokenText(choice.token.id);
    offsets.push(offset);
    offset += characters(name);
    scores.push(finite(choice.token.logprob));
    Json top = Json::object();
    // Several tokens may have one text; the best is first.
    for (const TokenScore &score : choice.top)
      if (std::string other = text.tokenText(score.id); !top.find(other))
        top.set(other, finite(score.logprob));
    best.push(std::move(top));
    names.push(std::move(name));
  }
  return Json::object({{"tokens", std::move(names)},
                       {"token_logprobs", std::move(scores)},
                       {"top_logprobs", std::move(best)},
                       {"text_offset", std::move(offsets)}});
}

} // namespace mbc::serve
