//===- TokenizerConfig.h - Files beside a tokenizer -------------*- C++ -*-===//
#pragma once

#include "runtime/core/Error.h"
#include "runtime/core/Json.h"

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace mbc::text {

/// Where the files of a checkpoint's tokenizer lie: the folder itself, or
/// tokenizer/ of a Megatron checkpoint's newest iteration.
Expected<std::filesystem::path>
tokenizerFolder(const std::filesystem::path &checkpoint);

/// A token as tokenizer_config.json writes it; flags that are not written are
/// as transformers takes them.
struct ConfiguredToken {
  std::string content;
  bool lstrip = false, rstrip = false, singleWord = false, normalized = true,
       special = false;
};

/// What tokenizer_config.json, special_tokens_map.json (where the former says
/// nothing) and generation_config.json say. Every file may be missing.
struct TokenizerConfig {
  /// Texts of named tokens: "bos_token", "eos_token", "pad_token", "unk_token"
  /// and others whose name ends in _token. Those that are null are not there.
  std::map<std::string, std::string, std::less<>> specialTokens;
  /// additional_special_tokens and extra_special_tokens, in order.
  std::vector<std::string> extraTokens;
  /// None where nothing is written.
  std::optional<bool> addBosToken, addEosToken, addPrefixSpace;
  std::string tokenizerClass;
  /// chat_template.jinja, else the text in tokenizer_config.json, of several
  /// named ones that called "default". Not checked.
  std::optional<std::string> chatTemplate;
  /// By id, of added_tokens_decoder.
  std::map<int32_t, ConfiguredToken> addedTokens;
  /// eos_token_id of generation_config.json: one, several or none.
  std::vector<int32_t> eosTokenIds;
  /// All of generation_config.json; null where there is none.
  Json generation;
  /// All of tokenizer_config.json; null where there is none.
  Json values;

  /// Of a checkpoint, as Tokenizer::open takes it. generation_config.json is
  /// looked for beside the tokenizer, and among the files that an import kept.
  static Expected<TokenizerConfig>
  open(const std::filesystem::path &checkpoint);

  /// The text of a named token, empty where there is none.
  std::string specialToken(std::string_view name) const;
};

} // namespace mbc::text
