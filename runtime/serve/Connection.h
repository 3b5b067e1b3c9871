//===- Connection.h - One client's connection -------------------*- C++ -*-===//
//
// Included by the server alone: the headers of Boost take seconds to compile.
//
//===----------------------------------------------------------------------===//
#pragma once

#include "runtime/serve/HttpServer.h"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/fields.hpp>
#include <boost/beast/http/message.hpp>

namespace mbc::serve {

namespace net = boost::asio;

/// What connections have of their server.
struct ServerContext {
  HttpOptions options;
  HttpServer::Handler handler;
  HttpServer::Log log;
  /// No request is taken any more.
  bool stopping = false;
};

/// Takes requests one after another. All of it is on the thread of the server;
/// its coroutine keeps it alive.
class Connection : public std::enable_shared_from_this<Connection> {
public:
  Connection(net::ip::tcp::socket socket, ServerContext &server);

  net::awaitable<void> serve();
  /// Ends it now where it waits for a request, else after the answer.
  void stop();
  /// Ends it whatever it does.
  void cut();

private:
  net::awaitable<std::optional<HttpRequest>> receive();
  net::awaitable<void> answer(const std::shared_ptr<Exchange> &exchange);
  net::awaitable<bool> sendHead(HttpResponse head, bool whole);
  net::awaitable<bool> sendParts(std::string parts, bool last);
  net::awaitable<bool> refuse(const ApiError &error);
  net::awaitable<void> watch();
  net::awaitable<void> linger();
  void record(const HttpRequest &request, const std::string &remark);

  ServerContext &server;
  boost::beast::tcp_stream stream;
  boost::beast::flat_buffer buffer;
  /// Cancelled whenever there is something new to look at.
  net::steady_timer news;
  std::string peer;
  std::chrono::steady_clock::time_point started;
  unsigned version = 11, status = 0;
  bool keepAlive = false, chunked = false, headOnly = false;
  /// Waits for a request, none of which has arrived.
  bool idle = false;
  /// `watch` runs.
  bool watching = false;
  /// The client is, and the answer is with it.
  bool gone = false, complete = false;
};

} // namespace mbc::serve
