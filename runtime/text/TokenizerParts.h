//===- TokenizerParts.h - What a tokenizer is made of -----------*- C++ -*-===//
#pragma once

#include "runtime/text/AddedTokens.h"
#include "runtime/text/BytePairs.h"
#include "runtime/text/Decoder.h"
#include "runtime/text/Normalizer.h"
#include "runtime/text/PostProcessor.h"
#include "runtime/text/PreTokenizer.h"
#include "runtime/text/TokenizerConfig.h"

#include <deque>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace mbc::text {

/// Everything that one thread needs while it encodes.
struct EncodeScratch {
  Pieces pieces;
  MergeScratch merge;
  std::vector<AddedSpan> spans, normalizedSpans;
};

struct TokenizerParts {
  std::deque<AddedToken> added;
  std::unordered_map<std::string_view, const AddedToken *> addedByText;
  std::unordered_map<int32_t, const AddedToken *> addedById;
  AddedTokenFinder plainFinder, normalizedFinder;

  std::unique_ptr<Normalizer> normalizer; ///< null: none
  PreTokenizer preTokenizer;
  std::unique_ptr<BytePairs> model;
  PostProcessor postProcessor;
  Decoder decoder;

  std::optional<int32_t> idOf(std::string_view token) const;
  /// The id that the library gives to the next token that the model lacks.
  int32_t nextId() const;
  /// An Input error of the normalizer.
  Status addToken(AddedToken token);

  // Scratch that no thread uses; taken by `encode` and given back.
  std::mutex mutex;
  std::vector<std::unique_ptr<EncodeScratch>> idle;
};

/// Of the text of a tokenizer.json.
Expected<std::unique_ptr<TokenizerParts>>
parseTokenizerJson(std::string_view json, std::string_view name);
/// Adds what tokenizer_config.json says and changes ids, as transformers does.
Status applyConfig(TokenizerParts &parts, const TokenizerConfig &config,
                   std::string_view name);

/// Of the bytes of a tiktoken.model, and its tokenizer_config.json.
Expected<std::unique_ptr<TokenizerParts>>
parseTiktoken(std::string_view bytes, const TokenizerConfig &config,
              std::string_view name);

} // namespace mbc::text
