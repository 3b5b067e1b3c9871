//===- Decoder.cpp --------------------------------------------------------===//
#include "runtime/text/Decoder.h"

#include "runtime/core/Text.h"
#include "runtime/text/ByteAlphabet.h"
#include "runtime/text/Normalizer.h"
#include "runtime/text/Unicode.h"

#include <charconv>
#include <fmt/format.h>

namespace mbc::text {

DecodeStage::~DecodeStage() = default;

namespace {

/// Bytes to text: everything before the start of a character that is not
/// complete yet.
class BytesStage : public DecodeStage {
public:
  void push(std::string_view bytes, const Sink &sink) override {
    held += bytes;
    give(sink, /*more=*/true);
  }
  void finish(const Sink &sink) override { give(sink, /*more=*/false); }

private:
  void give(const Sink &sink, bool more) {
    std::string text;
    size_t left = appendReplaced(text, held, more);
    held.erase(0, held.size() - left);
    if (!text.empty())
      sink(text);
  }
  std::string held;
};

/// A token in the byte alphabet stands for bytes; another one for itself.
class ByteLevelStage final : public BytesStage {
public:
  void push(std::string_view token, const Sink &sink) override {
    auto bytes = fromByteCharacters(token);
    BytesStage::push(bytes ? std::string_view(*bytes) : token, sink);
  }
};

/// Tokens "<0xE4>" that follow each other are the bytes of a text; where they
/// make none, each is U+FFFD.
class ByteFallbackStage final : public DecodeStage {
public:
  void push(std::string_view token, const Sink &sink) override {
    if (auto byte = byteToken(token)) {
      held += static_cast<char>(*byte);
      return;
    }
    finish(sink);
    sink(token);
  }
  void finish(const Sink &sink) override {
    if (held.empty())
      return;
    std::string storage;
    if (replaceMalformed(held, storage).data() == held.data())
      sink(held);
    else
      for (size_t i = 0; i < held.size(); ++i)
        sink("\xEF\xBF\xBD");
    held.clear();
  }

private:
  static std::optional<uint8_t> byteToken(std::string_view token) {
    if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>')
      return std::nullopt;
    uint8_t byte = 0;
    auto [end, error] =
        std::from_chars(token.data() + 3, token.data() + 5, byte, 16);
    if (error != std::errc() || end != token.data() + 5)
      return std::nullopt;
    return byte;
  }
  std::string held;
};

class ReplaceStage final : public DecodeStage {
public:
  ReplaceStage(const Pattern &pattern, const std::string &content)
      : pattern(pattern), content(content) {}
  void push(std::string_view token, const Sink &sink) override {
    std::string text(token);
    // Given up: the token stays as it is.
    (void)replaceMatches(text, pattern, content, scratch);
    sink(text);
  }

private:
  const Pattern &pattern;
  const std::string &content;
  PatternScratch scratch;
};

class MetaspaceStage final : public DecodeStage {
public:
  MetaspaceStage(const std::string &replacement, bool prefixed)
      : replacement(replacement), prefixed(prefixed) {}
  void push(std::string_view token, const Sink &sink) override {
    std::string text;
    while (!token.empty()) {
      size_t at = std::min(token.find(replacement), token.size());
      text += token.substr(0, at);
      token.remove_prefix(at);
      if (token.empty())
        break;
      token.remove_prefix(replacement.size());
      if (!first || !prefixed)
        text += ' ';
    }
    first = false;
    sink(text);
  }
  void finish(const Sink &) override { first = true; }

private:
  const std::string &replacement;
  bool prefixed, first = true;
};

/// Takes a character away, up to `left` times at the start and `right` times at
/// the end of each text.
class StripStage : public DecodeStage {
public:
  StripStage(const std::string &content, size_t left, size_t right)
      : content(content), left(left), right(right) {}
  void push(std::string_view text, const Sink &sink) override {
    for (size_t i = 0; i < left && text.starts_with(content); ++i)
      text.remove_prefix(content.size());
    for (size_t i = 0; i < right && text.ends_with(content); ++i)
      text.remove_suffix(content.size());
    sink(text);
  }

protected:
  const std::string &content;
  size_t left, right;
};

/// The same of one text that comes in parts.
class StripWholeStage final : public StripStage {
public:
  using StripStage::StripStage;
  void push(std::string_view text, const Sink &sink) override {
    held += text;
    while (stripped < left && held.starts_with(content)) {
      held.erase(0, content.size());
      ++stripped;
    }
    // The next part may go on with what is to be stripped.
    if (stripped < left && held.size() < content.size())
      return;
    if (!held.empty())
      stripped = left;
    size_t keep = 0;
    while (
        keep < right * content.size() &&
        std::string_view(held).substr(0, held.size() - keep).ends_with(content))
      keep += content.size();
    if (held.size() > keep) {
      sink(std::string_view(held).substr(0, held.size() - keep));
      held.erase(0, held.size() - keep);
    }
  }
  void finish(const Sink &sink) override {
    StripStage::push(held, [&](std::string_view text) {
      if (!text.empty())
        sink(text);
    });
    held.clear();
    stripped = 0;
  }

private:
  std::string held;
  size_t stripped = 0;
};

/// What changes a whole text, once it is there.
class ReplaceWholeStage final : public DecodeStage {
public:
  ReplaceWholeStage(const Pattern &pattern, const std::string &content)
      : stage(pattern, content) {}
  void push(std::string_view text, const Sink &) override { held += text; }
  void finish(const Sink &sink) override {
    stage.push(held, sink);
    held.clear();
  }

private:
  ReplaceStage stage;
  std::string held;
};

/// Without a decoder tokens are words.
class SpacesStage final : public DecodeStage {
public:
  void push(std::string_view token, const Sink &sink) override {
    if (!first)
      sink(" ");
    first = false;
    sink(token);
  }
  void finish(const Sink &) override { first = true; }

private:
  bool first = true;
};

Expected<size_t> parseTimes(const Field &field) {
  MBC_ASSIGN(int32_t times, field.id());
  return static_cast<size_t>(times);
}

} // namespace

Status Decoder::add(const Field &field) {
  MBC_ASSIGN(std::string type, field.type());
  if (type == "Sequence") {
    MBC_ASSIGN(auto fields, field.at("decoders").elements());
    for (const Field &each : fields)
      MBC_TRY(add(each));
    return {};
  }
  if (type == "ByteLevel") {
    if (whole)
      return field.fail("stands behind a decoder that has put the tokens "
                        "together, which mbc does not compute");
    makers.push_back([] { return std::make_unique<ByteLevelStage>(); });
    whole = true;
    return {};
  }
  if (type == "Fuse") {
    whole = true;
    return {};
  }
  if (type == "ByteFallback") {
    if (whole)
      return field.fail("stands behind a decoder that has put the tokens "
                        "together, which mbc does not compute");
    makers.push_back([] { return std::make_unique<ByteFallbackStage>(); });
    return {};
  }
  if (type == "Replace") {
    MBC_ASSIGN(std::shared_ptr<Pattern> pattern,
               parsePattern(field.at("pattern")));
    MBC_ASSIGN(std::string content, field.at("content").text());
    makers.push_back([pattern, content = std::make_shared<std::string>(content),
                      whole = whole]() -> std::unique_ptr<DecodeStage> {
      if (whole)
        return std::make_unique<ReplaceWholeStage>(*pattern, *content);
      return std::make_unique<ReplaceStage>(*pattern, *content);
    });
    return {};
  }
  if (type == "Strip") {
    MBC_ASSIGN(std::string content, field.at("content").character());
    MBC_ASSIGN(size_t left, parseTimes(field.at("start")));
    MBC_ASSIGN(size_t right, parseTimes(field.at("stop")));
    makers.push_back([content = std::make_shared<std::string>(content), left,
                      right, whole = whole]() -> std::unique_ptr<DecodeStage> {
      if (whole)
        return std::make_unique<StripWholeStage>(*content, left, right);
      return std::make_unique<StripStage>(*content, left, right);
    });
    return {};
  }
  if (type == "Metaspace") {
    if (whole)
      return field.fail("stands behind a decoder that has put the tokens "
                        "together, which mbc does not compute");
    MBC_ASSIGN(std::string replacement, field.at("replacement").character());
    MBC_ASSIGN(bool old, field.at("add_prefix_space").boolean(true));
    MBC_ASSIGN(std::string scheme,
               field.at("prepend_scheme").text(old ? "always" : "never"));
    makers.push_back([replacement = std::make_shared<std::string>(replacement),
                      prefixed = scheme != "never"] {
      return std::make_unique<MetaspaceStage>(*replacement, prefixed);
    });
    return {};
  }
  return field.unknownType("decoder", "Sequence, ByteLevel, Fuse, "
                                      "ByteFallback, Replace, Strip and "
                                      "Metaspace");
}

Expected<Decoder> Decoder::parse(const Field &field) {
  Decoder result;
  if (field.isNull())
    result.makers.push_back([] { return std::make_unique<SpacesStage>(); });
  else
    MBC_TRY(result.add(field));
  return result;
}

Decoder Decoder::ofBytes() {
  Decoder result;
  result.makers.push_back([] { return std::make_unique<BytesStage>(); });
  return result;
}

std::unique_ptr<DecodeChain> Decoder::start() const {
  auto chain = std::make_unique<DecodeChain>();
  for (const Maker &make : makers)
    chain->stages.push_back(make());
  return chain;
}

void DecodeChain::pushTo(size_t stage, std::string_view text,
                         std::string &out) {
  if (stage == stages.size()) {
    out += text;
    return;
  }
  stages[stage]->push(
      text, [&](std::string_view next) { pushTo(stage + 1, next, out); });
}

std::string DecodeChain::push(std::string_view token) {
  std::string out;
  pushTo(0, token, out);
  return out;
}

std::string DecodeChain::finish() {
  std::string out;
  for (size_t stage = 0; stage < stages.size(); ++stage)
    stages[stage]->finish(
        [&](std::string_view text) { pushTo(stage + 1, text, out); });
  return out;
}

} // namespace mbc::text
