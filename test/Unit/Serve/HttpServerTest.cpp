#include "Client.h"
#include "Fakes.h"

#include <gtest/gtest.h>

using namespace mbc;
using namespace mbc::serve;

namespace {

using namespace std::chrono_literals;

TEST(HttpServer, AConnectionTakesManyRequests) {
  FakeServer server;
  Client client(server.port());
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(client.get("/health?x=1"));
    Answer answer = client.read();
    EXPECT_EQ(answer.status, 200u);
    EXPECT_EQ(answer.body, "{\"status\":\"ok\"}\n");
  }
  // Two at once are answered in order.
  ASSERT_TRUE(client.get("/health") && client.get("/v1/models"));
  EXPECT_EQ(client.read().body, "{\"status\":\"ok\"}\n");
  EXPECT_NE(client.read().body.find("fake/model"), std::string::npos);
}

TEST(HttpServer, HeadHasNoBody) {
  FakeServer server;
  Client client(server.port());
  ASSERT_TRUE(client.get("/health", "HEAD"));
  EXPECT_EQ(client.read(true).status, 200u);
  ASSERT_TRUE(client.get("/health"));
  EXPECT_EQ(client.read().body, "{\"status\":\"ok\"}\n");
}

TEST(HttpServer, WhatIsNotHttpIsRefused) {
  FakeServer server;
  for (auto [text, status] : {std::pair("hello\r\n\r\n", 400u),
                              {"GET / HTTP/9.9\r\n\r\n", 400u},
                              {"GET /\x01 HTTP/1.1\r\n\r\n", 400u},
                              {"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400u},
                              {"POST /v1/completions HTTP/1.1\r\n"
                               "Content-Length: -1\r\n\r\n",
                               400u},
                              {"POST /v1/completions HTTP/1.1\r\n"
                               "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
                               400u}}) {
    Client client(server.port());
    ASSERT_TRUE(client.send(text));
    Answer answer = client.read();
    EXPECT_EQ(answer.status, status) << text;
    EXPECT_TRUE(Json::parse(answer.body, "body")) << answer.body;
    EXPECT_TRUE(client.isEnded());
  }
}

TEST(HttpServer, HeadersHaveALimit) {
  FakeServer server;
  Client client(server.port());
  ASSERT_TRUE(
      client.get("/health", "GET", "X: " + std::string(20'000, 'x') + "\r\n"));
  EXPECT_EQ(client.read().status, 431u);
}

TEST(HttpServer, BodiesHaveALimit) {
  FakeServer server({.queue = 2}, {.bodyBytes = 1000});
  std::string body = R"({"max_tokens":1,"prompt":"a","user":")" +
                     std::string(900, 'x') + "\"}";
  Client client(server.port());
  ASSERT_TRUE(client.post("/v1/completions", body));
  EXPECT_EQ(client.read().status, 200u);
  body.insert(body.size() - 2, 100'000, 'x');
  client.post("/v1/completions", body);
  Answer answer = client.read();
  EXPECT_EQ(answer.status, 413u);
  EXPECT_NE(answer.body.find("more than 1000 bytes"), std::string::npos);
  EXPECT_TRUE(client.isEnded());
  // A length that is told in chunks.
  Client other(server.port());
  ASSERT_TRUE(other.send("POST /v1/completions HTTP/1.1\r\nContent-Type: "
                         "application/json\r\nTransfer-Encoding: "
                         "chunked\r\n\r\n800\r\n" +
                         std::string(0x800, ' ') + "\r\n0\r\n\r\n"));
  EXPECT_EQ(other.read().status, 413u);
}

TEST(HttpServer, ABodyIsAskedForWhereTheClientWaits) {
  FakeServer server;
  Client client(server.port());
  const std::string body = R"({"prompt":"abc","max_tokens":2})";
  ASSERT_TRUE(client.post("/v1/completions", "", "") && true);
  EXPECT_EQ(client.read().status, 400u); // an empty body
  ASSERT_TRUE(client.send(fmt::format(
      "POST /v1/completions HTTP/1.1\r\nContent-Type: application/json\r\n"
      "Expect: 100-continue\r\nContent-Length: {}\r\n\r\n",
      body.size())));
  EXPECT_EQ(client.read(true).status, 100u);
  ASSERT_TRUE(client.send(body));
  EXPECT_EQ(client.read().status, 200u);
}

TEST(HttpServer, IdleConnectionsEnd) {
  FakeServer server({.queue = 2}, {.idle = 100ms});
  Client silent(server.port()), halfway(server.port());
  ASSERT_TRUE(halfway.send("POST /v1/completions HTTP/1.1\r\nContent-Le"));
  EXPECT_TRUE(silent.isEnded());
  EXPECT_TRUE(halfway.isEnded());
}

TEST(HttpServer, Http10ClientsReadToTheEnd) {
  FakeServer server;
  Client client(server.port());
  const std::string body = R"({"prompt":"abcd","max_tokens":4,"stream":true})";
  ASSERT_TRUE(client.send(
      fmt::format("POST /v1/completions HTTP/1.0\r\nContent-Type: "
                  "application/json\r\nContent-Length: {}\r\n\r\n{}",
                  body.size(), body)));
  Answer answer = client.read();
  EXPECT_EQ(answer.status, 200u);
  EXPECT_EQ(answer.head.find("chunked"), std::string::npos);
  EXPECT_TRUE(answer.body.ends_with("data: [DONE]\n\n")) << answer.body;
}

// What comes while something is sent is sent too, however the two fall: parts
// from another thread, with pauses from nothing to longer than a write.
TEST(HttpServer, NothingOfAStreamIsLost) {
  std::vector<std::jthread> writers;
  auto listening = HttpServer::listen(
      {.port = 0},
      [&](const std::shared_ptr<Exchange> &exchange) {
        writers.emplace_back([exchange, pause = writers.size() % 40] {
          auto wait = [&](size_t times) {
            auto end = std::chrono::steady_clock::now() + times * 2us;
            while (std::chrono::steady_clock::now() < end) {
            }
          };
          exchange->begin({.status = 200});
          for (size_t i = 0; i < 20; ++i) {
            wait((pause + i) % 40);
            exchange->write("part\n");
          }
          wait(pause);
          exchange->finish();
        });
      },
      [](const HttpRecord &) {});
  ASSERT_TRUE(listening) << listening.error().message;
  HttpServer &server = **listening;
  std::jthread serving([&] { server.run(); });
  {
    Client client(server.port());
    for (int i = 0; i < 400; ++i) {
      ASSERT_TRUE(client.get("/"));
      std::string body = client.read().body;
      EXPECT_EQ(std::ranges::count(body, '\n'), 20) << i;
      if (HasFailure())
        break;
    }
  }
  server.stop(0ms, [] {});
}

TEST(HttpServer, APortIsTakenOnce) {
  FakeServer server;
  HttpOptions options;
  options.port = server.port();
  auto again = HttpServer::listen(options, {}, {});
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().kind, ErrorKind::System);
  EXPECT_NE(again.error().message.find("'--port' takes another"),
            std::string::npos);
  options.host = "nowhere";
  again = HttpServer::listen(options, {}, {});
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().kind, ErrorKind::Input);
}

TEST(HttpServer, TheLogHasARecordOfEachRequest) {
  FakeServer server;
  {
    Client client(server.port());
    ASSERT_TRUE(client.post("/v1/completions",
                            R"({"prompt":"secret","max_tokens":4})"));
    ASSERT_EQ(client.read().status, 200u);
  }
  for (int i = 0; i < 400 && server.log().empty(); ++i)
    std::this_thread::sleep_for(5ms);
  auto log = server.log();
  ASSERT_EQ(log.size(), 1u);
  EXPECT_EQ(log[0].method + " " + log[0].path, "POST /v1/completions");
  EXPECT_EQ(log[0].status, 200u);
  EXPECT_TRUE(log[0].complete);
  EXPECT_EQ(log[0].remark, "6 + 4 tokens");
  EXPECT_TRUE(log[0].peer.starts_with("127.0.0.1:"));
}

} // namespace
