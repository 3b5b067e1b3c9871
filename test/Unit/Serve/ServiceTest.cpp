#include "Client.h"
#include "Fakes.h"

#include <gtest/gtest.h>

using namespace mbc;
using namespace mbc::serve;

namespace {

using namespace std::chrono_literals;

Json parsed(std::string_view text) {
  auto json = Json::parse(text, "answer");
  EXPECT_TRUE(json) << text;
  return json ? *json : Json();
}

/// The answer to a body.
Answer ask(FakeServer &server, std::string_view body,
           std::string_view path = "/v1/completions",
           std::string_view header = {}) {
  Client client(server.port());
  EXPECT_TRUE(client.connected && client.post(path, body, header));
  return client.read();
}

std::string messageOf(const Answer &answer) {
  Json json = parsed(answer.body);
  const Json *error = json.find("error");
  EXPECT_NE(error, nullptr) << answer.body;
  return error ? *error->find("message")->asString() : "";
}

/// The objects of a stream, but for the end, which must be there.
std::vector<Json> events(const Answer &answer) {
  std::vector<Json> result;
  std::string_view rest = answer.body;
  EXPECT_TRUE(rest.ends_with("data: [DONE]\n\n")) << rest;
  while (rest.starts_with("data: {")) {
    size_t end = rest.find("\n\n");
    result.push_back(parsed(rest.substr(6, end - 6)));
    rest.remove_prefix(end + 2);
  }
  EXPECT_EQ(rest, "data: [DONE]\n\n");
  return result;
}

TEST(Service, CompletesAText) {
  FakeServer server;
  Answer answer = ask(server, R"({"prompt":"abcdef","max_tokens":4})");
  ASSERT_EQ(answer.status, 200u) << answer.body;
  Json json = parsed(answer.body), choice = json.find("choices")->elements()[0];
  EXPECT_EQ(*choice.find("text"), Json("abcd"));
  EXPECT_EQ(*choice.find("finish_reason"), Json("length"));
  EXPECT_EQ(*json.find("usage")->find("prompt_tokens"), Json(6));
  EXPECT_EQ(*json.find("usage")->find("completion_tokens"), Json(4));
  EXPECT_EQ(*json.find("model"), Json("fake/model"));
}

TEST(Service, EveryPromptHasItsChoices) {
  FakeServer server;
  Answer answer = ask(
      server,
      R"({"prompt":["ab","cd"],"n":2,"max_tokens":2,"echo":true,"seed":1})");
  ASSERT_EQ(answer.status, 200u) << answer.body;
  Json json = parsed(answer.body);
  std::string texts;
  for (const Json &choice : json.find("choices")->elements())
    texts += fmt::format("{}:{} ", *choice.find("index")->asInt(),
                         *choice.find("text")->asString());
  EXPECT_EQ(texts, "0:abab 1:abab 2:cdcd 3:cdcd ");
  EXPECT_EQ(*json.find("usage")->find("prompt_tokens"), Json(4));
  EXPECT_EQ(*json.find("usage")->find("completion_tokens"), Json(8));
}

TEST(Service, AChatStreamsWholeCharacters) {
  FakeServer server;
  Answer answer =
      ask(server,
          "{\"messages\":[{\"role\":\"user\",\"content\":\"a\xf0\x9f\x98\x80"
          "z\"}],\"max_tokens\":6,\"stream\":true,\"stream_options\":"
          "{\"include_usage\":true}}",
          "/v1/chat/completions");
  ASSERT_EQ(answer.status, 200u) << answer.body;
  EXPECT_NE(answer.head.find("text/event-stream"), std::string::npos);
  std::vector<std::string> parts;
  auto list = events(answer);
  ASSERT_GE(list.size(), 3u);
  EXPECT_EQ(list.back().find("usage")->find("completion_tokens")->asInt(), 6);
  list.pop_back();
  for (const Json &event : list) {
    const Json &choice = event.find("choices")->elements()[0];
    if (const Json *content = choice.find("delta")->find("content"))
      parts.push_back(*content->asString());
  }
  EXPECT_EQ(parts,
            (std::vector<std::string>{"", "a", "\xf0\x9f\x98\x80", "z"}));
  EXPECT_EQ(*list.back().find("choices")->elements()[0].find("finish_reason"),
            Json("length"));
}

TEST(Service, StopsHaveTheirReason) {
  FakeServer server;
  Answer answer =
      ask(server, R"({"prompt":"abcdef","max_tokens":6,"stop":"cd"})");
  Json choice = parsed(answer.body).find("choices")->elements()[0];
  EXPECT_EQ(*choice.find("text"), Json("ab"));
  EXPECT_EQ(*choice.find("finish_reason"), Json("stop"));
  answer =
      ask(server, R"({"prompt":"ab\u0000cd","max_tokens":5,"logprobs":1})");
  choice = parsed(answer.body).find("choices")->elements()[0];
  EXPECT_EQ(*choice.find("text"), Json("ab"));
  EXPECT_EQ(*choice.find("finish_reason"), Json("stop"));
  EXPECT_EQ(choice.find("logprobs")->find("tokens")->dumpCompact(),
            R"(["a","b"])");
  answer = ask(server, R"({"prompt":"a\u0000c","max_tokens":3,"ignore_eos":true,
                           "stop_token_ids":[99]})");
  choice = parsed(answer.body).find("choices")->elements()[0];
  EXPECT_EQ(*choice.find("text"), Json(std::string("a\0", 2)));
}

