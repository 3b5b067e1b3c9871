//===- TokenizerTest.cpp --------------------------------------------------===//
#include "runtime/text/Tokenizer.h"
#include "runtime/text/ByteAlphabet.h"
#include "runtime/text/TokenizerConfig.h"
#include "test/Unit/TempFolder.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <thread>

using namespace mbc;
using namespace mbc::text;

/// Single bytes as tokens, and what `more` says of the rest.
static std::string tokenizerJson(std::string_view added,
                                 std::string_view more) {
  Json vocabulary = Json::object();
  for (int byte = 0; byte < 256; ++byte)
    vocabulary.set(byteCharacter(static_cast<uint8_t>(byte)), byte);
  return fmt::format(R"({{"added_tokens": [{}], "model": {{"type": "BPE",
      "vocab": {}, "merges": []}}, "decoder": {{"type": "ByteLevel"}},
      "pre_tokenizer": {{"type": "ByteLevel", "add_prefix_space": false,
                        "use_regex": false}} {}}})",
                     added, vocabulary.dumpCompact(), more);
}

static std::string addedToken(int id, std::string_view content) {
  return fmt::format(R"({{"id": {}, "content": "{}", "single_word": false,
      "lstrip": false, "rstrip": false, "normalized": false, "special": true}})",
                     id, content);
}

static std::unique_ptr<Tokenizer> made(const std::string &json) {
  auto tokenizer = Tokenizer::parse(json, "t");
  if (!tokenizer)
    ADD_FAILURE() << tokenizer.error().message;
  return tokenizer ? std::move(*tokenizer) : nullptr;
}

TEST(Tokenizer, AddedTokens) {
  auto tokenizer = made(tokenizerJson(
      addedToken(256, "<a>") + "," + addedToken(257, "<a>b"), ""));
  // The longest at each place.
  EXPECT_EQ(*tokenizer->encode("<a>c<a>bx", true),
            (std::vector<int32_t>{256, 'c', 257, 'x'}));
  EXPECT_EQ(tokenizer->idOf("<a>"), 256);
  EXPECT_TRUE(tokenizer->isSpecial(256));
  EXPECT_FALSE(tokenizer->isSpecial('c'));
  EXPECT_EQ(tokenizer->tokenText(' '), "\u0120");
  EXPECT_EQ(tokenizer->size(), 258u);
  EXPECT_FALSE(tokenizer->hasToken(258));
  std::vector<int32_t> ids = {256, 'h', 'i', 257, 999, -1};
  EXPECT_EQ(tokenizer->decode(ids, true), "hi");
  EXPECT_EQ(tokenizer->decode(ids, false), "<a>hi<a>b");
}

TEST(Tokenizer, StreamsWholeCharacters) {
  auto tokenizer = made(tokenizerJson("", ""));
  StreamDecoder decoder(*tokenizer, false);
  std::string whole;
  for (unsigned char byte : std::string("a\u00E9\u6F22\U0001F600")) {
    std::string piece = decoder.push(byte);
    EXPECT_EQ(piece.find("\uFFFD"), std::string::npos);
    whole += piece;
  }
  EXPECT_EQ(whole, "a\u00E9\u6F22\U0001F600");
  EXPECT_EQ(decoder.finish(), "");
  EXPECT_EQ(decoder.push(0xF0), "");
  EXPECT_EQ(decoder.finish(), "\uFFFD");
}

TEST(Tokenizer, ManyThreads) {
  auto tokenizer = made(tokenizerJson("", ""));
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      std::string text(100 + t, static_cast<char>('a' + t));
      for (int run = 0; run < 200; ++run)
        EXPECT_EQ(tokenizer->encode(text, true)->size(), text.size());
    });
  for (std::thread &thread : threads)
    thread.join();
}

TEST(Tokenizer, Refusals) {
  auto refused = [](const std::string &json) {
    auto tokenizer = Tokenizer::parse(json, "t");
    return tokenizer ? std::string("taken") : tokenizer.error().message;
  };
  EXPECT_EQ(refused("[]"), "t: is no object; expected a tokenizer");
  EXPECT_EQ(refused("{}"), "t: model is missing; expected a BPE model");
  EXPECT_NE(refused(tokenizerJson("", R"(, "normalizer": {"type": "Nmt"})"))
                .find("t: normalizer is a 'Nmt', which is no normalizer"),
            std::string::npos);
  EXPECT_NE(refused(R"({"model": {"vocab": {"a": 4000000000}, "merges": []}})")
                .find("gives 'a' the id"),
            std::string::npos);
}

TEST(TokenizerConfig, ReadsWhatIsThere) {
  test::TempFolder folder;
  auto write = [&](const char *name, std::string_view text) {
    std::ofstream(folder / name) << text;
  };
  write("tokenizer.json", tokenizerJson("", ""));
  write("tokenizer_config.json",
        R"({"bos_token": {"content": "<b>"}, "eos_token": "<e>",
            "pad_token": null, "add_bos_token": false,
            "chat_template": [{"name": "default", "template": "x"}]})");
  write("special_tokens_map.json", R"({"eos_token": "<other>",
                                       "unk_token": "<u>"})");
  write("generation_config.json", R"({"eos_token_id": [3, 4]})");
  auto config = TokenizerConfig::open(folder.path());
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->specialToken("bos_token"), "<b>");
  EXPECT_EQ(config->specialToken("eos_token"), "<e>");
  EXPECT_EQ(config->specialToken("unk_token"), "<u>");
  EXPECT_EQ(config->specialToken("pad_token"), "");
  EXPECT_EQ(config->addBosToken, false);
  EXPECT_EQ(config->chatTemplate, "x");
  EXPECT_EQ(config->eosTokenIds, (std::vector<int32_t>{3, 4}));
  // Named tokens that tokenizer.json lacks follow its own.
  auto tokenizer = Tokenizer::open(folder.path());
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  EXPECT_EQ(*(*tokenizer)->encode("a<b><e>", true),
            (std::vector<int32_t>{'a', 256, 257}));
}
