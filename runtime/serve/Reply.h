//===- Reply.h - Answers in the shapes of OpenAI's API ----------*- C++ -*-===//
//
// As the API reference describes them in 2025: "text_completion",
// "chat.completion" and their chunks, which are server-sent events.
//
//===----------------------------------------------------------------------===//
#pragma once

#include "runtime/serve/ApiError.h"
#include "runtime/serve/ServedModel.h"

#include <optional>

namespace mbc::serve {

/// Tokens that a request has used.
struct Usage {
  int64_t prompt = 0, cached = 0, completion = 0;
};

/// What is told of a text, all of it or a part.
struct ReplyPart {
  size_t index = 0;
  std::string_view text;
  /// Of the part; null: not asked for.
  Json logprobs = {};
  /// The text is over: why.
  std::optional<generate::Finish> finish = {};
};

/// Of one request: its id, time and model are in everything that it answers.
class Reply {
public:
  /// `everyUsage`: usage was asked for, and is null in all chunks but the last.
  Reply(bool chat, std::string model, bool everyUsage);

  /// The whole answer.
  Json whole(std::vector<ReplyPart> parts, const Usage &usage) const;

  /// The event that begins a message of a chat; empty for others.
  std::string begin(size_t index) const;
  std::string part(ReplyPart part) const;
  std::string usage(const Usage &usage) const;
  static std::string end();
  /// In place of the rest.
  static std::string failure(const ApiError &error);

private:
  Json head(const char *object) const;
  Json chunk(Json choices) const;

  bool chat, everyUsage;
  std::string id, model;
  int64_t created;
};

/// Log-probabilities of tokens, in the shape of a chat.
Json chatLogprobs(const std::vector<generate::Choice> &tokens,
                  const TextModel &text);
/// In that of a completion. `offset`: characters of the text before the
/// tokens; goes beyond them.
Json textLogprobs(const std::vector<generate::Choice> &tokens,
                  const TextModel &text, int64_t &offset);

/// 24 random hexadecimal digits.
std::string randomId();

} // namespace mbc::serve
