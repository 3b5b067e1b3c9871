//===- ServeModel.cpp -----------------------------------------------------===//
#include "runtime/commands/ServeModel.h"

#include "runtime/commands/Interrupt.h"
#include "runtime/core/Text.h"
#include "runtime/serve/Service.h"

#include <chrono>
#include <ctime>
#include <fmt/format.h>

namespace fs = std::filesystem;

namespace mbc {

/// What runs may end by itself for so long, once a signal came.
constexpr auto grace = std::chrono::seconds(5);

/// Bytes of a request with pictures, at most: some photos in base64.
constexpr uint64_t pictureBodyBytes = 32'000'000;

namespace {

class ServedText final : public serve::TextModel {
public:
  explicit ServedText(const GenerationModel &model, const ModelText &text)
      : model(model), text(text) {}

  Expected<std::vector<int32_t>> encode(std::string_view words) const override {
    MBC_ASSIGN(std::vector<int32_t> tokens, text.encode(words));
    if (model.sees()) // a text that says there were pictures
      MBC_TRY(placePictures(tokens, {}, *model.program().vision));
    return tokens;
  }
  Expected<generate::EncodedPrompt>
  encodeChat(const Json &messages, const Json &variables,
             std::span<const std::string> pictures) const override {
    generate::EncodedPrompt result;
    PreparedPictures prepared;
    if (!pictures.empty()) {
      MBC_ASSIGN(const ModelPictures *eyes, model.pictures());
      MBC_ASSIGN(prepared, eyes->decode(pictures));
    }
    MBC_ASSIGN(result.tokens, text.encodeChat(messages, variables));
    if (!model.sees())
      return result;
    return placePictures(std::move(result.tokens), std::move(prepared),
                         *model.program().vision);
  }
  std::string decode(std::span<const int32_t> ids) const override {
    return text.decode(ids, true);
  }
  std::string tokenText(int32_t id) const override {
    return text.decode(std::span(&id, 1), false);
  }

private:
  const GenerationModel &model;
  const ModelText &text;
};

} // namespace

/// One line a request: "2026-01-31T12:00:00Z 127.0.0.1:40000 'POST'
/// '/v1/completions' 200 12 + 16 tokens 0.512 s". Nothing of what it says.
static void logRequest(const serve::HttpRecord &record) {
  std::time_t now = std::time(nullptr);
  std::tm time = {};
  ::gmtime_r(&now, &time);
  char stamp[32];
  std::strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%SZ", &time);
  std::string status =
      record.status ? fmt::format("{}", record.status) : "no answer";
  fmt::print(stderr, "{} {} {} {} {}{}{}{} {:.3f} s\n", stamp, record.peer,
             quote(record.method), quote(record.path), status,
             record.complete ? "" : ", the client has gone",
             record.remark.empty() ? "" : ", ", record.remark, record.seconds);
}

static std::string folderName(const std::string &folder) {
  fs::path path = fs::absolute(folder).lexically_normal();
  std::string name =
      (path.has_filename() ? path : path.parent_path()).filename().string();
  return name.empty() ? "model" : name;
}

Expected<Outcome> serveModel(RunnableModel runnable, const std::string &folder,
                             const ServeOptions &options,
                             const BaseOptions &common, Json details) {
  MBC_ASSIGN(auto model,
             GenerationModel::open(std::move(runnable), options.tokenizer,
                                   common.threads));
  MBC_ASSIGN(const ModelText *words, model->text());
  const program::ProgramT &program = model->program();
  int64_t most = program.length;
  if (options.length.value_or(0) > most)
    return inputError(fmt::format("option '--length' is {}, and a sequence of "
                                  "the program has {} tokens at most",
                                  *options.length, most));
  int64_t sequences = options.sequences.value_or(
      std::min<int64_t>(defaultServedSequences, program.sequences));
  if (sequences > program.sequences)
    return inputError(fmt::format("option '--sequences' is {}, and the program "
                                  "computes {} at a time; 'mbc compile "
                                  "--sequences {}' makes one for more",
                                  sequences, program.sequences, sequences));
  int64_t context =
      options.length.value_or(std::min(most, defaultServedLength));

  serve::HttpOptions http = options.http;
  if (model->sees())
    http.bodyBytes = pictureBodyBytes;
  http.bodyBytes = options.bodyBytes.value_or(http.bodyBytes);

  // Before the weights, which take their time.
  serve::Service *service = nullptr;
  serve::HttpServer::Log log;
  if (common.quiet)
    log = [](const serve::HttpRecord &) {};
  else
    log = logRequest;
  MBC_ASSIGN(auto server,
             serve::HttpServer::listen(
                 http, [&](const auto &exchange) { service->handle(exchange); },
                 std::move(log)));
  MBC_TRY(model->load(options.device, sequences * context, sequences,
                      options.drafts, common));
  generate::Engine &engine = model->engine();
  ServedText text(*model, *words);
  serve::Service endpoints(
      {options.name.empty() ? folderName(folder) : options.name, engine, text,
       model->config(), context, sequences},
      {options.queue, options.apiKey, options.http.origin});
  service = &endpoints;

  std::stop_source engineStop;
  std::jthread steps([&] { engine.run(engineStop.get_token()); });
  {
    bool first = true;
    InterruptGuard guard([&](int) {
      if (!std::exchange(first, false))
        return false;
      endpoints.stop();
      server->stop(grace, [&] { engineStop.request_stop(); });
      return true;
    });
    if (!common.quiet) {
      for (const std::string &note : model->notes())
        fmt::print(stderr, "note: {}\n", note);
      fmt::print(stderr,
                 "serving {} at {}/v1: {} sequences of {} tokens, {}; loaded "
                 "in {:.2f} s\n",
                 quote(endpoints.modelName()), server->address(), sequences,
                 context, model->memoryText(), model->loadSeconds());
    }
    server->run();
  }
  engineStop.request_stop();
  steps.join();
  details.set("model", program.model);
  details.set("requests", endpoints.requestCount());
  details.set("prompt_tokens", endpoints.totals().promptTokens.load());
  details.set("completion_tokens", endpoints.totals().completionTokens.load());
  if (options.drafts)
    addDrafts(details, engine.statistics().drafts);
  details.set("memory", model->memoryJson());
  return Outcome{0, "", std::move(details)};
}

} // namespace mbc
