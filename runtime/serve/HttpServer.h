//===- HttpServer.h - Connections, requests, limits -------------*- C++ -*-===//
#pragma once

#include "runtime/serve/Exchange.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace mbc::serve {

struct HttpOptions {
  std::string host = "127.0.0.1"; ///< an address, or "localhost"
  uint16_t port = 8000;           ///< 0: a free one
  uint64_t bodyBytes = 4'000'000; ///< of a request, at most
  /// How long a connection may be idle, a request may take to arrive, and a
  /// client may take nothing of its answer.
  std::chrono::milliseconds idle = std::chrono::seconds(60);
  /// The one that pages in a browser may come from; empty: none.
  std::string origin = {};
};

/// What has become of a request, for the log.
struct HttpRecord {
  std::string peer, method, path; ///< the latter two empty: it was not HTTP
  unsigned status = 0;            ///< 0: the client went before the answer
  bool complete = false;
  double seconds = 0;
  std::string remark;
};

/// An HTTP/1.1 server on one thread. It never waits for a handler nor for one
/// client: requests are handed over, and answers come through their `Exchange`.
class HttpServer {
public:
  /// Takes a request, on the thread of the server; must answer it, then or
  /// later.
  using Handler = std::function<void(const std::shared_ptr<Exchange> &)>;
  using Log = std::function<void(const HttpRecord &)>;

  /// Listens. An Input error for a host that is none, a System error where the
  /// port cannot be had.
  static Expected<std::unique_ptr<HttpServer>>
  listen(const HttpOptions &options, Handler handler, Log log);
  ~HttpServer();

  /// "http://127.0.0.1:8000".
  std::string address() const;
  uint16_t port() const;

  /// Serves until `stop`; once.
  void run();
  /// Accepts no more, and ends connections that wait for nothing. `late` is
  /// told after `grace`, when what still runs is to be ended; a second later
  /// connections are cut. From any thread.
  void stop(std::chrono::milliseconds grace, std::function<void()> late);

private:
  class Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl;
};

} // namespace mbc::serve
