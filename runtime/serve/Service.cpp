//===- Service.cpp --------------------------------------------------------===//
#include "runtime/serve/Service.h"

#include "runtime/core/Guarded.h"
#include "runtime/core/Text.h"

#include <algorithm>
#include <chrono>
#include <fmt/format.h>

namespace mbc::serve {

constexpr std::string_view completionsPath = "/v1/completions",
                           chatPath = "/v1/chat/completions",
                           modelsPath = "/v1/models", healthPath = "/health",
                           metricsPath = "/metrics";

Service::Service(const ServedModel &model, ServiceOptions options)
    : model(model), options(std::move(options)),
      created(std::chrono::duration_cast<std::chrono::seconds>(
                  std::chrono::system_clock::now().time_since_epoch())
                  .count()),
      worker([this](const std::stop_token &stop) { work(stop); }) {}

Service::~Service() {
  stop();
  worker.request_stop();
  worker.join();
}

void Service::stop() { stopping = true; }

static ApiError stoppingError() { return {503, "the server is stopping"}; }

//===----------------------------------------------------------------------===//
// On the thread of the server
//===----------------------------------------------------------------------===//

/// Compares all of both, so that the time tells nothing of where they differ.
static bool sameSecret(std::string_view given, std::string_view secret) {
  unsigned difference = given.size() != secret.size();
  for (size_t i = 0; i < given.size(); ++i)
    difference |= static_cast<unsigned char>(given[i]) ^
                  static_cast<unsigned char>(secret[i % secret.size()]);
  return difference == 0;
}

bool Service::isAllowed(const HttpRequest &request) const {
  if (options.apiKey.empty() || request.path == healthPath)
    return true;
  std::string_view given = request.authorization;
  constexpr std::string_view scheme = "Bearer ";
  return given.starts_with(scheme) &&
         sameSecret(given.substr(scheme.size()), options.apiKey);
}

/// The method of a path; empty: there is no such path.
static std::string_view methodOf(std::string_view path) {
  if (path == completionsPath || path == chatPath)
    return "POST";
  if (path == healthPath || path == metricsPath || path == modelsPath ||
      path.starts_with(std::string(modelsPath) + "/"))
    return "GET";
  return "";
}

static bool isJson(std::string_view type) {
  type = type.substr(0, type.find(';'));
  while (type.ends_with(' '))
    type.remove_suffix(1);
  return std::ranges::equal(
      type, std::string_view("application/json"),
      [](unsigned char a, char b) { return std::tolower(a) == b; });
}

static HttpResponse wrongMethod(const HttpRequest &request,
                                std::string_view method) {
  HttpResponse response =
      toResponse({405, fmt::format("{} takes {}, not {}", quote(request.path),
                                   method, quote(request.method))});
  response.headers.emplace_back("Allow", method);
  return response;
}

void Service::handle(const std::shared_ptr<Exchange> &exchange) {
  ++requests;
  auto response = answer(exchange);
  if (!response)
    response = toResponse(response.error());
  refused += response->status >= 400;
  if (response->status != 0)
    exchange->respond(std::move(*response));
}

/// Status 0: the answer comes later.
ApiResult<HttpResponse>
Service::answer(const std::shared_ptr<Exchange> &exchange) {
  const HttpRequest &request = exchange->request();
  std::string_view method = methodOf(request.path);
  if (method.empty())
    return tl::unexpected(ApiError{
        404, fmt::format("no such path: {}; there are {}, {}, {}, {} and {}",
                         quote(request.path), completionsPath, chatPath,
                         modelsPath, healthPath, metricsPath)});
  // Browsers ask before they send a page's request.
  if (request.method == "OPTIONS" && !options.origin.empty()) {
    HttpResponse response{204};
    response.headers = {
        {"Access-Control-Allow-Methods", "GET, POST, OPTIONS"},
        {"Access-Control-Allow-Headers", "authorization, content-type"},
        {"Access-Control-Max-Age", "600"}};
    return response;
  }
  if (!isAllowed(request))
    return tl::unexpected(ApiError{
        401,
        request.authorization.empty()
            ? "this server asks for an API key: 'Authorization: Bearer KEY'"
            : "the API key is not this server's",
        {},
        "invalid_api_key"});
  if (request.method != method &&
      !(request.method == "HEAD" && method == "GET"))
    return wrongMethod(request, method);
  if (request.path == healthPath)
    return health();
  if (request.path == metricsPath)
    return metrics();
  if (method == "GET")
    return models(request.path);
  MBC_TRY(enqueue(exchange));
  return HttpResponse{0};
}

HttpResponse Service::health() const {
  HttpResponse response;
  response.status = stopping ? 503 : 200;
  response.body =
      stopping ? "{\"status\":\"stopping\"}\n" : "{\"status\":\"ok\"}\n";
  return response;
}

HttpResponse Service::metrics() const {
  auto pending = static_cast<int64_t>(model.engine.pending());
  int64_t running = std::min(pending, model.sequences);
  generate::EngineStatistics steps = model.engine.statistics();
  std::string text;
  auto add = [&](const char *name, const char *type, const char *help,
                 auto value) {
    text += fmt::format("# HELP mbc_{0} {2}\n# TYPE mbc_{0} {1}\nmbc_{0} {3}\n",
                        name, type, help, value);
  };
  add("texts_running", "gauge", "Texts that are being made.", running);
  add("texts_waiting", "gauge", "Texts in the queue.", pending - running);
  add("requests_total", "counter", "HTTP requests.", requests.load());
  add("requests_refused_total", "counter", "Of these, answered with an error.",
      refused.load());
  add("prompt_tokens_total", "counter", "Tokens of prompts of ended texts.",
      sums.promptTokens.load());
  add("completion_tokens_total", "counter", "Tokens of ended texts.",
      sums.completionTokens.load());
  add("steps_total", "counter", "Calls of the model.", steps.steps);
  add("draft_tokens_total", "counter", "Tokens that were guessed and tried.",
      steps.drafts.tried);
  add("draft_tokens_accepted_total", "counter", "Of these, those of a text.",
      steps.drafts.accepted);
  add("step_seconds_total", "counter", "Seconds in these.",
      steps.prefillSeconds + steps.decodeSeconds);
  HttpResponse response;
  response.contentType = "text/plain; version=0.0.4; charset=utf-8";
  response.body = std::move(text);
  return response;
}

/// A path's text with %XX as bytes; what is malformed stays.
static std::string unescape(std::string_view text) {
  auto digit = [](char c) -> int {
    if (c >= '0' && c <= '9')
      return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
  };
  std::string result;
  for (size_t i = 0; i < text.size(); ++i) {
    int high = i + 2 < text.size() ? digit(text[i + 1]) : -1;
    int low = i + 2 < text.size() ? digit(text[i + 2]) : -1;
    if (text[i] == '%' && high >= 0 && low >= 0) {
      result += static_cast<char>(high * 16 + low);
      i += 2;
    } else {
      result += text[i];
    }
  }
  return result;
}

static ApiError unknownModel(std::string_view asked, std::string_view name) {
  return {404,
          fmt::format("there is no model {}; this server has {}", quote(asked),
                      quote(name)),
          "model", "model_not_found"};
}

ApiResult<HttpResponse> Service::models(const std::string &path) const {
  Json entry = Json::object({{"id", model.name},
                             {"object", "model"},
                             {"created", created},
                             {"owned_by", "mbc"},
                             {"max_model_len", model.context}});
  if (path.size() > modelsPath.size() + 1) {
    std::string asked =
        unescape(std::string_view(path).substr(modelsPath.size() + 1));
    if (asked != model.name)
      return tl::unexpected(unknownModel(asked, model.name));
  } else {
    entry = Json::object(
        {{"object", "list"}, {"data", Json::array({std::move(entry)})}});
  }
  HttpResponse response;
  response.body = entry.dumpCompact() + "\n";
  return response;
}

ApiResult<void> Service::enqueue(const std::shared_ptr<Exchange> &exchange) {
  // Pages of other origins cannot send this type unasked.
  if (!isJson(exchange->request().contentType))
    return tl::unexpected(ApiError{
        415, fmt::format("the content type is {}, expected application/json",
                         quote(exchange->request().contentType))});
  if (stopping)
    return tl::unexpected(stoppingError());
  std::scoped_lock lock(mutex);
  posted.push_back(exchange);
  news.notify_one();
  return {};
}

//===----------------------------------------------------------------------===//
// On a thread of its own: bodies are long, and so is making tokens of them
//===----------------------------------------------------------------------===//

void Service::begin(const std::shared_ptr<Exchange> &exchange) {
  auto run = [&]() -> ApiResult<void> {
    if (stopping)
      return tl::unexpected(stoppingError());
    const HttpRequest &http = exchange->request();
    MBC_ASSIGN(CompletionRequest request,
               CompletionRequest::parse(http.body, http.path == chatPath));
    if (request.model && *request.model != model.name)
      return tl::unexpected(unknownModel(*request.model, model.name));
    return Completion::start(model, std::move(request), exchange,
                             model.sequences + options.queue, sums);
  };
  ApiResult<void> done;
  try {
    done = run();
  } catch (...) {
    done = tl::unexpected(toApi(currentException()));
  }
  if (!done) {
    ++refused;
    exchange->respond(done.error());
  }
}

void Service::work(const std::stop_token &stop) {
  std::unique_lock lock(mutex);
  while (news.wait(lock, stop, [&] { return !posted.empty(); })) {
    auto exchange = std::move(posted.front());
    posted.pop_front();
    lock.unlock();
    begin(exchange);
    lock.lock();
  }
}

} // namespace mbc::serve
