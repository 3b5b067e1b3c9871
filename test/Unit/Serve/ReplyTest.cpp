#include "runtime/serve/Reply.h"

#include "Fakes.h"

#include <gtest/gtest.h>
#include <limits>

using namespace mbc;
using namespace mbc::serve;

namespace {

/// The object of an event.
Json parsed(const std::string &event) {
  EXPECT_TRUE(event.starts_with("data: ") && event.ends_with("\n\n")) << event;
  auto json = Json::parse(event.substr(6), "event");
  EXPECT_TRUE(json) << event;
  return json ? *json : Json();
}

const Json &choice(const Json &json) {
  return json.find("choices")->elements().front();
}

TEST(Reply, ACompletionHasItsShape) {
  Reply reply(false, "m", false);
  Json json = reply.whole({{0, "a\n", {}, generate::Finish::Length},
                           {1, "b", {}, generate::Finish::StopString}},
                          {3, 1, 5});
  EXPECT_EQ(*json.find("object"), Json("text_completion"));
  EXPECT_EQ(*json.find("model"), Json("m"));
  EXPECT_TRUE(json.find("id")->asString()->starts_with("cmpl-"));
  EXPECT_EQ(json.find("choices")->dumpCompact(),
            R"([{"index":0,"text":"a\n","logprobs":null,"finish_reason":)"
            R"("length"},{"index":1,"text":"b","logprobs":null,)"
            R"("finish_reason":"stop"}])");
  EXPECT_EQ(json.find("usage")->dumpCompact(),
            R"({"prompt_tokens":3,"completion_tokens":5,"total_tokens":8,)"
            R"("prompt_tokens_details":{"cached_tokens":1}})");
}

TEST(Reply, AChatHasItsShape) {
  Reply reply(true, "m", false);
  Json json = reply.whole({{0, "a", {}, generate::Finish::StopToken}}, {});
  EXPECT_EQ(*json.find("object"), Json("chat.completion"));
  EXPECT_TRUE(json.find("id")->asString()->starts_with("chatcmpl-"));
  EXPECT_EQ(choice(json).find("message")->dumpCompact(),
            R"({"role":"assistant","content":"a","refusal":null})");
}

TEST(Reply, ChunksAreEvents) {
  Reply reply(true, "m", true);
  Json first = parsed(reply.begin(1)), more = parsed(reply.part({1, "a"})),
       last = parsed(reply.part({1, "", {}, generate::Finish::Length})),
       usage = parsed(reply.usage({1, 0, 2}));
  for (const Json *json : {&first, &more, &last}) {
    EXPECT_EQ(*json->find("object"), Json("chat.completion.chunk"));
    EXPECT_EQ(*json->find("id"), *first.find("id"));
    EXPECT_EQ(*choice(*json).find("index"), Json(1));
    EXPECT_TRUE(json->find("usage")->isNull());
  }
  EXPECT_EQ(choice(first).find("delta")->dumpCompact(),
            R"({"role":"assistant","content":""})");
  EXPECT_EQ(choice(more).find("delta")->dumpCompact(), R"({"content":"a"})");
  EXPECT_TRUE(choice(more).find("finish_reason")->isNull());
  EXPECT_EQ(choice(last).find("delta")->dumpCompact(), "{}");
  EXPECT_EQ(*choice(last).find("finish_reason"), Json("length"));
  EXPECT_TRUE(usage.find("choices")->elements().empty());
  EXPECT_EQ(*usage.find("usage")->find("total_tokens"), Json(3));
  EXPECT_EQ(Reply::end(), "data: [DONE]\n\n");
  Reply text(false, "m", false);
  EXPECT_EQ(text.begin(0), "");
  EXPECT_EQ(parsed(text.part({0, "a"})).find("usage"), nullptr);
}

TEST(Reply, LogProbabilitiesHaveTwoShapes) {
  FakeText text;
  std::vector<generate::Choice> tokens(2);
  tokens[0] = {{'a', -0.5f}, {{'a', -0.5f}, {'b', -1.5f}}};
  tokens[1] = {{200, -std::numeric_limits<float>::infinity()}, {}};
  EXPECT_EQ(
      chatLogprobs(tokens, text).dumpCompact(),
      R"({"content":[{"token":"a","logprob":-0.5,"bytes":[97],"top_logprobs":)"
      R"([{"token":"a","logprob":-0.5,"bytes":[97]},)"
      R"({"token":"b","logprob":-1.5,"bytes":[98]}]},)"
      "{\"token\":\"\xef\xbf\xbd\",\"logprob\":-9999.0,\"bytes\":null,"
      R"("top_logprobs":[]}],"refusal":null})");
  int64_t offset = 7;
  EXPECT_EQ(textLogprobs(tokens, text, offset).dumpCompact(),
            "{\"tokens\":[\"a\",\"\xef\xbf\xbd\"],\"token_logprobs\":[-0.5,"
            R"(-9999.0],"top_logprobs":[{"a":-0.5,"b":-1.5},{}],)"
            R"("text_offset":[7,8]})");
  EXPECT_EQ(offset, 9);
}

TEST(Reply, ErrorsHaveOpenAIsShape) {
  EXPECT_EQ((ApiError{400, "what", "n", "c"}).body().dumpCompact(),
            R"({"error":{"message":"what","type":"invalid_request_error",)"
            R"("param":"n","code":"c"}})");
  EXPECT_EQ((ApiError{500, "what"}).body().dumpCompact(),
            R"({"error":{"message":"what","type":"server_error","param":null,)"
            R"("code":null}})");
}

} // namespace
