#include "runtime/serve/CompletionRequest.h"

#include <gtest/gtest.h>

using namespace mbc;
using namespace mbc::serve;

namespace {

ApiResult<CompletionRequest> text(std::string_view members) {
  return CompletionRequest::parse("{" + std::string(members) + "}", false);
}
ApiResult<CompletionRequest> chat(std::string_view members) {
  return CompletionRequest::parse(
      R"({"messages":[{"role":"user","content":"Hi"}])" + std::string(members) +
          "}",
      true);
}
ApiResult<CompletionRequest> messages(std::string_view list) {
  return CompletionRequest::parse(R"({"messages":)" + std::string(list) + "}",
                                  true);
}

TEST(CompletionRequest, WhatIsLeftOutHasOpenAIsValues) {
  auto request = text(R"("prompt":"Hi")");
  ASSERT_TRUE(request);
  EXPECT_EQ(request->maxTokens, 16);
  EXPECT_EQ(request->choices, 1);
  EXPECT_EQ(request->logprobs, -1);
  EXPECT_TRUE(request->sampling.sample);
  EXPECT_FALSE(request->sampling.temperature || request->sampling.seed ||
               request->stream || request->echo || request->includeUsage);
  request = chat("");
  ASSERT_TRUE(request);
  EXPECT_FALSE(request->maxTokens);
  // A template tells null from an absent variable.
  ASSERT_NE(request->variables.find("tools"), nullptr);
  EXPECT_TRUE(request->variables.find("tools")->isNull());
}

TEST(CompletionRequest, PromptsHaveFourForms) {
  auto request = text(R"("prompt":"a")");
  ASSERT_TRUE(request);
  EXPECT_EQ(request->prompts, std::vector<PromptValue>{"a"});
  request = text(R"("prompt":["a","b"])");
  ASSERT_TRUE(request);
  EXPECT_EQ(request->prompts, (std::vector<PromptValue>{"a", "b"}));
  request = text(R"("prompt":[1,2])");
  ASSERT_TRUE(request);
  EXPECT_EQ(request->prompts,
            (std::vector<PromptValue>{std::vector<int32_t>{1, 2}}));
  request = text(R"("prompt":[[1],[2,3]])");
  ASSERT_TRUE(request);
  EXPECT_EQ(request->prompts,
            (std::vector<PromptValue>{std::vector<int32_t>{1},
                                      std::vector<int32_t>{2, 3}}));
}

TEST(CompletionRequest, ReadsEverySetting) {
  auto request = text(
      R"("prompt":"a","max_tokens":3,"temperature":0.5,"top_p":0.25,"n":2,
         "top_k":7,"min_p":0.125,"repetition_penalty":1.5,"seed":-1,
         "stop":["x","y"],"stop_token_ids":[4],"ignore_eos":true,"logprobs":2,
         "stream":true,"stream_options":{"include_usage":true},"user":"u",
         "frequency_penalty":0,"presence_penalty":0.0,"logit_bias":{},
         "suffix":"","best_of":2,"model":"m")");
  ASSERT_TRUE(request) << request.error().message;
  EXPECT_EQ(request->maxTokens, 3);
  EXPECT_EQ(request->choices, 2);
  EXPECT_EQ(request->sampling.temperature, 0.5);
  EXPECT_EQ(request->sampling.topP, 0.25);
  EXPECT_EQ(request->sampling.topK, 7u);
  EXPECT_EQ(request->sampling.minP, 0.125);
  EXPECT_EQ(request->sampling.repetitionPenalty, 1.5);
  EXPECT_EQ(request->sampling.seed, UINT64_MAX);
  EXPECT_EQ(request->stop, (std::vector<std::string>{"x", "y"}));
  EXPECT_EQ(request->stopTokens, std::vector<int32_t>{4});
  EXPECT_EQ(request->logprobs, 2);
  EXPECT_EQ(request->model, "m");
  EXPECT_TRUE(request->ignoreEos && request->stream && request->includeUsage);
}

TEST(CompletionRequest, TinyTemperaturesAreZero) {
  for (const char *value : {"0", "0.0", "1e-300", "1e-6"}) {
    auto request = chat(std::string(R"(,"temperature":)") + value);
    ASSERT_TRUE(request);
    EXPECT_EQ(request->sampling.temperature, 0.0) << value;
    EXPECT_FALSE(request->sampling.sample) << value;
  }
}

TEST(CompletionRequest, ChatsHaveTheirOwnNames) {
  auto request =
      chat(R"(,"max_completion_tokens":5,"logprobs":true,"top_logprobs":3)");
  ASSERT_TRUE(request);
  EXPECT_EQ(request->maxTokens, 5);
  EXPECT_EQ(request->logprobs, 3);
  request = chat(R"(,"logprobs":true)");
  ASSERT_TRUE(request);
  EXPECT_EQ(request->logprobs, 0);
  request = chat(R"(,"logprobs":false)");
  ASSERT_TRUE(request);
  EXPECT_EQ(request->logprobs, -1);
}

TEST(CompletionRequest, MessagesBecomeWhatTemplatesTake) {
  auto request = messages(
      R"([{"role":"developer","content":[{"type":"text","text":"a"},
                                          {"type":"text","text":"b"}]},
          {"role":"assistant","content":null,"tool_calls":[{"id":"c",
           "type":"function","function":{"name":"f","arguments":"{\"x\":1}"}}]},
          {"role":"tool","tool_call_id":"c","content":"2"}])");
  ASSERT_TRUE(request) << request.error().message;
  EXPECT_EQ(
      request->messages.dumpCompact(),
      R"([{"role":"system","content":"a\nb"},{"role":"assistant","content":null,)"
      R"("tool_calls":[{"id":"c","type":"function","function":{"name":"f",)"
      R"("arguments":{"x":1}}}]},{"role":"tool","tool_call_id":"c",)"
      R"("content":"2"}])");
}

