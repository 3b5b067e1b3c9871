//===- TokenizerJson.cpp - tokenizer.json ---------------------------------===//
#include "runtime/core/Text.h"
#include "runtime/text/TokenizerParts.h"

#include <fmt/format.h>

namespace mbc::text {

/// One "a b", or ["a", "b"].
static Expected<std::pair<std::string_view, std::string_view>>
mergePair(const Json &value, const Field &merges, size_t index) {
  auto fail = [&](std::string_view what) {
    return merges.fail(fmt::format("has, at [{}], {}; expected two tokens, "
                                   "\"a b\" or [\"a\", \"b\"]",
                                   index, what));
  };
  if (const std::string *text = value.asString()) {
    size_t space = text->find(' ');
    if (space == text->npos || text->find(' ', space + 1) != text->npos)
      return fail(quote(*text));
    return std::pair(std::string_view(*text).substr(0, space),
                     std::string_view(*text).substr(space + 1));
  }
  const auto &pair = value.elements();
  if (pair.size() != 2 || !pair[0].asString() || !pair[1].asString())
    return fail(value.isArray() ? fmt::format("an array of {}", pair.size())
                                : std::string(kindText(value.kind())));
  return std::pair(std::string_view(*pair[0].asString()),
                   std::string_view(*pair[1].asString()));
}

static Expected<Vocabulary> parseVocabulary(const Field &field) {
  if (!field.json().isObject())
    return field.fail("is no object; expected the ids of tokens by their text");
  Vocabulary vocabulary;
  size_t count = field.json().members().size();
  for (const auto &[text, value] : field.json().members()) {
    auto id = value.asInt();
    // Ids are nearly dense: a huge one is damage.
    if (!id || *id < 0 || static_cast<uint64_t>(*id) > 16 * count + (1 << 20))
      return field.fail(fmt::format(
          "gives {} the id {}; expected a number from 0 on, near the {} tokens "
          "that there are",
          quote(text), quote(value.dumpCompact()), count));
    if (!vocabulary.add(text, static_cast<int32_t>(*id)))
      return field.fail(fmt::format(
          "gives the id {} to {} and to {}", *id,
          quote(*vocabulary.text(static_cast<int32_t>(*id))), quote(text)));
  }
  return vocabulary;
}

static Expected<std::unique_ptr<BytePairs>> parseModel(const Field &field,
                                                       bool bytes) {
  // Old files leave the type out.
  MBC_ASSIGN(std::string type, field.at("type").text("BPE"));
  if (type != "BPE")
    return field.unknownType("model", "BPE");
  if (!field.at("dropout").isNull() &&
      field.at("dropout").json().asDouble() != 0)
    return field.at("dropout").fail(
        "is set: merges are then left out at random, which no ids can equal");
  BytePairs::Options options;
  MBC_ASSIGN(options.ignoreMerges, field.at("ignore_merges").boolean(false));
  MBC_ASSIGN(options.byteFallback, field.at("byte_fallback").boolean(false));
  MBC_ASSIGN(options.fuseUnknown, field.at("fuse_unk").boolean(false));
  MBC_ASSIGN(options.prefix, field.at("continuing_subword_prefix").text(""));
  MBC_ASSIGN(options.suffix, field.at("end_of_word_suffix").text(""));
  MBC_ASSIGN(Vocabulary vocabulary, parseVocabulary(field.at("vocab")));
  if (Field unknown = field.at("unk_token"); !unknown.isNull()) {
    MBC_ASSIGN(std::string text, unknown.text());
    options.unknown = vocabulary.find(text);
    if (!options.unknown)
      return unknown.fail(
          fmt::format("is {}, which the vocabulary lacks", quote(text)));
  }
  Field merges = field.at("merges");
  if (!merges.json().isArray())
    return merges.fail("is no array; expected pairs of tokens");
  MergeTable table;
  const std::vector<Json> &list = merges.json().elements();
  table.reserve(list.size());
  std::string merged;
  for (size_t i = 0; i < list.size(); ++i) {
    MBC_ASSIGN(auto pair, mergePair(list[i], merges, i));
    auto [left, right] = pair;
    // The prefix marks where a token goes on, and stands once.
    if (right.size() < options.prefix.size())
      return merges.fail(fmt::format("has, at [{}], {}, which is shorter than "
                                     "continuing_subword_prefix",
                                     i, quote(right)));
    merged = left;
    merged += right.substr(options.prefix.size());
    auto find = [&](std::string_view text) -> Expected<int32_t> {
      if (auto id = vocabulary.find(text))
        return *id;
      return merges.fail(
          fmt::format("has, at [{}], {} and {}: the vocabulary lacks {}", i,
                      quote(left), quote(right), quote(text)));
    };
    MBC_ASSIGN(int32_t leftId, find(left));
    MBC_ASSIGN(int32_t rightId, find(right));
    MBC_ASSIGN(int32_t id, find(merged));
    table.set(leftId, rightId, {static_cast<uint32_t>(i), id});
  }
  return std::make_unique<BytePairs>(std::move(vocabulary), std::move(table),
                                     std::move(options), bytes,
                                     /*rawTokens=*/false);
}

static Status addTokens(TokenizerParts &parts, const Field &field) {
  if (field.isNull())
    return {};
  MBC_ASSIGN(auto fields, field.elements());
  for (const Field &each : fields) {
    AddedToken token;
    MBC_ASSIGN(token.content, each.at("content").text());
    MBC_ASSIGN(token.id, each.at("id").id());
    MBC_ASSIGN(token.singleWord, each.at("single_word").boolean(false));
    MBC_ASSIGN(token.lstrip, each.at("lstrip").boolean(false));
    MBC_ASSIGN(token.rstrip, each.at("rstrip").boolean(false));
    MBC_ASSIGN(token.special, each.at("special").boolean(false));
    MBC_ASSIGN(token.normalized, each.at("normalized").boolean(!token.special));
    if (token.content.empty())
      continue;
    // The library goes by the text, and counts on where the model lacks it.
    int32_t expected = parts.idOf(token.content).value_or(parts.nextId());
    if (token.id != expected)
      return each.at("id").fail(fmt::format(
          "is {}, but {} is token {} by the vocabulary and the tokens before "
          "it; the file contradicts itself",
          token.id, quote(token.content), expected));
    MBC_TRY(parts.addToken(std::move(token)));
  }
  return {};
}

Expected<std::unique_ptr<TokenizerParts>>
parseTokenizerJson(std::string_view json, std::string_view name) {
  MBC_ASSIGN(Json document, Json::parse(json, name));
  Field root(document, std::string(name) + ": ");
  if (!document.isObject())
    return root.fail("is no object; expected a tokenizer");
  auto parts = std::make_unique<TokenizerParts>();
  MBC_ASSIGN(parts->normalizer, Normalizer::parse(root.at("normalizer")));
  MBC_ASSIGN(parts->preTokenizer,
             PreTokenizer::parse(root.at("pre_tokenizer")));
  if (!root.at("model").json().isObject())
    return root.at("model").fail("is missing; expected a BPE model");
  MBC_ASSIGN(parts->model,
             parseModel(root.at("model"), parts->preTokenizer.givesBytes()));
  MBC_ASSIGN(parts->postProcessor,
             PostProcessor::parse(root.at("post_processor")));
  MBC_ASSIGN(parts->decoder, Decoder::parse(root.at("decoder")));
  MBC_TRY(addTokens(*parts, root.at("added_tokens")));
  return parts;
}

} // namespace mbc::text
