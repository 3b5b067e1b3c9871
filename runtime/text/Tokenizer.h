//===- Tokenizer.h - Text to token ids and back -----------------*- C++ -*-===//
//
// The tokenizers that checkpoints bring along: tokenizer.json (byte-level BPE,
// as the Hugging Face library `tokenizers` computes it) and tiktoken.model (as
// `tiktoken` does).
//
//===----------------------------------------------------------------------===//
#pragma once

#include "runtime/core/Error.h"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mbc::text {

class DecodeChain;
struct TokenizerParts;

/// Immutable; any number of threads may use one.
class Tokenizer {
public:
  /// Opens the tokenizer of a checkpoint: `folder` is a Hugging Face folder, or
  /// a Megatron checkpoint (a folder of one iteration, which has tokenizer/, or
  /// its parent). tokenizer.json, else tiktoken.model with
  /// tokenizer_config.json. An Input error names what was looked for, or the
  /// component of the file that is unknown.
  static Expected<std::unique_ptr<Tokenizer>>
  open(const std::filesystem::path &folder);
  /// Of the text of a tokenizer.json; errors start with `name`.
  static Expected<std::unique_ptr<Tokenizer>> parse(std::string_view json,
                                                    std::string_view name);

  ~Tokenizer();

  /// `addSpecial`: with the tokens that the post-processor adds, such as BOS.
  /// Special tokens that are written in the text are recognised either way.
  /// Malformed UTF-8 is read as Python's errors="replace" reads it. An Input
  /// error where a split pattern gives up on the text.
  Expected<std::vector<int32_t>> encode(std::string_view text,
                                        bool addSpecial) const;

  /// Well-formed UTF-8: bytes of tokens that are none become U+FFFD, as with
  /// Python's errors="replace". `skipSpecial` leaves special tokens out. Ids
  /// that no token has give nothing.
  std::string decode(std::span<const int32_t> ids, bool skipSpecial) const;

  /// The id of a token, as its file spells it (byte-level: "Ġhello"), added
  /// tokens first.
  std::optional<int32_t> idOf(std::string_view token) const;
  /// The spelling of a token in its file; empty where no token has this id. A
  /// tiktoken.model holds bytes: those, with U+FFFD for what is no UTF-8.
  std::string tokenText(int32_t id) const;
  /// Whether `decode` leaves it out with `skipSpecial`.
  bool isSpecial(int32_t id) const;
  bool hasToken(int32_t id) const;
  /// The largest id, and one.
  size_t size() const;

private:
  friend class StreamDecoder;
  explicit Tokenizer(std::unique_ptr<TokenizerParts> parts);
  std::unique_ptr<TokenizerParts> parts;
};

/// Decodes token by token: what `push` and `finish` return is, one after
/// another, what `decode` returns for all of them. Text comes as soon as no
/// later token can change it, and never half a character.
class StreamDecoder {
public:
  /// The tokenizer must outlive it.
  StreamDecoder(const Tokenizer &tokenizer, bool skipSpecial);
  ~StreamDecoder();

  std::string push(int32_t id);
  /// What was held back. The decoder then starts anew.
  std::string finish();

private:
  const Tokenizer &tokenizer;
  bool skipSpecial;
  std::unique_ptr<DecodeChain> chain;
};

} // namespace mbc::text