TEST(Service, StreamedLogProbabilitiesAreThoseOfTheWhole) {
  FakeServer server;
  const std::string body =
      "\"prompt\":\"a\xc3\xa9z\",\"max_tokens\":4,\"logprobs\":2}";
  Json whole = parsed(ask(server, "{" + body).body);
  auto parts = events(ask(server, "{\"stream\":true," + body));
  const char *names[] = {"tokens", "token_logprobs", "top_logprobs",
                         "text_offset"};
  for (const char *name : names) {
    Json together = Json::array();
    for (const Json &part : parts)
      for (const Json &item : part.find("choices")
                                  ->elements()[0]
                                  .find("logprobs")
                                  ->find(name)
                                  ->elements())
        together.push(item);
    EXPECT_EQ(together.dumpCompact(), whole.find("choices")
                                          ->elements()[0]
                                          .find("logprobs")
                                          ->find(name)
                                          ->dumpCompact());
  }
}

TEST(Service, RefusalsHaveTheirStatus) {
  FakeServer server;
  struct {
    const char *body;
    unsigned status;
    const char *message;
  } refusals[] = {
      {"{", 400, "the body of the request"},
      {R"({"prompt":"a","model":"other"})", 404, "'other'; this server has"},
      {R"({"prompt":""})", 400, "empty"},
      {R"({"prompt":[]})", 400, "empty"},
      {R"({"prompt":[300]})", 400, "token 300"},
      {R"({"prompt":"a","max_tokens":200})", 400,
       "the context holds 200 tokens; the prompt has 1, and 200 new ones"},
      {R"({"prompt":"a","n":7})", 400, "7 texts are asked for"},
      {R"({"prompt":["a","b","c","d","e","f","g"]})", 400, "7 prompts"},
      {R"({"prompt":"a","n":4,"best_of":5})", 400, "best_of"},
  };
  for (const auto &refusal : refusals) {
    Answer answer = ask(server, refusal.body);
    EXPECT_EQ(answer.status, refusal.status) << refusal.body;
    EXPECT_NE(messageOf(answer).find(refusal.message), std::string::npos)
        << answer.body;
  }
  Answer answer = ask(server,
                      R"({"messages":[{"role":"user","content":"a"}],
                          "chat_template_kwargs":{"refuse":1}})",
                      "/v1/chat/completions");
  EXPECT_EQ(answer.status, 400u);
  EXPECT_EQ(messageOf(answer), "the template refuses this");
  EXPECT_EQ(ask(server, "{}", "/v1/nothing").status, 404u);
  EXPECT_EQ(server.executor.steps, 0);
}