TEST(CompletionRequest, PicturesAreTakenFromMessages) {
  auto request = messages(
      R"([{"role":"user","content":[{"type":"text","text":"a"},
           {"type":"image_url","image_url":{"url":
            "data:image/png;base64,iVBORw0KGgo=","detail":"auto"}}]},
          {"role":"user","content":[{"type":"image_url",
           "image_url":"data:image/jpeg;base64,/9j/AQ=="},
           {"type":"text","text":"b"}]}])");
  ASSERT_TRUE(request) << request.error().message;
  EXPECT_EQ(request->messages.dumpCompact(),
            R"([{"role":"user","content":[{"type":"text","text":"a"},)"
            R"({"type":"image"}]},{"role":"user","content":[{"type":"image"},)"
            R"({"type":"text","text":"b"}]}])");
  ASSERT_EQ(request->pictures.size(), 2u);
  EXPECT_EQ(request->pictures[0], "\x89PNG\r\n\x1a\n");
  EXPECT_EQ(request->pictures[1], "\xff\xd8\xff\x01");
}

TEST(CompletionRequest, ToolsAreForTheTemplate) {
  const std::string tools =
      R"(,"tools":[{"type":"function","function":{"name":"f"}}])";
  auto request = chat(tools);
  ASSERT_TRUE(request);
  EXPECT_EQ(request->variables.find("tools")->elements().size(), 1u);
  request = chat(tools + R"(,"tool_choice":"none")");
  ASSERT_TRUE(request);
  EXPECT_TRUE(request->variables.find("tools")->isNull());
  request = chat(R"(,"chat_template_kwargs":{"enable_thinking":false})");
  ASSERT_TRUE(request);
  EXPECT_EQ(*request->variables.find("enable_thinking"), Json(false));
}

struct Refusal {
  bool chat;
  const char *body, *param, *message;
};

