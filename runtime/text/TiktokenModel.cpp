//===- TiktokenModel.cpp - tiktoken.model ---------------------------------===//
//
// A line for each token: its bytes in base64, a space, its rank, which is its
// id. Two neighbours merge where both together are a token, those of the lowest
// rank first. How a text is split, and which special tokens follow, such a file
// does not say: it is in the Python code of the tokenizer's class.
//
//===----------------------------------------------------------------------===//
#include "runtime/core/Text.h"
#include "runtime/text/TokenizerParts.h"
#include "runtime/text/Unicode.h"

#include <charconv>
#include <fmt/format.h>

namespace mbc::text {

/// Of the class TikTokenTokenizer of Moonlight and Kimi: runs of Han; words
/// with an upper or a lower case start; up to three digits; punctuation; white
/// space.
static constexpr std::string_view moonshotWords =
    "[\\p{Han}]+|"
    "[^\\r\\n\\p{L}\\p{N}]?"
    "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}&&[^\\p{Han}]]*"
    "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}&&[^\\p{Han}]]+"
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
    "[^\\r\\n\\p{L}\\p{N}]?"
    "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}&&[^\\p{Han}]]+"
    "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}&&[^\\p{Han}]]*"
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
    "\\p{N}{1,3}|"
    " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|"
    "\\s*[\\r\\n]+|"
    "\\s+(?!\\S)|"
    "\\s+";
/// Special tokens behind the vocabulary, named ones and reserved ones.
static constexpr int32_t moonshotSpecial = 256;

static std::optional<std::string> fromBase64(std::string_view text) {
  if (text.size() % 4 != 0)
    return std::nullopt;
  std::string out;
  uint32_t bits = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    uint32_t value = 0;
    if (c >= 'A' && c <= 'Z')
      value = static_cast<uint32_t>(c - 'A');
    else if (c >= 'a' && c <= 'z')
      value = static_cast<uint32_t>(c - 'a') + 26;
    else if (c >= '0' && c <= '9')
      value = static_cast<uint32_t>(c - '0') + 52;
    else if (c == '+')
      value = 62;
    else if (c == '/')
      value = 63;
    else if (c != '=' || i + 2 < text.size() ||
             (i + 2 == text.size() && text.back() != '='))
      return std::nullopt;
    bits = bits << 6 | value;
    if (i % 4 == 3) {
      out += static_cast<char>(bits >> 16);
      out += static_cast<char>(bits >> 8);
      out += static_cast<char>(bits);
      bits = 0;
    }
  }
  while (text.ends_with('=')) {
    out.pop_back();
    text.remove_suffix(1);
  }
  return out;
}

static Expected<Vocabulary> parseRanks(std::string_view bytes,
                                       std::string_view name) {
  Vocabulary vocabulary;
  for (size_t line = 1; !bytes.empty(); ++line) {
    std::string_view text = bytes.substr(0, bytes.find('\n'));
    bytes.remove_prefix(std::min(text.size() + 1, bytes.size()));
    if (text.ends_with('\r'))
      text.remove_suffix(1);
    if (text.empty())
      continue;
    size_t space = std::min(text.find(' '), text.size());
    std::string_view number = text.substr(std::min(space + 1, text.size()));
    auto token = fromBase64(text.substr(0, space));
    int32_t id = 0;
    auto [end, error] =
        std::from_chars(number.data(), number.data() + number.size(), id);
    if (!token || token->empty() || error != std::errc() ||
        end != number.data() + number.size() || id < 0 || id >= 1 << 24)
      return inputError(fmt::format("{}: line {} is {}; expected a token in "
                                    "base64, a space and its rank",
                                    name, line, quote(text)));
    if (!vocabulary.add(std::move(*token), id))
      return inputError(fmt::format(
          "{}: line {} has the token or the rank {} of an earlier one", name,
          line, id));
  }
  for (unsigned byte = 0; byte < 256; ++byte) {
    char c = static_cast<char>(byte);
    if (!vocabulary.find(std::string_view(&c, 1)))
      return inputError(fmt::format(
          "{}: has no token for the byte 0x{:02x}, and so cannot spell every "
          "text",
          name, byte));
  }
  return vocabulary;
}

static MergeTable mergesOf(const Vocabulary &vocabulary) {
  MergeTable table;
  table.reserve(3 * vocabulary.size());
  for (size_t id = 0; id < vocabulary.end(); ++id) {
    const std::string *text = vocabulary.text(static_cast<int32_t>(id));
    if (!text)
      continue;
    std::string_view whole = *text;
    for (size_t cut = 1; cut < whole.size(); ++cut) {
      auto left = vocabulary.find(whole.substr(0, cut));
      auto right = left ? vocabulary.find(whole.substr(cut)) : std::nullopt;
      if (right)
        table.set(*left, *right,
                  {static_cast<uint32_t>(id), static_cast<int32_t>(id)});
    }
  }
  return table;
}

Expected<std::unique_ptr<TokenizerParts>>
parseTiktoken(std::string_view bytes, const TokenizerConfig &config,
              std::string_view name) {
  if (config.tokenizerClass != "TikTokenTokenizer")
    return inputError(fmt::format(
        "{}: is split as its class says, and tokenizer_config.json names the "
        "class {}; mbc knows 'TikTokenTokenizer' of Moonlight and Kimi",
        name, quote(config.tokenizerClass)));
  auto parts = std::make_unique<TokenizerParts>();
  MBC_ASSIGN(Vocabulary vocabulary, parseRanks(bytes, name));
  int32_t base = static_cast<int32_t>(vocabulary.size());
  if (static_cast<size_t>(base) != vocabulary.end())
    return inputError(fmt::format(
        "{}: has {} tokens, but ranks up to {}; special tokens follow at {}",
        name, base, vocabulary.end() - 1, base));
  MergeTable merges = mergesOf(vocabulary);
  BytePairs::Options options;
  options.ignoreMerges = true;
  parts->model = std::make_unique<BytePairs>(
      std::move(vocabulary), std::move(merges), std::move(options),
      /*bytes=*/true, /*rawTokens=*/true);
  MBC_ASSIGN(parts->preTokenizer, PreTokenizer::bytesOfMatches(moonshotWords));
  parts->decoder = Decoder::ofBytes();
  for (int32_t id = base; id < base + moonshotSpecial; ++id) {
    AddedToken token;
    auto it = config.addedTokens.find(id);
    token.content = it == config.addedTokens.end()
                        ? fmt::format("<|reserved_token_{}|>", id)
                        : it->second.content;
    token.id = id;
    token.special = it == config.addedTokens.end() || it->second.special;
    MBC_TRY(parts->addToken(std::move(token)));
  }
  return parts;
}

} // namespace mbc::text
