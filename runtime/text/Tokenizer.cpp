//===- Tokenizer.cpp ------------------------------------------------------===//
#include "runtime/text/Tokenizer.h"

#include "runtime/core/File.h"
#include "runtime/text/TokenizerParts.h"
#include "runtime/text/Unicode.h"

#include <algorithm>
#include <fmt/format.h>

namespace fs = std::filesystem;

namespace mbc::text {

std::optional<int32_t> TokenizerParts::idOf(std::string_view token) const {
  if (auto it = addedByText.find(token); it != addedByText.end())
    return it->second->id;
  return model->vocabulary().find(token);
}

int32_t TokenizerParts::nextId() const {
  size_t id = model->vocabulary().size();
  for (const AddedToken &token : added)
    id = std::max(id, static_cast<size_t>(token.id) + 1);
  return static_cast<int32_t>(id);
}

Status TokenizerParts::addToken(AddedToken token) {
  AddedToken &kept = added.emplace_back(std::move(token));
  kept.shown = kept.content;
  addedByText[kept.content] = &kept;
  addedById[kept.id] = &kept;
  if (!kept.normalized) {
    plainFinder.add(kept.content, kept);
    return {};
  }
  if (normalizer) {
    PatternScratch scratch;
    MBC_TRY(normalizer->apply(kept.shown, scratch));
  }
  normalizedFinder.add(kept.shown, kept);
  return {};
}

namespace {

/// Scratch of the tokenizer for as long as this lives.
class Borrowed {
public:
  explicit Borrowed(TokenizerParts &parts) : parts(parts) {
    std::lock_guard lock(parts.mutex);
    if (!parts.idle.empty()) {
      scratch = std::move(parts.idle.back());
      parts.idle.pop_back();
    }
    if (!scratch)
      scratch = std::make_unique<EncodeScratch>();
  }
  ~Borrowed() {
    std::lock_guard lock(parts.mutex);
    parts.idle.push_back(std::move(scratch));
  }
  EncodeScratch &operator*() { return *scratch; }

private:
  TokenizerParts &parts;
  std::unique_ptr<EncodeScratch> scratch;
};

/// One text on its way through the parts.
struct Encoding {
  const TokenizerParts &parts;
  EncodeScratch &scratch;
  std::vector<int32_t> ids = {};

  Status words(std::string_view text, bool atStart) {
    if (text.empty())
      return {};
    Pieces &pieces = scratch.pieces;
    pieces.list.assign(1, {text, atStart});
    pieces.changed.clear();
    MBC_TRY(parts.preTokenizer.apply(pieces));
    for (const Piece &piece : pieces.list)
      parts.model->encode(piece.text, scratch.merge, ids);
    return {};
  }

  /// `text` has been normalized.
  Status betweenPlain(std::string_view text, bool atStart) {
    if (parts.normalizedFinder.empty())
      return words(text, atStart);
    scratch.normalizedSpans.clear();
    parts.normalizedFinder.split(text, scratch.normalizedSpans);
    for (const AddedSpan &span : scratch.normalizedSpans)
      if (span.token)
        ids.push_back(span.token->id);
      else
        MBC_TRY(words(text.substr(span.begin, span.end - span.begin),
                      atStart && span.begin == 0));
    return {};
  }