TEST(Service, PathsHaveTheirMethods) {
  FakeServer server;
  Client client(server.port());
  for (auto [path, method, status, allow] :
       {std::tuple("/v1/completions", "GET", 405u, "POST"),
        {"/v1/models", "DELETE", 405u, "GET"},
        {"/health", "PATCH", 405u, "GET"},
        {"/", "GET", 404u, ""},
        {"/v1/models/fake%2Fmodel", "GET", 200u, ""},
        {"/v1/models/fake/model", "GET", 200u, ""},
        {"/v1/models/fake%", "GET", 404u, ""},
        {"/metrics", "GET", 200u, ""},
        {"/v1/models", "OPTIONS", 405u, "GET"}}) {
    ASSERT_TRUE(client.get(path, method));
    Answer answer = client.read();
    EXPECT_EQ(answer.status, status) << path;
    EXPECT_NE(answer.head.find(*allow ? fmt::format("Allow: {}\r\n", allow)
                                      : std::string()),
              std::string::npos)
        << answer.head;
  }
}

TEST(Service, OtherTypesThanJsonAreRefused) {
  FakeServer server;
  Client client(server.port());
  ASSERT_TRUE(client.send("POST /v1/completions HTTP/1.1\r\nContent-Type: "
                          "text/plain\r\nContent-Length: 2\r\n\r\n{}"));
  EXPECT_EQ(client.read().status, 415u);
  ASSERT_TRUE(client.send("POST /v1/completions HTTP/1.1\r\nContent-Length: "
                          "2\r\n\r\n{}"));
  EXPECT_EQ(client.read().status, 415u);
  ASSERT_TRUE(client.send("POST /v1/completions HTTP/1.1\r\nContent-Type: "
                          "Application/JSON; charset=utf-8\r\nContent-Length: "
                          "2\r\n\r\n{}"));
  EXPECT_EQ(client.read().status, 400u);
}

TEST(Service, AKeyIsAskedFor) {
  FakeServer server({.queue = 2, .apiKey = "secret"});
  const char *body = R"({"prompt":"a","max_tokens":1})";
  Answer none = ask(server, body);
  EXPECT_EQ(none.status, 401u);
  EXPECT_EQ(*parsed(none.body).find("error")->find("code"),
            Json("invalid_api_key"));
  auto with = [&](const char *key) {
    return ask(server, body, "/v1/completions",
               fmt::format("Authorization: {}\r\n", key))
        .status;
  };
  EXPECT_EQ(with("Bearer wrong"), 401u);
  EXPECT_EQ(with("Bearer secretsecret"), 401u);
  EXPECT_EQ(with("Bearer "), 401u);
  EXPECT_EQ(with("secret"), 401u);
  EXPECT_EQ(with("Bearer secret"), 200u);
  Client client(server.port());
  ASSERT_TRUE(client.get("/health"));
  EXPECT_EQ(client.read().status, 200u);
  ASSERT_TRUE(client.get("/metrics"));
  EXPECT_EQ(client.read().status, 401u);
}

TEST(Service, PagesOfOneOriginMayCall) {
  FakeServer server({.queue = 2, .apiKey = "k", .origin = "https://a.example"},
                    {.origin = "https://a.example"});
  Client client(server.port());
  ASSERT_TRUE(client.get("/v1/completions", "OPTIONS"));
  Answer answer = client.read();
  EXPECT_EQ(answer.status, 204u);
  for (const char *line :
       {"Access-Control-Allow-Origin: https://a.example\r\n",
        "Access-Control-Allow-Headers: authorization, content-type\r\n"})
    EXPECT_NE(answer.head.find(line), std::string::npos) << answer.head;
  ASSERT_TRUE(client.get("/health"));
  EXPECT_NE(client.read().head.find("Allow-Origin: https://a.example\r\n"),
            std::string::npos);
}

TEST(Service, AFullQueueIsToldApart) {
  FakeServer server; // 4 are computed, 2 wait
  server.executor.delay = 20'000;
  Client busy(server.port());
  ASSERT_TRUE(busy.post("/v1/completions",
                        R"({"prompt":"abcdefgh","n":6,"max_tokens":8})"));
  while (server.engine.pending() < 6)
    std::this_thread::sleep_for(1ms);
  Answer answer = ask(server, R"({"prompt":"a","max_tokens":1})");
  EXPECT_EQ(answer.status, 429u);
  EXPECT_NE(answer.head.find("Retry-After: 1\r\n"), std::string::npos);
  EXPECT_EQ(*parsed(answer.body).find("error")->find("code"),
            Json("queue_full"));
  server.executor.delay = 0;
  EXPECT_EQ(busy.read().status, 200u);
  EXPECT_EQ(ask(server, R"({"prompt":"a","max_tokens":1})").status, 200u);
}

