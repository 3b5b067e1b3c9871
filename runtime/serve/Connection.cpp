//===- Connection.cpp -----------------------------------------------------===//
#include "runtime/serve/Connection.h"

#include "runtime/core/Guarded.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/chunk_encode.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <fmt/format.h>
#include <tuple>

namespace mbc::serve {

namespace beast = boost::beast;
namespace http = beast::http;
using boost::system::error_code;

/// Errors come as values.
constexpr auto asTuple = net::as_tuple(net::use_awaitable);

constexpr uint32_t mostHeaderBytes = 16 << 10;
/// What a client may send before it has the answer to what it sent.
constexpr size_t mostAhead = 64 << 10;
/// Of a refused body, what is read so that the client sees why.
constexpr size_t mostLinger = 16 << 20;
constexpr auto lingerTime = std::chrono::seconds(2);

Connection::Connection(net::ip::tcp::socket socket, ServerContext &server)
    : server(server), stream(std::move(socket)),
      news(stream.get_executor(), net::steady_timer::time_point::max()) {
  error_code code;
  auto end = stream.socket().remote_endpoint(code);
  peer =
      code ? "?" : fmt::format("{}:{}", end.address().to_string(), end.port());
  // Tokens are small and want to be seen.
  stream.socket().set_option(net::ip::tcp::no_delay(true), code);
}

void Connection::stop() {
  if (idle)
    cut();
}

void Connection::cut() {
  error_code code;
  stream.socket().close(code);
  gone = true;
  news.cancel();
}

void Connection::record(const HttpRequest &request, const std::string &remark) {
  server.log(
      {peer, request.method, request.path, status, complete,
       std::chrono::duration<double>(std::chrono::steady_clock::now() - started)
           .count(),
       remark});
}

net::awaitable<void> Connection::serve() {
  auto self = shared_from_this();
  do {
    keepAlive = headOnly = gone = complete = false;
    status = 0;
    auto request = co_await receive();
    if (!request)
      break;
    auto exchange = std::make_shared<Exchange>(std::move(*request));
    co_await answer(exchange);
    record(exchange->request(), exchange->remark());
  } while (keepAlive && complete && !server.stopping);
  if (complete)
    co_await linger();
  error_code code;
  stream.socket().close(code);
}

//===----------------------------------------------------------------------===//
// The request
//===----------------------------------------------------------------------===//

/// What the library says of a request that it cannot read; none where there is
/// nobody to be told.
static std::optional<ApiError> refusal(error_code code, uint64_t mostBody) {
  if (code == http::error::body_limit)
    return ApiError{413, fmt::format("the body of the request has more than {} "
                                     "bytes; option '--max-body' of the server "
                                     "sets the limit",
                                     mostBody)};
  if (code == http::error::header_limit)
    return ApiError{431, fmt::format("the header of the request has more than "
                                     "{} bytes",
                                     mostHeaderBytes)};
  if (code == http::error::end_of_stream ||
      code == http::error::partial_message)
    return std::nullopt;
  if (code.category() == make_error_code(http::error::bad_method).category())
    return ApiError{400,
                    fmt::format("the request is not HTTP: {}", code.message())};
  return std::nullopt;
}

/// The path without query and fragment, and without the host that a proxy's
/// client writes before it.
static std::string pathOf(std::string_view target) {
  target = target.substr(0, target.find_first_of("?#"));
  if (size_t at = target.find("://"); at != std::string_view::npos) {
    size_t slash = target.find('/', at + 3);
    target = slash == std::string_view::npos ? "/" : target.substr(slash);
  }
  return std::string(target);
}

/// None where the connection is to end.
net::awaitable<std::optional<HttpRequest>> Connection::receive() {
  http::request_parser<http::string_body> parser;
  parser.header_limit(mostHeaderBytes);
  parser.body_limit(server.options.bodyBytes);
  stream.expires_after(server.options.idle);
  error_code code;
  if (buffer.size() == 0) {
    idle = true;
    auto [failed, count] = co_await stream.async_read_some(
        buffer.prepare(mostHeaderBytes), asTuple);
    idle = false;
    if (failed)
      co_return std::nullopt;
    buffer.commit(count);
  }
  started = std::chrono::steady_clock::now();
  code = std::get<0>(
      co_await http::async_read_header(stream, buffer, parser, asTuple));
  if (!code &&
      beast::iequals(parser.get()[http::field::expect], "100-continue") &&
      parser.get().version() >= 11) {
    http::response<http::empty_body> go(http::status::continue_, 11);
    code = std::get<0>(co_await http::async_write(stream, go, asTuple));
  }
  if (!code)
    code =
        std::get<0>(co_await http::async_read(stream, buffer, parser, asTuple));
  HttpRequest request;
  request.method = parser.get().method_string();
  request.path =
      pathOf({parser.get().target().data(), parser.get().target().size()});
  version = parser.get().version();
  if (code) {
    auto error = refusal(code, server.options.bodyBytes);
    if (error && co_await refuse(*error))
      record(request, error->message);
    co_return std::nullopt;
  }
  request.contentType = parser.get()[http::field::content_type];
  request.authorization = parser.get()[http::field::authorization];
  keepAlive = parser.get().keep_alive();
  headOnly = request.method == "HEAD";
  request.body = std::move(parser.get().body());
  co_return request;
}

//===----------------------------------------------------------------------===//
// The answer
//===----------------------------------------------------------------------===//

/// Reads what the client sends ahead, and so sees it go.
net::awaitable<void> Connection::watch() {
  auto self = shared_from_this();
  error_code failed;
  while (!failed && buffer.size() <= mostAhead) {
    size_t count = 0;
    std::tie(failed, count) =
        co_await stream.socket().async_read_some(buffer.prepare(4096), asTuple);
    buffer.commit(count);
  }
  gone |= failed != net::error::operation_aborted;
  watching = false;
  news.cancel();
}

net::awaitable<void>
Connection::answer(const std::shared_ptr<Exchange> &exchange) {
  exchange->setWake(
      [executor = stream.get_executor(), weak = weak_from_this()] {
        net::post(executor, [weak] {
          if (auto self = weak.lock())
            self->news.cancel();
        });
      });
  watching = true;
  net::co_spawn(stream.get_executor(), watch(), net::detached);
  auto handled = guarded([&]() -> Status {
    server.handler(exchange);
    return {};
  });
  if (!handled)
    exchange->respond(toApi(handled.error()));

  while (!gone && !complete) {
    Exchange::Ready ready = exchange->take();
    // Whoever added something while this was sent was not waited for: only who
    // found nothing waits.
    bool any = ready.head || !ready.parts.empty() || ready.finished;
    bool sent = true;
    if (ready.head)
      sent = co_await sendHead(std::move(*ready.head), ready.whole);
    if (sent && !ready.whole && (!ready.parts.empty() || ready.finished))
      sent = co_await sendParts(std::move(ready.parts), ready.finished);
    if (!sent)
      gone = true;
    else if (ready.finished)
      complete = true;
    else if (!any && !gone)
      co_await news.async_wait(asTuple);
  }
  exchange->close(!complete);
  error_code code;
  stream.socket().cancel(code);
  // One reader at a time: the next request's comes after it.
  while (watching)
    co_await news.async_wait(asTuple);
}

net::awaitable<bool> Connection::sendHead(HttpResponse head, bool whole) {
  status = head.status;
  http::response<http::string_body> response(
      static_cast<http::status>(head.status), version);
  response.set(http::field::content_type, head.contentType);
  if (!server.options.origin.empty()) {
    response.set(http::field::access_control_allow_origin,
                 server.options.origin);
    response.set(http::field::vary, "Origin");
  }
  for (const auto &[name, value] : head.headers)
    response.set(name, value);
  keepAlive &= !server.stopping;
  chunked = !whole && version >= 11;
  keepAlive &= whole || chunked; // else the end of the connection is the end
  response.keep_alive(keepAlive);
  stream.expires_after(server.options.idle);
  if (whole) {
    response.body() = std::move(head.body);
    response.prepare_payload();
  } else {
    response.set(http::field::cache_control, "no-cache");
    response.chunked(chunked);
  }
  if (whole && !headOnly)
    co_return !std::get<0>(
        co_await http::async_write(stream, response, asTuple));
  http::response_serializer<http::string_body> serializer(response);
  auto [failed, count] =
      co_await http::async_write_header(stream, serializer, asTuple);
  if (failed)
    co_return false;
  co_return true;
}

net::awaitable<bool> Connection::sendParts(std::string parts, bool last) {
  error_code code;
  stream.expires_after(server.options.idle);
  if (!parts.empty() && chunked)
    code = std::get<0>(co_await net::async_write(
        stream, http::make_chunk(net::buffer(parts)), asTuple));
  else if (!parts.empty())
    code = std::get<0>(
        co_await net::async_write(stream, net::buffer(parts), asTuple));
  if (!code && last && chunked)
    code = std::get<0>(
        co_await net::async_write(stream, http::make_chunk_last(), asTuple));
  co_return !code;
}

/// Answers what is no request.
net::awaitable<bool> Connection::refuse(const ApiError &error) {
  keepAlive = false;
  if (version != 10 && version != 11)
    version = 11;
  complete = co_await sendHead(toResponse(error), true);
  co_return complete;
}

/// A client that is still sending when its connection is closed would lose the
/// answer: what it sends is read for a while.
net::awaitable<void> Connection::linger() {
  error_code code;
  stream.socket().shutdown(net::ip::tcp::socket::shutdown_send, code);
  stream.expires_after(lingerTime);
  for (size_t taken = 0; !code && taken < mostLinger;) {
    buffer.clear();
    auto [failed, count] =
        co_await stream.async_read_some(buffer.prepare(1 << 16), asTuple);
    code = failed;
    taken += count;
  }
}

} // namespace mbc::serve
