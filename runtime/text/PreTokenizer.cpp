//===- PreTokenizer.cpp ---------------------------------------------------===//
#include "runtime/text/PreTokenizer.h"

#include "runtime/core/Text.h"
#include "runtime/text/ByteAlphabet.h"
#include "runtime/text/Normalizer.h"
#include "runtime/text/PatternSyntax.h"

#include <fmt/format.h>
#include <map>

namespace mbc::text {

PreTokenizer::Step::~Step() = default;
PreTokenizer::PreTokenizer() = default;
PreTokenizer::PreTokenizer(PreTokenizer &&) noexcept = default;
PreTokenizer &PreTokenizer::operator=(PreTokenizer &&) noexcept = default;
PreTokenizer::~PreTokenizer() = default;

namespace {

/// What GPT-2 calls words.
constexpr std::string_view gpt2Words =
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|"
    "\\s+(?!\\S)|\\s+";
/// What `\w` is to the component Whitespace, which another library matches.
constexpr std::string_view rustWord =
    "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\x{200C}\\x{200D}";
constexpr std::string_view asciiPunctuation = "!-\\/:-@\\[-`{-~";

/// Collects the spans of one piece.
class Cutter {
public:
  Cutter(Piece piece, SplitBehavior behavior, bool invert,
         std::vector<Piece> &out)
      : piece(piece), behavior(behavior), invert(invert), out(out) {}

  void match(size_t begin, size_t end) {
    if (done != begin)
      span(done, begin, invert);
    span(begin, end, !invert);
    done = end;
  }
  void finish() {
    if (done != piece.text.size())
      span(done, piece.text.size(), invert);
    flush();
  }

private:
  /// `cut`: what the pattern is about.
  void span(size_t begin, size_t end, bool cut) {
    switch (behavior) {
    case SplitBehavior::Isolated:
      emit(begin, end);
      break;
    case SplitBehavior::Removed:
      if (!cut)
        emit(begin, end);
      break;
    case SplitBehavior::Contiguous:
      if (cut == last && open)
        held.end = end;
      else
        hold(begin, end);
      break;
    case SplitBehavior::MergedWithPrevious:
      if (cut && !last && open)
        held.end = end;
      else
        hold(begin, end);
      break;
    case SplitBehavior::MergedWithNext:
      // From the end a match joins what follows, unless that is one too.
      if (!cut && open && last) {
        held.end = end;
        flush();
      } else {
        hold(begin, end);
      }
      break;
    }
    last = cut;
  }
  void hold(size_t begin, size_t end) {
    flush();
    held = {begin, end};
    open = true;
  }
  void flush() {
    if (open)
      emit(held.begin, held.end);
    open = false;
  }
  void emit(size_t begin, size_t end) {
    if (begin != end)
      out.push_back(
          {piece.text.substr(begin, end - begin), piece.atStart && begin == 0});
  }

  Piece piece;
  SplitBehavior behavior;
  bool invert;
  std::vector<Piece> &out;
  size_t done = 0;
  struct {
    size_t begin, end;
  } held = {0, 0};
  bool open = false, last = false;
};

struct SplitStep final : PreTokenizer::Step {
  std::unique_ptr<Pattern> pattern;
  SplitBehavior behavior = SplitBehavior::Isolated;
  bool invert = false;

  Status apply(Pieces &pieces) const override {
    pieces.next.clear();
    for (const Piece &piece : pieces.list) {
      Cutter cutter(piece, behavior, invert, pieces.next);
      MBC_TRY(pattern->forEach(
          piece.text, pieces.patterns,
          [&](size_t begin, size_t end) { cutter.match(begin, end); }));
      cutter.finish();
    }
    std::swap(pieces.list, pieces.next);
    return {};
  }
};

/// A step that changes each piece for itself.
struct ChangeStep : PreTokenizer::Step {
  /// Whether `out` is what `piece` becomes; else it stays.
  virtual bool change(const Piece &piece, std::string &out) const = 0;

  Status apply(Pieces &pieces) const override {
    std::string text;
    for (Piece &piece : pieces.list) {
      text.clear();
      if (change(piece, text))
        piece.text = pieces.changed.emplace_back(std::move(text));
    }
    return {};
  }
};

struct PrefixSpaceStep final : ChangeStep {
  bool change(const Piece &piece, std::string &out) const override {
    if (piece.text.starts_with(' '))
      return false;
    out = ' ';
    out += piece.text;
    return true;
  }
};

struct ByteCharactersStep final : ChangeStep {
  bool change(const Piece &piece, std::string &out) const override {
    out = toByteCharacters(piece.text);
    return true;
  }
};

struct MetaspaceStep final : ChangeStep {
  enum class Prepend { Always, First, Never } prepend = Prepend::Always;
  std::string replacement;

