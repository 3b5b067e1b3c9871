//===- HttpServer.cpp -----------------------------------------------------===//
#include "runtime/serve/HttpServer.h"

#include "runtime/core/Text.h"
#include "runtime/serve/Connection.h"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

namespace mbc::serve {

using boost::system::error_code;
using net::ip::tcp;

constexpr auto asTuple = net::as_tuple(net::use_awaitable);

/// Connections at a time; further ones wait for these.
constexpr size_t mostConnections = 512;
/// After a failure to accept, such as too many open files.
constexpr auto retryTime = std::chrono::milliseconds(100);
/// For answers to arrive, once what ran was ended.
constexpr auto cutTime = std::chrono::seconds(1);

class HttpServer::Impl {
public:
  Impl(HttpOptions options, Handler handler, Log log)
      : context{std::move(options), std::move(handler), std::move(log)},
        acceptor(io), late(io), pause(io) {}

  Status listen() {
    const HttpOptions &options = context.options;
    error_code code;
    auto address = net::ip::make_address(
        options.host == "localhost" ? "127.0.0.1" : options.host, code);
    if (code)
      return inputError(
          fmt::format("option '--host' is {}, expected an address of this "
                      "machine such as 127.0.0.1 or ::1, or 0.0.0.0 for all",
                      quote(options.host)));
    tcp::endpoint end(address, options.port);
    // In this order; the first that fails says why.
    acceptor.open(end.protocol(), code);
    if (!code)
      acceptor.set_option(tcp::acceptor::reuse_address(true), code);
    if (!code)
      acceptor.bind(end, code);
    if (!code)
      acceptor.listen(net::socket_base::max_listen_connections, code);
    if (code)
      return systemError(
          fmt::format("cannot listen on {} port {}: {}{}",
                      end.address().to_string(), options.port, code.message(),
                      code == net::error::address_in_use
                          ? "; '--port' takes another one, 0 any that is free"
                          : ""));
    // Asked for by any thread, also while the acceptor is being closed.
    bound = acceptor.local_endpoint(code);
    return {};
  }

  tcp::endpoint endpoint() const { return bound; }

  void run() {
    net::co_spawn(io, accept(), net::detached);
    io.run();
  }

  void stop(std::chrono::milliseconds grace, std::function<void()> tell) {
    net::post(io, [this, grace, tell = std::move(tell)] {
      if (std::exchange(context.stopping, true))
        return;
      error_code code;
      acceptor.close(code);
      pause.cancel();
      each([](Connection &connection) { connection.stop(); });
      net::co_spawn(io, cutLater(grace, tell), net::detached);
    });
  }

private:
  net::awaitable<void> accept() {
    while (!context.stopping) {
      if (connections.size() >= mostConnections) {
        co_await wait(net::steady_timer::duration::max());
        continue;
      }
      auto [failed, socket] = co_await acceptor.async_accept(asTuple);
      if (context.stopping)
        break;
      if (failed) {
        co_await wait(retryTime);
        continue;
      }
      auto connection =
          std::make_shared<Connection>(std::move(socket), context);
      connections.push_back(connection);
      net::co_spawn(io, connection->serve(),
                    [this, connection](const std::exception_ptr &) {
                      std::erase(connections, connection);
                      pause.cancel();
                      if (context.stopping && connections.empty())
                        late.cancel();
                    });
    }
  }

  net::awaitable<void> wait(net::steady_timer::duration time) {
    if (time == net::steady_timer::duration::max())
      pause.expires_at(net::steady_timer::time_point::max());
    else
      pause.expires_after(time);
    co_await pause.async_wait(asTuple);
  }

  net::awaitable<void> cutLater(std::chrono::milliseconds grace,
                                std::function<void()> tell) {
    if (connections.empty())
      co_return;
    late.expires_after(grace);
    co_await late.async_wait(asTuple);
    if (connections.empty())
      co_return;
    tell();
    late.expires_after(cutTime);
    co_await late.async_wait(asTuple);
    each([](Connection &connection) { connection.cut(); });
  }

  template <typename Fn> void each(Fn &&fn) {
    // Ending one takes it off the list, later.
    for (const auto &connection : std::vector(connections))
      fn(*connection);
  }

  ServerContext context;
  net::io_context io{1};
  tcp::acceptor acceptor;
  tcp::endpoint bound; ///< where it listens
  net::steady_timer late, pause;
  std::vector<std::shared_ptr<Connection>> connections;
};

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl(std::move(impl)) {}
HttpServer::~HttpServer() = default;

Expected<std::unique_ptr<HttpServer>>
HttpServer::listen(const HttpOptions &options, Handler handler, Log log) {
  auto impl =
      std::make_unique<Impl>(options, std::move(handler), std::move(log));
  MBC_TRY(impl->listen());
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

std::string HttpServer::address() const {
  auto end = impl->endpoint();
  std::string host = end.address().to_string();
  return fmt::format("http://{}:{}",
                     end.address().is_v6() ? "[" + host + "]" : host,
                     end.port());
}

uint16_t HttpServer::port() const { return impl->endpoint().port(); }

void HttpServer::run() { impl->run(); }

void HttpServer::stop(std::chrono::milliseconds grace,
                      std::function<void()> late) {
  impl->stop(grace, std::move(late));
}

} // namespace mbc::serve
