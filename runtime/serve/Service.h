//===- Service.h - The endpoints --------------------------------*- C++ -*-===//
#pragma once

#include "runtime/serve/Completion.h"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

namespace mbc::serve {

struct ServiceOptions {
  int64_t queue = 0;       ///< texts that may wait for others to end
  std::string apiKey = {}; ///< empty: none is asked for
  std::string origin = {}; ///< as HttpOptions::origin
};

/// Answers the requests of a server: /v1/completions, /v1/chat/completions,
/// /v1/models, /health and /metrics.
class Service {
public:
  Service(const ServedModel &model, ServiceOptions options);
  /// Requests that are not begun yet are answered with an error.
  ~Service();

  /// For `HttpServer`: does not wait for anything.
  void handle(const std::shared_ptr<Exchange> &exchange);
  /// From now on nothing is begun: status 503.
  void stop();

  const std::string &modelName() const { return model.name; }
  const Totals &totals() const { return sums; }
  int64_t requestCount() const { return requests; }

private:
  struct Route;
  using Exchanges = std::deque<std::shared_ptr<Exchange>>;

  bool isAllowed(const HttpRequest &request) const;
  ApiResult<HttpResponse> answer(const std::shared_ptr<Exchange> &exchange);
  ApiResult<HttpResponse> models(const std::string &path) const;
  HttpResponse health() const;
  HttpResponse metrics() const;
  ApiResult<void> enqueue(const std::shared_ptr<Exchange> &exchange);
  void begin(const std::shared_ptr<Exchange> &exchange);
  void work(const std::stop_token &stop);

  const ServedModel model;
  const ServiceOptions options;
  const int64_t created;
  Totals sums;

  std::mutex mutex;
  std::condition_variable_any news;
  Exchanges posted; ///< completions whose bodies nobody has read yet
  std::atomic<bool> stopping = false;
  std::atomic<int64_t> requests = 0, refused = 0;
  std::jthread worker; ///< the last member: ends before the others
};

} // namespace mbc::serve