  bool change(const Piece &piece, std::string &out) const override {
    for (char c : piece.text)
      if (c == ' ')
        out += replacement;
      else
        out += c;
    bool prefix = prepend == Prepend::Always ||
                  (prepend == Prepend::First && piece.atStart);
    if (prefix && !out.starts_with(replacement))
      out.insert(0, replacement);
    return true;
  }
};

Expected<SplitBehavior> parseBehavior(const Field &field,
                                      std::string_view fallback) {
  static const std::map<std::string, SplitBehavior, std::less<>> behaviors = {
      {"Removed", SplitBehavior::Removed},
      {"Isolated", SplitBehavior::Isolated},
      {"MergedWithPrevious", SplitBehavior::MergedWithPrevious},
      {"MergedWithNext", SplitBehavior::MergedWithNext},
      {"Contiguous", SplitBehavior::Contiguous}};
  MBC_ASSIGN(std::string text, field.text(fallback));
  if (auto it = behaviors.find(text); it != behaviors.end())
    return it->second;
  return field.fail(fmt::format(
      "is {}; expected Removed, Isolated, MergedWithPrevious, MergedWithNext "
      "or Contiguous",
      quote(text)));
}

} // namespace

Status PreTokenizer::addSplit(std::string_view pattern, SplitBehavior behavior,
                              bool invert) {
  auto step = std::make_unique<SplitStep>();
  MBC_ASSIGN(step->pattern, Pattern::compile(pattern));
  step->behavior = behavior;
  step->invert = invert;
  steps.push_back(std::move(step));
  return {};
}

Status PreTokenizer::add(const Field &field) {
  MBC_ASSIGN(std::string type, field.type());
  if (type == "Sequence") {
    MBC_ASSIGN(auto fields, field.at("pretokenizers").elements());
    for (const Field &each : fields)
      MBC_TRY(add(each));
    return {};
  }
  // Only the last step may be left to the model.
  if (bytes) {
    steps.push_back(std::make_unique<ByteCharactersStep>());
    bytes = false;
  }
  if (type == "ByteLevel") {
    MBC_ASSIGN(bool prefix, field.at("add_prefix_space").boolean(true));
    MBC_ASSIGN(bool words, field.at("use_regex").boolean(true));
    if (prefix)
      steps.push_back(std::make_unique<PrefixSpaceStep>());
    if (words)
      MBC_TRY(addSplit(gpt2Words, SplitBehavior::Isolated));
    bytes = true;
    return {};
  }
  if (type == "Split") {
    auto step = std::make_unique<SplitStep>();
    MBC_ASSIGN(step->pattern, parsePattern(field.at("pattern")));
    MBC_ASSIGN(step->behavior, parseBehavior(field.at("behavior"), ""));
    MBC_ASSIGN(step->invert, field.at("invert").boolean(false));
    steps.push_back(std::move(step));
    return {};
  }
  if (type == "Digits") {
    MBC_ASSIGN(bool each, field.at("individual_digits").boolean(false));
    return addSplit("\\p{N}",
                    each ? SplitBehavior::Isolated : SplitBehavior::Contiguous);
  }
  if (type == "Punctuation") {
    MBC_ASSIGN(SplitBehavior behavior,
               parseBehavior(field.at("behavior"), "Isolated"));
    return addSplit(fmt::format("[{}\\p{{P}}]", asciiPunctuation), behavior);
  }
  if (type == "Whitespace")
    return addSplit(fmt::format("[{0}]+|[^{0}\\s]+", rustWord),
                    SplitBehavior::Removed, /*invert=*/true);
  if (type == "WhitespaceSplit")
    return addSplit("\\s", SplitBehavior::Removed);
  if (type == "BertPreTokenizer") {
    MBC_TRY(addSplit("\\s", SplitBehavior::Removed));
    return addSplit(fmt::format("[{}\\p{{P}}]", asciiPunctuation),
                    SplitBehavior::Isolated);
  }
  if (type == "CharDelimiterSplit") {
    MBC_ASSIGN(std::string delimiter, field.at("delimiter").character());
    return addSplit(escapePattern(delimiter), SplitBehavior::Removed);
  }
  if (type == "Metaspace") {
    auto step = std::make_unique<MetaspaceStep>();
    MBC_ASSIGN(step->replacement, field.at("replacement").character());
    MBC_ASSIGN(bool old, field.at("add_prefix_space").boolean(true));
    MBC_ASSIGN(std::string scheme,
               field.at("prepend_scheme").text(old ? "always" : "never"));
    using Prepend = MetaspaceStep::Prepend;
    if (scheme == "never")
      step->prepend = Prepend::Never;
    else if (scheme == "first")
      step->prepend = Prepend::First;
    else if (scheme != "always")
      return field.at("prepend_scheme")
          .fail(fmt::format("is {}; expected always, first or never",
                            quote(scheme)));
    MBC_ASSIGN(bool split, field.at("split").boolean(true));
    std::string cut = escapePattern(step->replacement);
    steps.push_back(std::move(step));
    return split ? addSplit(cut, SplitBehavior::MergedWithNext) : Status();
  }
  return field.unknownType(
      "pre-tokenizer",
      "Sequence, ByteLevel, Split, Digits, Punctuation, Whitespace, "
      "WhitespaceSplit, BertPreTokenizer, CharDelimiterSplit and Metaspace");
}

Expected<PreTokenizer> PreTokenizer::parse(const Field &field) {
  PreTokenizer result;
  if (!field.isNull())
    MBC_TRY(result.add(field));
  return result;
}

Expected<PreTokenizer> PreTokenizer::bytesOfMatches(std::string_view pattern) {
  PreTokenizer result;
  // What no part of the pattern matches has no token.
  MBC_TRY(result.addSplit(pattern, SplitBehavior::Removed, /*invert=*/true));
  result.bytes = true;
  return result;
}

Status PreTokenizer::apply(Pieces &pieces) const {
  for (const auto &step : steps)
    MBC_TRY(step->apply(pieces));
  return {};
}

} // namespace mbc::text
