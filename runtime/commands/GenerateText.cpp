//===- GenerateText.cpp ---------------------------------------------------===//
#include "runtime/commands/GenerateText.h"

#include "runtime/commands/StandardOutput.h"
#include "runtime/core/File.h"

#include <algorithm>
#include <fmt/format.h>
#include <numeric>

namespace mbc {

using generate::Choice;
using generate::Engine;
using generate::Request;
using generate::Result;
using generate::TokenScore;

/// New tokens where nothing is said.
constexpr int64_t defaultNewTokens = 256;

//===----------------------------------------------------------------------===//
// Requests
//===----------------------------------------------------------------------===//

/// The messages of a prompt; none: it is a text or tokens.
static std::optional<Json> messagesOf(const Prompt &prompt,
                                      const GenerateOptions &options) {
  std::optional<Json> given = prompt.messages;
  if (!given && options.chat && prompt.text)
    given = Json::array({pictureMessage(*prompt.text, prompt.pictures.size())});
  if (!given || !options.system)
    return given;
  Json messages = Json::array({chatMessage("system", *options.system)});
  for (const Json &item : given->elements())
    messages.push(item);
  return messages;
}

static Expected<std::vector<int32_t>>
encodeTokens(const Prompt &prompt, const GenerateOptions &options,
             const GenerationModel &model) {
  if (!prompt.tokens.empty())
    return prompt.tokens;
  MBC_ASSIGN(const ModelText *text, model.text());
  if (std::optional<Json> messages = messagesOf(prompt, options))
    return text->encodeChat(*messages, options.variables);
  if (prompt.pictures.empty())
    return text->encode(*prompt.text);
  MBC_ASSIGN(const ModelPictures *eyes, model.pictures());
  return text->encode(
      eyes->withPlaces(*prompt.text, prompt.pictures.size(), *text));
}

static Expected<generate::EncodedPrompt>
encodePrompt(const Prompt &prompt, const GenerateOptions &options,
             const GenerationModel &model) {
  generate::EncodedPrompt result;
  bool seeing = !prompt.pictures.empty();
  if (seeing) // before a template wonders at them
    MBC_TRY(model.pictures());
  MBC_ASSIGN(result.tokens, encodeTokens(prompt, options, model));
  if (!model.sees())
    return result;
  PreparedPictures pictures;
  if (prompt.prepared) {
    pictures = *prompt.prepared;
  } else if (seeing) {
    MBC_ASSIGN(const ModelPictures *eyes, model.pictures());
    MBC_ASSIGN(pictures, eyes->read(prompt.pictures));
  }
  return placePictures(std::move(result.tokens), std::move(pictures),
                       *model.program().vision);
}

static Expected<Request> requestOf(const Prompt &prompt,
                                   const GenerateOptions &options,
                                   const GenerationModel &model) {
  Request request;
  MBC_ASSIGN(generate::EncodedPrompt encoded,
             encodePrompt(prompt, options, model));
  request.prompt = std::move(encoded.tokens);
  request.pictures = std::move(encoded.pictures);
  auto length = std::min<int64_t>(model.program().length,
                                  options.length.value_or(INT64_MAX));
  for (int32_t id : request.prompt)
    if (static_cast<uint32_t>(id) >= model.program().vocab)
      return inputError(fmt::format(
          "token {} is outside of the vocabulary of {}, which has {}", id,
          model.program().model, model.program().vocab));
  auto tokens = static_cast<int64_t>(request.prompt.size());
  std::optional<int64_t> asked =
      prompt.maxNewTokens ? prompt.maxNewTokens : options.maxNewTokens;
  if (tokens >= length)
    return inputError(fmt::format(
        "the prompt has {} tokens; the context holds {}, and must have room "
        "for at least one new one",
        tokens, length));
  if (asked && *asked > length - tokens)
    return inputError(fmt::format(
        "the prompt has {} tokens and {} new ones are asked for; the context "
        "holds {}, so that at most {} can be",
        tokens, *asked, length, length - tokens));
  request.maxNewTokens =
      asked.value_or(std::min(defaultNewTokens, length - tokens));
  MBC_ASSIGN(request.sampling, model.config().resolve(
                                   prompt.sampling.over(options.sampling), ""));
  if (!options.ignoreEos)
    request.stopTokens = model.config().eosTokens;
  request.stop = prompt.stop.value_or(options.stop);
  if (!request.stop.empty())
    MBC_TRY(model.text());
  request.logprobs = options.logprobs;
  return request;
}

Expected<Request> makeRequest(const Prompt &prompt,
                              const GenerateOptions &options,
                              const GenerationModel &model) {
  auto request = requestOf(prompt, options, model);
  if (!request && !prompt.place.empty() &&
      !request.error().message.starts_with(prompt.place) &&
      request.error().message.find(": error: ") == std::string::npos)
    request.error().message = prompt.place + ": " + request.error().message;
  return request;
}

/// Slots with which the largest requests find room at the same time.
static int64_t slotsFor(const std::vector<Request> &requests, size_t together) {
  std::vector<int64_t> sizes;
  for (const Request &request : requests)
    sizes.push_back(static_cast<int64_t>(request.prompt.size()) +
                    request.maxNewTokens);
  std::ranges::sort(sizes, std::greater());
  sizes.resize(std::min<size_t>(sizes.size(), together));
  return std::accumulate(sizes.begin(), sizes.end(), int64_t(0));
}

//===----------------------------------------------------------------------===//
// Results
//===----------------------------------------------------------------------===//

static Json resultJson(const Prompt &prompt, const Request &request,
                       const Result &result, bool hasText, bool drafts) {
  Json json = Json::object();
  if (!prompt.id.isNull())
    json.set("id", prompt.id);
  Json tokens = Json::array(), logprobs = Json::array(), top = Json::array();
  for (const Choice &choice : result.tokens) {
    tokens.push(choice.token.id);
    logprobs.push(static_cast<double>(choice.token.logprob));
    Json best = Json::array();
    for (const TokenScore &score : choice.top)
      best.push(
          Json::object({{"token", score.id},
                        {"logprob", static_cast<double>(score.logprob)}}));
    top.push(std::move(best));
  }
  if (hasText)
    json.set("text", result.text);
  json.set("finish_reason", generate::finishName(result.finish));
  json.set("prompt_tokens", result.promptTokens);
  json.set("reused_tokens", result.reusedTokens);
  json.set("tokens", std::move(tokens));
  if (request.logprobs >= 0)
    json.set("logprobs", std::move(logprobs));
  if (request.logprobs > 0)
    json.set("top_logprobs", std::move(top));
  if (drafts)
    addDrafts(json, result.drafts);
  json.set("first_token_seconds", result.firstTokenSeconds);
  json.set("seconds", result.seconds);
  return json;
}

static double rate(int64_t count, double seconds) {
  return seconds > 0 ? static_cast<double>(count) / seconds : 0;
}

namespace {

/// The run of a list of prompts.
class Run {
public:
  Run(GenerationModel &model, const GenerateOptions &options,
      const BaseOptions &common, std::vector<Request> requests)
      : model(model), options(options), common(common),
        requests(std::move(requests)), results(this->requests.size()) {}