TEST(CompletionRequest, RefusesByName) {
#define MESSAGES R"("messages":[{"role":"user","content":"Hi"}])"
#define PICTURE(url)                                                           \
  R"({"messages":[{"role":"user","content":[{"type":"image_url",)"             \
  R"("image_url":{"url":")" url R"("}}]}]})"
  const Refusal refusals[] = {
      {false, "", "", "line 1 column 1"},
      {false, "[]", "", "the body of the request is an array"},
      {false, "{", "", "line 1"},
      {false, R"({"prompt":"a","prompt":"b"})", "", "prompt"},
      {false, "{\"prompt\":\"\xff\"}", "", "UTF-8"},
      {false, R"({"prompt":"\ud800"})", "", "line 1"},
      {false, R"({"prompt":NaN})", "", "line 1"},
      {false, "{}", "prompt", "prompt is missing"},
      {false, R"({"prompt":null})", "prompt", "prompt is missing"},
      {false, R"({"prompt":[]})", "prompt", "empty list"},
      {false, R"({"prompt":{}})", "prompt", "an object, expected a string"},
      {false, R"({"prompt":["a",1]})", "prompt", "different kinds"},
      {false, R"({"prompt":[1,"a"]})", "prompt", "token ids"},
      {false, R"({"prompt":[-1]})", "prompt", "'-1'"},
      {false, R"({"prompt":[1.5]})", "prompt", "'1.5'"},
      {false, R"({"prompt":[4294967296]})", "prompt", "4294967296"},
      {false, R"({"prompt":[true]})", "prompt", "'true'"},
      {false, R"({"prompt":"a","max_tokens":0})", "max_tokens", "from 1 on"},
      {false, R"({"prompt":"a","max_tokens":-5})", "max_tokens", "'-5'"},
      {false, R"({"prompt":"a","max_tokens":1e9})", "max_tokens", "'1e9'"},
      {false, R"({"prompt":"a","max_tokens":99999999999999999999})",
       "max_tokens", "99999999999999999999"},
      {false, R"({"prompt":"a","n":1000000})", "n", "from 1 to 128"},
      {false, R"({"prompt":"a","n":"2"})", "n", "whole number"},
      {false, R"({"prompt":"a","temperature":-1})", "temperature", "'-1'"},
      {false, R"({"prompt":"a","temperature":2.5})", "temperature", "0 to 2"},
      {false, R"({"prompt":"a","temperature":1e999})", "temperature", "1e999"},
      {false, R"({"prompt":"a","temperature":"hot"})", "temperature", "hot"},
      {false, R"({"prompt":"a","temperature":true})", "temperature", "true"},
      {false, R"({"prompt":"a","top_p":0})", "top_p", "above 0"},
      {false, R"({"prompt":"a","top_p":1.01})", "top_p", "0 to 1"},
      {false, R"({"prompt":"a","top_k":-2})", "top_k", "from -1"},
      {false, R"({"prompt":"a","min_p":2})", "min_p", "0 to 1"},
      {false, R"({"prompt":"a","repetition_penalty":0})", "repetition_penalty",
       "0.01"},
      {false, R"({"prompt":"a","seed":1.5})", "seed", "'1.5'"},
      {false, R"({"prompt":"a","stop":["a","b","c","d","e"]})", "stop",
       "5 texts, expected 4"},
      {false, R"({"prompt":"a","stop":""})", "stop", "0 bytes"},
      {false, R"({"prompt":"a","stop":[1]})", "stop", "'1'"},
      {false, R"({"prompt":"a","stop":[["a"]]})", "stop", "an array"},
      {false, R"({"prompt":"a","stream":"yes"})", "stream", "true or false"},
      {false, R"({"prompt":"a","stream_options":{}})", "stream_options",
       "stream is not true"},
      {false, R"({"prompt":"a","stream":true,"stream_options":{"x":1}})", "x",
       "unknown field 'x'"},
      {false, R"({"prompt":"a","logprobs":true})", "logprobs", "whole number"},
      {false, R"({"prompt":"a","logprobs":21})", "logprobs", "0 to 20"},
      {false, R"({"prompt":"a","logprobs":1,"echo":true})", "echo", "prompt"},
      {false, R"({"prompt":"a","logit_bias":{"5":1}})", "logit_bias",
       "not supported"},
      {false, R"({"prompt":"a","suffix":"b"})", "suffix", "not supported"},
      {false, R"({"prompt":"a","best_of":3})", "best_of", "set it to 1"},
      {false, R"({"prompt":"a","presence_penalty":0.5})", "presence_penalty",
       "set it to 0"},
      {false, R"({"prompt":"a","frequency_penalty":"0"})", "frequency_penalty",
       "not supported"},
      {false, R"({"prompt":"a","max_token":5})", "max_token",
       "unknown field 'max_token'"},
      {false, R"({"prompt":"a","model":5})", "model", "a string"},
      {false, R"({"prompt":"a",)" MESSAGES "}", "messages", "unknown field"},
      {true, "{}", "messages", "messages is missing"},
      {true, R"({"messages":[]})", "messages", "at least one"},
      {true, R"({"messages":"Hi"})", "messages", "not a list"},
      {true, R"({"messages":["Hi"]})", "messages[0]", "not an object"},
      {true, R"({"messages":[{"content":"Hi"}]})", "messages[0]", "no role"},
      {true, R"({"messages":[{"role":"king","content":"Hi"}]})", "messages[0]",
       "'king', expected system"},
      {true, R"({"messages":[{"role":"user"}]})", "messages[0]", "no content"},
      {true, R"({"messages":[{"role":"user","content":null}]})", "messages[0]",
       "no content"},
      {true, R"({"messages":[{"role":"user","content":5}]})", "messages[0]",
       "neither a string"},
      {true,
       R"({"messages":[{"role":"user","content":[{"type":"image_url"}]}]})",
       "messages[0]", "{\"url\": URL}"},
      {true, PICTURE("https://a.b/c.png"), "messages[0]", "fetches nothing"},
      {true, PICTURE("/etc/passwd"), "messages[0]", "fetches nothing"},
      {true, PICTURE("file:///etc/passwd"), "messages[0]", "fetches nothing"},
      {true, PICTURE("data:image/gif;base64,AAAA"), "messages[0]",
       "'image/gif'; expected image/png"},
      {true, PICTURE("data:image/png,AAAA"), "messages[0]", "not in base64"},
      {true, PICTURE("data:image/png;base64"), "messages[0]", "no comma"},
      {true, PICTURE("data:image/png;base64,AAA"), "messages[0]",
       "multiple of 4"},
      {true, PICTURE("data:image/png;base64,A=AA"), "messages[0]",
       "'=' at digit 1"},
      {true,
       R"({"messages":[{"role":"user","content":[{"type":"image_url",)"
       R"("image_url":{"url":"data:image/png;base64,AAAA","detail":"low"}}]}]})",
       "messages[0]", "detail '\"low\"'"},
      {true,
       R"({"messages":[{"role":"user","content":[{"type":"video_url"}]}]})",
       "messages[0]", "only texts and pictures"},
      {true, R"({"messages":[{"role":"user","content":"a","audio":{}}]})",
       "messages[0]", "'audio'"},
      {true,
       R"({"messages":[{"role":"assistant","tool_calls":[{"function":
          {"name":"f","arguments":"{"}}]}]})",
       "messages[0]", "no JSON"},
      {true, "{" MESSAGES R"(,"max_tokens":1,"max_completion_tokens":2})",
       "max_tokens", "give one"},
      {true, "{" MESSAGES R"(,"top_logprobs":2})", "top_logprobs",
       "logprobs is not true"},
      {true, "{" MESSAGES R"(,"response_format":{"type":"json_object"}})",
       "response_format", R"(set it to {"type":"text"})"},
      {true, "{" MESSAGES R"(,"tools":[{"name":"f"}]})", "tools", "function"},
      {true, "{" MESSAGES R"(,"tool_choice":"required"})", "tool_choice",
       "\"auto\""},
      {true, "{" MESSAGES R"(,"functions":[{}]})", "functions",
       "not supported"},
      {true, "{" MESSAGES R"(,"modalities":["audio"]})", "modalities",
       "not supported"},
      {true, "{" MESSAGES R"(,"chat_template_kwargs":{"messages":[]}})",
       "chat_template_kwargs", "'messages'"},
      {true, "{" MESSAGES R"(,"prompt":"a"})", "prompt", "unknown field"},
  };
#undef MESSAGES
#undef PICTURE
  for (const Refusal &refusal : refusals) {
    auto request = CompletionRequest::parse(refusal.body, refusal.chat);
    ASSERT_FALSE(request) << refusal.body;
    EXPECT_EQ(request.error().status, 400u) << refusal.body;
    EXPECT_EQ(request.error().param, refusal.param) << refusal.body;
    EXPECT_NE(request.error().message.find(refusal.message), std::string::npos)
        << refusal.body << "\n"
        << request.error().message;
  }
}

TEST(CompletionRequest, DeepBodiesAreRefused) {
  std::string deep = R"({"prompt":)" + std::string(100'000, '[');
  auto request = CompletionRequest::parse(deep, false);
  ASSERT_FALSE(request);
  EXPECT_EQ(request.error().status, 400u);
}

} // namespace
