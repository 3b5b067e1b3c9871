//===- ModelText.h - Texts and conversations as tokens ----------*- C++ -*-===//
#pragma once

#include "runtime/core/Json.h"
#include "runtime/generate/Engine.h"
#include "runtime/text/Tokenizer.h"
#include "runtime/text/TokenizerConfig.h"
#include "runtime/text/template/ChatTemplate.h"

#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mbc {

/// {"role": ROLE, "content": CONTENT}.
Json chatMessage(const char *role, std::string content);
/// The user's message with the places of `pictures` before the text: a list of
/// parts, where there are any.
Json pictureMessage(std::string text, size_t pictures);

/// The tokenizer and the chat template of a model.
class ModelText {
public:
  /// Of a folder with the tokenizer's files, or with a folder "tokenizer" that
  /// has them. An Input error where there are none.
  static Expected<std::unique_ptr<ModelText>>
  open(const std::filesystem::path &folder);

  /// The tokens of a prompt, with what the tokenizer puts around a text. An
  /// Input error for an empty text, and one that is not UTF-8.
  Expected<std::vector<int32_t>> encode(std::string_view text) const;
  /// The tokens after which the assistant's next message comes. `messages`: an
  /// array of {"role", "content", ...}; `variables`: an object of others that
  /// the template asks for. An Input error where the model has no template, and
  /// for what the template refuses.
  Expected<std::vector<int32_t>> encodeChat(const Json &messages,
                                            const Json &variables) const;
  /// Whether a token is spelled so.
  bool hasToken(std::string_view text) const {
    return tokenizer->idOf(text).has_value();
  }
  /// The tokens that end a text, as the tokenizer's files name them.
  std::vector<int32_t> endTokens() const;
  /// Text of tokens; U+FFFD for what is no UTF-8. `skipSpecial` leaves special
  /// tokens out.
  std::string decode(std::span<const int32_t> ids, bool skipSpecial) const;
  /// Makes the text of one sequence, without special tokens; lives no longer
  /// than this.
  std::function<std::unique_ptr<generate::TokenText>()> decoder() const;

private:
  ModelText() = default;

  std::filesystem::path files; ///< of the tokenizer
  std::unique_ptr<text::Tokenizer> tokenizer;
  text::TokenizerConfig config;
  /// A template that cannot be read is no matter for texts.
  Expected<std::optional<text::ChatTemplate>> chatTemplate;
};

} // namespace mbc
