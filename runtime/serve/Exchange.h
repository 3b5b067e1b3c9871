//===- Exchange.h - A request and its answer --------------------*- C++ -*-===//
#pragma once

#include "runtime/serve/ApiError.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace mbc::serve {

struct HttpRequest {
  std::string method; ///< "GET"
  std::string path;   ///< without the query, as it was sent
  std::string contentType, authorization;
  std::string body;
};

struct HttpResponse {
  unsigned status = 200;
  std::string contentType = "application/json";
  std::vector<std::pair<std::string, std::string>> headers = {};
  std::string body = {};
};

/// The error as an answer, with the headers that its status asks for.
HttpResponse toResponse(const ApiError &error);

/// A request that waits for its answer: a whole one, or parts one after
/// another. Answering never waits for the client: what it has not taken yet is
/// kept. Any thread may answer; once the client is gone nobody listens.
class Exchange {
public:
  explicit Exchange(HttpRequest request);

  const HttpRequest &request() const { return asked; }

  /// The whole answer.
  void respond(HttpResponse response);
  void respond(const ApiError &error);
  /// The answer's beginning; `write` adds to it, and `finish` ends it.
  void begin(HttpResponse response);
  void write(std::string_view part);
  void finish();

  /// What is told when the client has gone before the end, on the thread of the
  /// server; at once if it has gone already.
  void onGone(std::function<void()> tell);
  /// A remark for the log: "12 + 64 tokens".
  void note(std::string text);
  std::string remark() const;

  /// For the connection.
  struct Ready {
    std::optional<HttpResponse> head;
    bool whole = false; ///< the head's body is all
    std::string parts;
    bool finished = false;
  };
  Ready take();
  void setWake(std::function<void()> call);
  /// Nobody listens any more; `early`: the client went before the end.
  void close(bool early);

private:
  template <typename Fn> void change(Fn &&fn);

  HttpRequest asked;
  mutable std::mutex mutex;
  Ready ready;
  bool begun = false, over = false, gone = false;
  std::function<void()> wake, tellGone;
  std::string text;
};

} // namespace mbc::serve
