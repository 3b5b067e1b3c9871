//===- Normalizer.cpp -----------------------------------------------------===//
#include "runtime/text/Normalizer.h"

#include "runtime/text/ByteAlphabet.h"
#include "runtime/text/PatternSyntax.h"
#include "runtime/text/Unicode.h"

#include <map>
#include <vector>

namespace mbc::text {

Normalizer::~Normalizer() = default;

Status replaceMatches(std::string &text, const Pattern &pattern,
                      std::string_view content, PatternScratch &scratch) {
  if (text.empty())
    return {};
  std::string out;
  size_t copied = 0;
  MBC_TRY(pattern.forEach(text, scratch, [&](size_t begin, size_t end) {
    out.append(text, copied, begin - copied);
    out += content;
    copied = end;
  }));
  if (copied == 0 && out.empty())
    return {};
  out.append(text, copied);
  text = std::move(out);
  return {};
}

Expected<std::unique_ptr<Pattern>> parsePattern(const Field &field) {
  if (!field.at("String").isNull()) {
    MBC_ASSIGN(std::string text, field.at("String").text());
    if (text.empty())
      return field.at("String").fail("is empty; expected a text to look for");
    return Pattern::compile(escapePattern(text));
  }
  MBC_ASSIGN(std::string text, field.at("Regex").text());
  auto pattern = Pattern::compile(text);
  if (!pattern)
    return field.at("Regex").fail("is refused: " + pattern.error().message);
  return pattern;
}

namespace {

using Parts = std::vector<std::unique_ptr<Normalizer>>;

struct NormalizerSequence final : Normalizer {
  Parts parts;
  Status apply(std::string &text, PatternScratch &scratch) const override {
    for (const auto &part : parts)
      MBC_TRY(part->apply(text, scratch));
    return {};
  }
};

struct UnicodeNormalizer final : Normalizer {
  NormalForm form;
  explicit UnicodeNormalizer(NormalForm form) : form(form) {}
  Status apply(std::string &text, PatternScratch &) const override {
    std::string storage;
    std::string_view result = normalized(text, form, storage);
    if (result.data() == storage.data())
      text = std::move(storage);
    return {};
  }
};

struct LowercaseNormalizer final : Normalizer {
  Status apply(std::string &text, PatternScratch &) const override {
    text = lowercase(text);
    return {};
  }
};

struct StripNormalizer final : Normalizer {
  bool left = true, right = true;
  Status apply(std::string &text, PatternScratch &) const override {
    std::string_view rest = text;
    while (right && !rest.empty() && isWhiteSpace(lastCharacter(rest).code))
      rest.remove_suffix(lastCharacter(rest).length);
    while (left && !rest.empty() && isWhiteSpace(firstCharacter(rest).code))
      rest.remove_prefix(firstCharacter(rest).length);
    text = std::string(rest);
    return {};
  }
};

struct StripAccents final : Normalizer {
  Status apply(std::string &text, PatternScratch &) const override {
    std::string out;
    for (std::string_view rest = text; !rest.empty();) {
      Character next = firstCharacter(rest);
      if (!isNonspacingMark(next.code))
        out += rest.substr(0, next.length);
      rest.remove_prefix(next.length);
    }
    text = std::move(out);
    return {};
  }
};

struct ReplaceNormalizer final : Normalizer {
  std::unique_ptr<Pattern> pattern;
  std::string content;
  Status apply(std::string &text, PatternScratch &scratch) const override {
    return replaceMatches(text, *pattern, content, scratch);
  }
};

struct PrependNormalizer final : Normalizer {
  std::string prefix;
  Status apply(std::string &text, PatternScratch &) const override {
    if (!text.empty())
      text.insert(0, prefix);
    return {};
  }
};

struct ByteLevelNormalizer final : Normalizer {
  Status apply(std::string &text, PatternScratch &) const override {
    text = toByteCharacters(text);
    return {};
  }
};

} // namespace

Expected<std::unique_ptr<Normalizer>> Normalizer::parse(const Field &field) {
  if (field.isNull())
    return std::unique_ptr<Normalizer>();
  MBC_ASSIGN(std::string type, field.type());
  static const std::map<std::string, NormalForm, std::less<>> forms = {
      {"NFC", NormalForm::C},
      {"NFD", NormalForm::D},
      {"NFKC", NormalForm::KC},
      {"NFKD", NormalForm::KD}};
  if (auto it = forms.find(type); it != forms.end())
    return std::make_unique<UnicodeNormalizer>(it->second);
  if (type == "Lowercase")
    return std::make_unique<LowercaseNormalizer>();
  if (type == "StripAccents")
    return std::make_unique<StripAccents>();
  if (type == "ByteLevel")
    return std::make_unique<ByteLevelNormalizer>();
  if (type == "Sequence") {
    auto result = std::make_unique<NormalizerSequence>();
    MBC_ASSIGN(auto fields, field.at("normalizers").elements());
    for (const Field &each : fields) {
      MBC_ASSIGN(auto part, parse(each));
      if (part)
        result->parts.push_back(std::move(part));
    }
    return result;
  }
  if (type == "Strip") {
    auto result = std::make_unique<StripNormalizer>();
    MBC_ASSIGN(result->left, field.at("strip_left").boolean(true));
    MBC_ASSIGN(result->right, field.at("strip_right").boolean(true));
    return result;
  }
  if (type == "Replace") {
    auto result = std::make_unique<ReplaceNormalizer>();
    MBC_ASSIGN(result->pattern, parsePattern(field.at("pattern")));
    MBC_ASSIGN(result->content, field.at("content").text());
    return result;
  }
  if (type == "Prepend") {
    auto result = std::make_unique<PrependNormalizer>();
    MBC_ASSIGN(result->prefix, field.at("prepend").text());
    return result;
  }
  return field.unknownType("normalizer",
                           "Sequence, NFC, NFD, NFKC, NFKD, Replace, Prepend, "
                           "Strip, StripAccents, Lowercase and ByteLevel");
}

} // namespace mbc::text
