//===- Completion.cpp -----------------------------------------------------===//
#include "runtime/serve/Completion.h"

#include <algorithm>
#include <fmt/format.h>
#include <random>

namespace mbc::serve {

using generate::Choice;
using generate::Engine;
using generate::Finish;
using generate::Result;

Completion::Completion(const ServedModel &model, CompletionRequest asked,
                       std::shared_ptr<Exchange> exchange, Totals &totals)
    : model(model), request(std::move(asked)), exchange(std::move(exchange)),
      totals(totals), reply(request.chat, model.name, request.includeUsage) {}

//===----------------------------------------------------------------------===//
// From the request to the engine
//===----------------------------------------------------------------------===//

ApiResult<generate::EncodedPrompt> Completion::encode(size_t prompt) const {
  auto run = [&]() -> Expected<generate::EncodedPrompt> {
    if (request.chat)
      return model.text.encodeChat(request.messages, request.variables,
                                   request.pictures);
    generate::EncodedPrompt result;
    if (auto *ids = std::get_if<std::vector<int32_t>>(&request.prompts[prompt]))
      result.tokens = *ids;
    else {
      MBC_ASSIGN(result.tokens, model.text.encode(std::get<std::string>(
                                    request.prompts[prompt])));
    }
    return result;
  };
  auto encoded = run();
  if (!encoded)
    return tl::unexpected(
        toApi(encoded.error(), request.chat ? "messages" : "prompt"));
  return std::move(*encoded);
}

ApiResult<generate::Request>
Completion::oneRequest(generate::EncodedPrompt prompt) const {
  auto tokens = static_cast<int64_t>(prompt.tokens.size());
  int64_t room = model.context - tokens;
  if (room < 1 || request.maxTokens.value_or(1) > room)
    return tl::unexpected(ApiError{
        400,
        fmt::format("the context holds {} tokens; the prompt has {}, and {} "
                    "new ones are asked for",
                    model.context, tokens, request.maxTokens.value_or(1)),
        request.chat ? "messages" : "prompt", "context_length_exceeded"});
  generate::Request result;
  result.prompt = std::move(prompt.tokens);
  result.pictures = std::move(prompt.pictures);
  result.maxNewTokens = request.maxTokens.value_or(room);
  result.stop = request.stop;
  result.stopTokens = stopTokens;
  result.logprobs = request.logprobs;
  auto sampling = model.config.resolve(request.sampling, "");
  if (!sampling)
    return tl::unexpected(toApi(sampling.error()));
  result.sampling = *sampling;
  return result;
}

/// Another seed for each text of a prompt, the first being the request's.
static uint64_t seedOf(uint64_t seed, uint64_t text) {
  return seed ^ (text * 0x9E3779B97F4A7C15);
}

ApiResult<std::vector<generate::Request>> Completion::requests() {
  stopTokens = request.stopTokens;
  if (!request.ignoreEos)
    stopTokens.insert(stopTokens.end(), model.config.eosTokens.begin(),
                      model.config.eosTokens.end());
  if (!request.sampling.seed) {
    std::random_device device;
    request.sampling.seed = uint64_t(device()) << 32 | device();
  }
  std::vector<generate::Request> result;
  size_t prompts = request.chat ? 1 : request.prompts.size();
  for (size_t prompt = 0; prompt < prompts; ++prompt) {
    MBC_ASSIGN(generate::EncodedPrompt encoded, encode(prompt));
    MBC_ASSIGN(generate::Request one, oneRequest(std::move(encoded)));
    if (auto fits = model.engine.check(one); !fits)
      return tl::unexpected(
          toApi(fits.error(), request.chat ? "messages" : "prompt"));
    std::string before;
    if (request.echo) {
      auto *text = std::get_if<std::string>(&request.prompts[prompt]);
      before = text ? *text : model.text.decode(one.prompt);
    }
    for (int64_t i = 0; i < request.choices; ++i) {
      one.sampling.seed = seedOf(*request.sampling.seed, i);
      result.push_back(one);
      texts.emplace_back().before = before;
    }
  }
  return result;
}

ApiResult<void> Completion::start(const ServedModel &model,
                                  CompletionRequest request,
                                  std::shared_ptr<Exchange> exchange,
                                  int64_t capacity, Totals &totals) {
  int64_t prompts = request.chat ? 1 : std::ssize(request.prompts);
  if (prompts * request.choices > capacity)
    return badRequest(prompts > 1 ? "prompt" : "n",
                      fmt::format("{} texts are asked for ({} prompts, n = "
                                  "{}); this server takes at most {} at a "
                                  "time",
                                  prompts * request.choices, prompts,
                                  request.choices, capacity));
  auto completion =
      std::make_shared<Completion>(model, std::move(request), exchange, totals);
  MBC_ASSIGN(auto requests, completion->requests());
  auto busy = static_cast<int64_t>(model.engine.pending());
  if (busy + std::ssize(requests) > capacity)
    return tl::unexpected(ApiError{
        429,
        fmt::format("the queue is full: {} texts are being made or wait; try "
                    "again later",
                    busy),
        {},
        "queue_full"});
  completion->left = requests.size();
  std::vector<Engine::Id> ids;
  for (size_t i = 0; i < requests.size(); ++i) {
    auto id = model.engine.submit(std::move(requests[i]), completion->sink(i));
    if (!id) {
      for (Engine::Id other : ids)
        model.engine.cancel(other);
      return tl::unexpected(toApi(id.error()));
    }
    ids.push_back(*id);
  }
  exchange->onGone([&engine = model.engine, ids] {
    for (Engine::Id id : ids)
      engine.cancel(id);
  });
  return {};
}

//===----------------------------------------------------------------------===//
// From the engine to the client
//===----------------------------------------------------------------------===//

generate::Sink Completion::sink(size_t index) {
  generate::Sink sink;
  auto self = shared_from_this();
  if (request.stream) {
    sink.token = [self, index](const Choice &choice, std::string_view text) {
      // It has no text, so there is nothing to say about it.
      if (std::ranges::find(self->stopTokens, choice.token.id) ==
          self->stopTokens.end())
        self->texts[index].tokens.push_back(choice);
      if (!text.empty())
        self->tell(index, text);
    };
    sink.rest = [self, index](std::string_view text) {
      self->tell(index, text);
    };
  }
  sink.done = [self, index](Expected<Result> result) {
    self->end(index, std::move(result));
  };
  return sink;
}

/// Those of the tokens that are waiting; null where none are asked for.
Json Completion::logprobs(Text &text) const {
  std::vector<Choice> tokens = std::exchange(text.tokens, {});
  if (request.logprobs < 0)
    return {};
  return request.chat ? chatLogprobs(tokens, model.text)
                      : textLogprobs(tokens, model.text, text.offset);
}

/// Streams a part.
void Completion::tell(size_t index, std::string_view more,
                      std::optional<Finish> finish) {
  if (failed)
    return;
  if (!std::exchange(begun, true)) {
    HttpResponse head;
    head.contentType = "text/event-stream; charset=utf-8";
    exchange->begin(std::move(head));
  }
  Text &text = texts[index];
  std::string events;
  if (!std::exchange(text.begun, true)) {
    events = reply.begin(index);
    if (!text.before.empty())
      events += reply.part({index, text.before, {}, {}});
  }
  events += reply.part({index, more, logprobs(text), finish});
  exchange->write(events);
}

void Completion::end(size_t index, Expected<Result> result) {
  --left;
  if (!result) {
    // The request was fine: it passed the engine's check.
    fail({500, result.error().message});
  } else if (result->finish == Finish::Cancelled) {
    fail({503, "the server is stopping"});
  } else {
    totals.promptTokens += result->promptTokens;
    totals.completionTokens += std::ssize(result->tokens);
    if (request.stream)
      tell(index, "", result->finish);
    texts[index].result = std::move(*result);
  }
  if (left == 0 && !failed)
    finish();
}

void Completion::fail(const ApiError &error) {
  if (std::exchange(failed, true))
    return;
  if (!begun) {
    exchange->respond(error);
    return;
  }
  exchange->write(Reply::failure(error));
  exchange->finish();
}

void Completion::finish() {
  Usage usage;
  std::vector<ReplyPart> parts;
  std::vector<std::string> whole(texts.size());
  for (size_t i = 0; i < texts.size(); ++i) {
    Text &text = texts[i];
    Result &result = *text.result;
    // A prompt is one, however many texts it has.
    if (i % request.choices == 0) {
      usage.prompt += result.promptTokens;
      usage.cached += result.reusedTokens;
    }
    usage.completion += std::ssize(result.tokens);
    if (request.stream)
      continue;
    whole[i] = text.before + result.text;
    text.tokens = std::move(result.tokens);
    if (result.finish == Finish::StopToken)
      text.tokens.pop_back();
    parts.push_back({i, whole[i], logprobs(text), result.finish});
  }
  exchange->note(fmt::format("{} + {} tokens", usage.prompt, usage.completion));
  if (request.stream) {
    if (request.includeUsage)
      exchange->write(reply.usage(usage));
    exchange->write(Reply::end());
    exchange->finish();
    return;
  }
  HttpResponse response;
  response.body = reply.whole(std::move(parts), usage).dumpCompact() + "\n";
  exchange->respond(std::move(response));
}

} // namespace mbc::serve