  Status generate();
  Outcome outcome(Json details) const;

private:
  /// Whether text goes to stdout while it is made.
  bool streams() const { return !options.lines && !common.json; }
  bool hasText() const { return model.text().has_value(); }
  void write(std::string_view text);
  void writeLines();

  GenerationModel &model;
  const GenerateOptions &options;
  const BaseOptions &common;
  std::vector<Request> requests;
  std::vector<std::optional<Result>> results;
  std::string lines; ///< that go to a file
  size_t written = 0;
  bool readerLeft = false;
  std::optional<Error> error;
};

void Run::write(std::string_view text) {
  if (readerLeft || error || text.empty())
    return;
  auto done = writeOutput(text);
  if (!done)
    error = std::move(done.error());
  else
    readerLeft = !*done;
}

/// Those that have all before them.
void Run::writeLines() {
  while (written < results.size() && results[written]) {
    std::string line = resultJson(options.prompts[written], requests[written],
                                  *results[written], hasText(), options.drafts)
                           .dumpCompact() +
                       "\n";
    if (options.output.empty())
      write(line);
    else
      lines += line;
    ++written;
  }
}

Status Run::generate() {
  Engine &engine = model.engine();
  for (size_t i = 0; i < requests.size(); ++i) {
    generate::Sink sink;
    if (streams() && hasText()) {
      sink.token = [&](const Choice &, std::string_view text) { write(text); };
      sink.rest = [&](std::string_view text) { write(text); };
    } else if (streams()) {
      sink.token = [&, first = true](const Choice &choice,
                                     std::string_view) mutable {
        write(fmt::format("{}{}", first ? "" : ",", choice.token.id));
        first = false;
      };
    }
    sink.done = [&, i](Expected<Result> result) {
      if (!result) {
        error = std::move(result.error());
        return;
      }
      results[i] = std::move(*result);
      if (options.lines)
        writeLines();
    };
    MBC_TRY(engine.submit(requests[i], std::move(sink)));
    requests[i].pictures = {}; // the engine drops them as it has seen them
  }
  for (bool more = true; more && !readerLeft && !error;) {
    MBC_ASSIGN(more, engine.step());
  }
  if (streams())
    write("\n");
  if (error)
    return Failure(std::move(*error));
  if (!options.output.empty())
    MBC_TRY(writeWholeFile(options.output, lines));
  return {};
}

Outcome Run::outcome(Json details) const {
  generate::EngineStatistics sums = model.engine().statistics();
  double prefillRate = rate(sums.prefillTokens, sums.prefillSeconds),
         decodeRate = rate(sums.decodeTokens, sums.decodeSeconds);
  Outcome outcome;
  outcome.json = std::move(details);
  outcome.json.set("load_seconds", model.loadSeconds());
  outcome.json.set("prefill_tokens", sums.prefillTokens);
  outcome.json.set("prefill_seconds", sums.prefillSeconds);
  outcome.json.set("prefill_tokens_per_second", prefillRate);
  outcome.json.set("decode_tokens", sums.decodeTokens);
  outcome.json.set("decode_seconds", sums.decodeSeconds);
  outcome.json.set("decode_tokens_per_second", decodeRate);
  if (options.drafts) {
    addDrafts(outcome.json, sums.drafts);
    outcome.json.set("tokens_per_step", sums.tokensPerStep());
  }
  outcome.json.set("memory", model.memoryJson());
  Json notes = Json::array();
  for (const std::string &note : model.notes())
    notes.push(note);
  outcome.json.set("notes", std::move(notes));
  if (options.lines) {
    outcome.json.set("target", options.output);
    outcome.json.set("prompts", results.size());
  } else {
    Json list = Json::array();
    for (size_t i = 0; i < results.size(); ++i)
      if (results[i])
        list.push(resultJson(options.prompts[i], requests[i], *results[i],
                             hasText(), options.drafts));
    outcome.json.set("results", std::move(list));
  }
  if (!common.json && !common.quiet) {
    double first = 0;
    for (const auto &result : results)
      if (result)
        first = std::max(first, result->firstTokenSeconds);
    fmt::print(stderr,
               "{} prompt tokens at {:.1f} a second, {} new ones at {:.1f}; "
               "loaded in {:.2f} s, first token after {:.2f} s; {}\n",
               sums.prefillTokens, prefillRate, sums.decodeTokens, decodeRate,
               model.loadSeconds(), first, model.memoryText());
    if (options.drafts)
      fmt::print(stderr,
                 "drafts: {} of {} accepted ({:.0f} %), {:.2f} tokens a step\n",
                 sums.drafts.accepted, sums.drafts.tried,
                 100 * sums.drafts.rate(), sums.tokensPerStep());
    for (const std::string &note : model.notes())
      fmt::print(stderr, "note: {}\n", note);
  }
  return outcome;
}

} // namespace

Expected<Outcome> generateText(RunnableModel runnable,
                               const GenerateOptions &options,
                               const BaseOptions &common, Json details) {
  MBC_ASSIGN(auto model,
             GenerationModel::open(std::move(runnable), options.tokenizer,
                                   common.threads));
  if (options.prompts.empty())
    return converse(*model, options, common);
  std::vector<Request> requests;
  for (const Prompt &prompt : options.prompts) {
    MBC_ASSIGN(requests.emplace_back(), makeRequest(prompt, options, *model));
  }
  const program::ProgramT &program = model->program();
  auto together = std::min<int64_t>(
      options.sequences.value_or(program.sequences), program.sequences);
  MBC_TRY(model->load(options.device, slotsFor(requests, together), together,
                      options.drafts, common));
  details.set("model", program.model);
  Run run(*model, options, common, std::move(requests));
  MBC_TRY(run.generate());
  return run.outcome(std::move(details));
}

} // namespace mbc
