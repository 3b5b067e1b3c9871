//===- TokenizerConfig.cpp ------------------------------------------------===//
#include "runtime/text/TokenizerConfig.h"

#include "runtime/core/File.h"
#include "runtime/io/TorchDist.h"
#include "runtime/text/Field.h"
#include "runtime/text/TokenizerParts.h"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>

namespace fs = std::filesystem;

namespace mbc::text {

static bool hasTokenizer(const fs::path &folder) {
  std::error_code code;
  return fs::exists(folder / "tokenizer.json", code) ||
         fs::exists(folder / "tiktoken.model", code) ||
         fs::exists(folder / "tokenizer_config.json", code);
}

Expected<fs::path> tokenizerFolder(const fs::path &checkpoint) {
  std::error_code code;
  if (!fs::exists(checkpoint, code))
    return inputError(
        fmt::format("{}: there is no such folder", checkpoint.string()));
  if (!fs::is_directory(checkpoint, code))
    return inputError(fmt::format(
        "{}: is not a folder; expected a Hugging Face folder or a Megatron "
        "checkpoint",
        checkpoint.string()));
  if (hasTokenizer(checkpoint))
    return checkpoint;
  if (fs::is_directory(checkpoint / "tokenizer", code))
    return checkpoint / "tokenizer";
  // Its iterations; what is no Megatron checkpoint is asked for its files.
  if (auto megatron = findMegatronFolder(checkpoint))
    return fs::is_directory(megatron->path / "tokenizer", code)
               ? megatron->path / "tokenizer"
               : megatron->path;
  return checkpoint;
}

/// A token that is a text or an object with its text; none for null.
static Expected<std::optional<std::string>> tokenContent(const Field &field) {
  if (field.isNull())
    return std::nullopt;
  MBC_ASSIGN(std::string text, field.json().isObject()
                                   ? field.at("content").text()
                                   : field.text());
  return std::optional(std::move(text));
}

static Status readNamed(const Field &root, TokenizerConfig &config) {
  for (const auto &[name, value] : root.json().members()) {
    if (!name.ends_with("_token") || value.isBool())
      continue;
    MBC_ASSIGN(auto text, tokenContent(root.at(name)));
    if (text)
      config.specialTokens.emplace(name, std::move(*text));
  }
  for (const char *list :
       {"additional_special_tokens", "extra_special_tokens"}) {
    Field field = root.at(list);
    if (!field.json().isArray())
      continue;
    MBC_ASSIGN(auto fields, field.elements());
    for (const Field &each : fields) {
      MBC_ASSIGN(auto text, tokenContent(each));
      if (text && std::ranges::find(config.extraTokens, *text) ==
                      config.extraTokens.end())
        config.extraTokens.push_back(std::move(*text));
    }
  }
  return {};
}

static Status readAdded(const Field &field, TokenizerConfig &config) {
  for (const auto &[key, value] : field.json().members()) {
    Field each = field.at(key);
    int32_t id = 0;
    auto [end, error] =
        std::from_chars(key.data(), key.data() + key.size(), id);
    if (error != std::errc() || end != key.data() + key.size() || id < 0)
      return each.fail("is no token id; expected a number from 0 on");
    ConfiguredToken token;
    MBC_ASSIGN(token.content, each.at("content").text());
    MBC_ASSIGN(token.lstrip, each.at("lstrip").boolean(false));
    MBC_ASSIGN(token.rstrip, each.at("rstrip").boolean(false));
    MBC_ASSIGN(token.singleWord, each.at("single_word").boolean(false));
    MBC_ASSIGN(token.special, each.at("special").boolean(false));
    MBC_ASSIGN(token.normalized, each.at("normalized").boolean(!token.special));
    config.addedTokens.emplace(id, std::move(token));
  }
  return {};
}

static Status readTemplate(const fs::path &folder, const Field &field,
                           TokenizerConfig &config) {
  std::error_code code;
  if (fs::path path = folder / "chat_template.jinja"; fs::exists(path, code)) {
    MBC_ASSIGN(config.chatTemplate, readWholeFile(path));
    return {};
  }
  if (field.json().isArray()) {
    MBC_ASSIGN(auto fields, field.elements());
    for (const Field &each : fields) {
      MBC_ASSIGN(std::string name, each.at("name").text());
      if (name == "default") {
        MBC_ASSIGN(config.chatTemplate, each.at("template").text());
      }
    }
  } else if (!field.isNull()) {
    MBC_ASSIGN(config.chatTemplate, field.text());
  }
  return {};
}

static Expected<std::optional<bool>> readFlag(const Field &field) {
  if (field.isNull())
    return std::nullopt;
  MBC_ASSIGN(bool flag, field.boolean(false));
  return std::optional(flag);
}

static Expected<Json> readIfThere(const fs::path &path) {
  std::error_code code;
  if (!fs::exists(path, code))
    return Json();
  MBC_ASSIGN(Json json, Json::parseFile(path));
  if (!json.isObject())
    return inputError(path.string() + ": is no object");
  return json;
}

Expected<TokenizerConfig> TokenizerConfig::open(const fs::path &checkpoint) {
  MBC_ASSIGN(fs::path folder, tokenizerFolder(checkpoint));
  TokenizerConfig config;
  fs::path path = folder / "tokenizer_config.json";
  MBC_ASSIGN(config.values, readIfThere(path));
  Field root(config.values, path.string() + ": ");
  MBC_TRY(readNamed(root, config));
  path = folder / "special_tokens_map.json";
  MBC_ASSIGN(Json named, readIfThere(path));
  MBC_TRY(readNamed(Field(named, path.string() + ": "), config));
  MBC_TRY(readAdded(root.at("added_tokens_decoder"), config));
  MBC_ASSIGN(config.tokenizerClass, root.at("tokenizer_class").text(""));
  MBC_ASSIGN(config.addBosToken, readFlag(root.at("add_bos_token")));
  MBC_ASSIGN(config.addEosToken, readFlag(root.at("add_eos_token")));
  MBC_ASSIGN(config.addPrefixSpace, readFlag(root.at("add_prefix_space")));
  MBC_TRY(readTemplate(folder, root.at("chat_template"), config));

  path = folder / "generation_config.json";
  std::error_code code;
  if (!fs::exists(path, code))
    path = folder.parent_path() / "mbc" / "files" / "generation_config.json";
  MBC_ASSIGN(config.generation, readIfThere(path));
  Field ends =
      Field(config.generation, path.string() + ": ").at("eos_token_id");
  if (ends.json().isArray()) {
    MBC_ASSIGN(auto fields, ends.elements());
    for (const Field &each : fields) {
      MBC_ASSIGN(int32_t id, each.id());
      config.eosTokenIds.push_back(id);
    }
  } else if (!ends.isNull()) {
    MBC_ASSIGN(int32_t id, ends.id());
    config.eosTokenIds.push_back(id);
  }
  return config;
}

std::string TokenizerConfig::specialToken(std::string_view name) const {
  auto it = specialTokens.find(name);
  return it == specialTokens.end() ? std::string() : it->second;
}

} // namespace mbc::text