  Status run(std::string_view text) {
    scratch.spans.clear();
    parts.plainFinder.split(text, scratch.spans);
    for (const AddedSpan &span : scratch.spans) {
      if (span.token) {
        ids.push_back(span.token->id);
        continue;
      }
      std::string_view part = text.substr(span.begin, span.end - span.begin);
      if (!parts.normalizer) {
        MBC_TRY(betweenPlain(part, span.begin == 0));
        continue;
      }
      std::string changed(part);
      MBC_TRY(parts.normalizer->apply(changed, scratch.pieces.patterns));
      MBC_TRY(betweenPlain(changed, span.begin == 0));
    }
    return {};
  }
};

} // namespace

Tokenizer::Tokenizer(std::unique_ptr<TokenizerParts> parts)
    : parts(std::move(parts)) {}
Tokenizer::~Tokenizer() = default;

Expected<std::unique_ptr<Tokenizer>> Tokenizer::open(const fs::path &folder) {
  MBC_ASSIGN(fs::path where, tokenizerFolder(folder));
  MBC_ASSIGN(TokenizerConfig config, TokenizerConfig::open(folder));
  std::unique_ptr<TokenizerParts> parts;
  std::error_code code;
  constexpr uint64_t limit = uint64_t(256) << 20;
  fs::path configPath = where / "tokenizer_config.json";
  if (fs::path path = where / "tokenizer.json"; fs::exists(path, code)) {
    MBC_ASSIGN(std::string text, readWholeFile(path, limit));
    MBC_ASSIGN(parts, parseTokenizerJson(text, path.string()));
    MBC_TRY(applyConfig(*parts, config, configPath.string()));
  } else if (path = where / "tiktoken.model"; fs::exists(path, code)) {
    MBC_ASSIGN(std::string text, readWholeFile(path, limit));
    MBC_ASSIGN(parts, parseTiktoken(text, config, path.string()));
  } else {
    return inputError(fmt::format(
        "{}: has no tokenizer; expected tokenizer.json, or tiktoken.model with "
        "tokenizer_config.json",
        where.string()));
  }
  return std::unique_ptr<Tokenizer>(new Tokenizer(std::move(parts)));
}

Expected<std::unique_ptr<Tokenizer>> Tokenizer::parse(std::string_view json,
                                                      std::string_view name) {
  MBC_ASSIGN(auto parts, parseTokenizerJson(json, name));
  return std::unique_ptr<Tokenizer>(new Tokenizer(std::move(parts)));
}

Expected<std::vector<int32_t>> Tokenizer::encode(std::string_view text,
                                                 bool addSpecial) const {
  std::string storage;
  Borrowed scratch(*parts);
  Encoding encoding{*parts, *scratch};
  MBC_TRY(encoding.run(replaceMalformed(text, storage)));
  return parts->postProcessor.apply(std::move(encoding.ids), addSpecial);
}

std::string Tokenizer::decode(std::span<const int32_t> ids,
                              bool skipSpecial) const {
  StreamDecoder decoder(*this, skipSpecial);
  std::string out;
  for (int32_t id : ids)
    out += decoder.push(id);
  return out += decoder.finish();
}

std::optional<int32_t> Tokenizer::idOf(std::string_view token) const {
  return parts->idOf(token);
}

std::string Tokenizer::tokenText(int32_t id) const {
  if (auto it = parts->addedById.find(id); it != parts->addedById.end())
    return it->second->shown;
  const std::string *text = parts->model->vocabulary().text(id);
  std::string storage;
  return text ? std::string(replaceMalformed(*text, storage)) : std::string();
}

bool Tokenizer::isSpecial(int32_t id) const {
  auto it = parts->addedById.find(id);
  return it != parts->addedById.end() && it->second->leftOut();
}

bool Tokenizer::hasToken(int32_t id) const {
  return parts->addedById.contains(id) || parts->model->vocabulary().text(id);
}

size_t Tokenizer::size() const {
  size_t size = parts->model->vocabulary().end();
  for (const AddedToken &token : parts->added)
    size = std::max(size, static_cast<size_t>(token.id) + 1);
  return size;
}

StreamDecoder::StreamDecoder(const Tokenizer &tokenizer, bool skipSpecial)
    : tokenizer(tokenizer), skipSpecial(skipSpecial),
      chain(tokenizer.parts->decoder.start()) {}
StreamDecoder::~StreamDecoder() = default;

std::string StreamDecoder::push(int32_t id) {
  const TokenizerParts &parts = *tokenizer.parts;
  if (auto it = parts.addedById.find(id); it != parts.addedById.end()) {
    if (skipSpecial && it->second->leftOut())
      return {};
    return chain->push(it->second->shown);
  }
  const std::string *text = parts.model->vocabulary().text(id);
  return text ? chain->push(*text) : std::string();
}

std::string StreamDecoder::finish() { return chain->finish(); }

} // namespace mbc::text
