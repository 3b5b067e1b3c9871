//===- ModelText.cpp ------------------------------------------------------===//
#include "runtime/commands/ModelText.h"

#include "runtime/core/Text.h"

#include <fmt/format.h>

namespace mbc {

Json chatMessage(const char *role, std::string content) {
  return Json::object({{"role", role}, {"content", std::move(content)}});
}

Json pictureMessage(std::string text, size_t pictures) {
  if (pictures == 0)
    return chatMessage("user", std::move(text));
  Json parts = Json::array();
  for (size_t i = 0; i < pictures; ++i)
    parts.push(Json::object({{"type", "image"}}));
  parts.push(Json::object({{"type", "text"}, {"text", std::move(text)}}));
  return Json::object({{"role", "user"}, {"content", std::move(parts)}});
}

Expected<std::unique_ptr<ModelText>>
ModelText::open(const std::filesystem::path &folder) {
  std::unique_ptr<ModelText> result(new ModelText);
  MBC_ASSIGN(result->tokenizer, text::Tokenizer::open(folder));
  MBC_ASSIGN(result->config, text::TokenizerConfig::open(folder));
  MBC_ASSIGN(result->files, text::tokenizerFolder(folder));
  result->chatTemplate = text::ChatTemplate::open(result->files);
  return result;
}

/// An Input error with the place of the first byte that is no UTF-8.
static Status checkUtf8(std::string_view text) {
  size_t valid = utf8Prefix(text);
  if (valid == text.size())
    return {};
  return inputError(fmt::format("byte {} of the text, 0x{:02x}, is no UTF-8",
                                valid,
                                static_cast<unsigned char>(text[valid])));
}

Expected<std::vector<int32_t>> ModelText::encode(std::string_view text) const {
  if (text.empty())
    return inputError("the prompt is empty; the model needs at least a "
                      "character to continue");
  MBC_TRY(checkUtf8(text));
  return tokenizer->encode(text, /*addSpecial=*/true);
}

Expected<std::vector<int32_t>>
ModelText::encodeChat(const Json &messages, const Json &variables) const {
  if (!chatTemplate)
    return Failure(chatTemplate.error());
  if (!*chatTemplate)
    return inputError(fmt::format(
        "{}: has no chat template (chat_template.jinja, or chat_template in "
        "tokenizer_config.json): the model continues texts and has no "
        "conversations",
        files.string()));
  if (messages.elements().empty())
    return inputError("the conversation has no messages");
  Json all = Json::object({{"messages", messages},
                           {"tools", nullptr},
                           {"documents", nullptr},
                           {"add_generation_prompt", true}});
  for (const auto &[name, token] : config.specialTokens)
    all.set(name, token);
  for (const auto &[name, value] : variables.members())
    all.set(name, value);
  MBC_ASSIGN(std::string text, (*chatTemplate)->render(all));
  MBC_TRY(checkUtf8(text));
  // The template has written the special tokens.
  return tokenizer->encode(text, /*addSpecial=*/false);
}

std::vector<int32_t> ModelText::endTokens() const {
  if (!config.eosTokenIds.empty())
    return config.eosTokenIds;
  std::string token = config.specialToken("eos_token");
  if (auto id = token.empty() ? std::nullopt : tokenizer->idOf(token))
    return {*id};
  return {};
}

namespace {

/// The text of one sequence.
class Decoder final : public generate::TokenText {
public:
  explicit Decoder(const text::Tokenizer &tokenizer)
      : decoder(tokenizer, /*skipSpecial=*/true) {}
  std::string push(int32_t id) override { return decoder.push(id); }
  std::string finish() override { return decoder.finish(); }

private:
  text::StreamDecoder decoder;
};

} // namespace

std::string ModelText::decode(std::span<const int32_t> ids,
                              bool skipSpecial) const {
  return tokenizer->decode(ids, skipSpecial);
}

std::function<std::unique_ptr<generate::TokenText>()>
ModelText::decoder() const {
  return [this] { return std::make_unique<Decoder>(*tokenizer); };
}

} // namespace mbc