TEST(Service, AClientThatGoesFreesItsSlots) {
  FakeServer server;
  server.executor.delay = 20'000; // four seconds for all
  for (const char *stream : {"true", "false"}) {
    Client client(server.port());
    ASSERT_TRUE(client.post(
        "/v1/completions",
        fmt::format(R"({{"prompt":[1,2],"n":6,"max_tokens":198,"stream":{}}})",
                    stream)));
    while (server.engine.pending() < 6)
      std::this_thread::sleep_for(1ms);
    client.close();
    EXPECT_TRUE(server.becomesIdle()) << stream;
  }
  // Also one that had more to say.
  Client client(server.port());
  ASSERT_TRUE(client.post("/v1/completions",
                          R"({"prompt":[1,2],"n":6,"max_tokens":198})") &&
              client.get("/health"));
  while (server.engine.pending() < 6)
    std::this_thread::sleep_for(1ms);
  client.close();
  EXPECT_TRUE(server.becomesIdle());
}

TEST(Service, ASlowReaderStopsNobody) {
  FakeServer server;
  Client slow(server.port());
  ASSERT_TRUE(slow.post("/v1/completions",
                        R"({"prompt":"a","n":4,"max_tokens":199,"logprobs":20,
                            "stream":true})"));
  // Reads nothing, while others come and go.
  for (int i = 0; i < 20; ++i)
    EXPECT_EQ(ask(server, R"({"prompt":"ab","max_tokens":2})").status, 200u);
  Answer answer = slow.read();
  EXPECT_EQ(answer.status, 200u);
  events(answer);
}

TEST(Service, AFailureIsOursAndToldOnce) {
  FakeServer server;
  server.executor.broken = true;
  Answer answer = ask(server, R"({"prompt":"ab","n":3,"max_tokens":2})");
  EXPECT_EQ(answer.status, 500u);
  EXPECT_EQ(messageOf(answer), "the machine is broken");
  EXPECT_EQ(ask(server, R"({"prompt":"ab","max_tokens":2})").status, 200u);
  // In the middle of a stream.
  server.executor.delay = 5'000;
  Client client(server.port());
  ASSERT_TRUE(client.post("/v1/completions",
                          R"({"prompt":"abcdefgh","max_tokens":100,
                              "stream":true})"));
  ASSERT_TRUE(client.readUntil("\"text\":\"c\""));
  server.executor.broken = true;
  answer = client.read();
  EXPECT_EQ(answer.status, 200u);
  EXPECT_NE(answer.body.find("data: {\"error\":{\"message\":\"the machine is "
                             "broken\""),
            std::string::npos)
      << answer.body;
  EXPECT_EQ(answer.body.find("[DONE]"), std::string::npos);
}

TEST(Service, StoppingLetsWhatRunsEnd) {
  FakeServer server;
  server.executor.delay = 5'000;
  Client client(server.port()), idle(server.port());
  ASSERT_TRUE(client.post("/v1/completions",
                          R"({"prompt":"abcdefgh","max_tokens":20,
                              "stream":true})"));
  ASSERT_TRUE(client.readUntil("\"text\":\"b\""));
  server.stop(5s);
  EXPECT_TRUE(idle.isEnded());
  EXPECT_FALSE(Client(server.port()).connected);
  events(client.read());
  EXPECT_TRUE(client.isEnded());
}

TEST(Service, StoppingEndsWhatRunsTooLong) {
  FakeServer server;
  server.executor.delay = 50'000;
  Client streaming(server.port()), waiting(server.port());
  ASSERT_TRUE(streaming.post("/v1/completions",
                             R"({"prompt":"abcd","max_tokens":190,
                                 "stream":true})"));
  ASSERT_TRUE(streaming.readUntil("\"text\":\"b\""));
  ASSERT_TRUE(
      waiting.post("/v1/completions", R"({"prompt":"abcd","max_tokens":190})"));
  while (server.engine.pending() < 2)
    std::this_thread::sleep_for(1ms);
  server.stop(100ms);
  Answer answer = streaming.read();
  EXPECT_EQ(answer.status, 200u);
  EXPECT_NE(answer.body.find("the server is stopping"), std::string::npos);
  EXPECT_EQ(waiting.read().status, 503u);
}

} // namespace
