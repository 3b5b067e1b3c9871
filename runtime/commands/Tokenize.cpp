//===- Tokenize.cpp -------------------------------------------------------===//
#include "runtime/commands/Tokenize.h"

#include "runtime/commands/RunCommandLine.h"
#include "runtime/core/File.h"
#include "runtime/core/Text.h"
#include "runtime/text/Tokenizer.h"

#include <charconv>
#include <fmt/format.h>

namespace mbc {

using text::Tokenizer;

static constexpr uint64_t fileLimit = uint64_t(256) << 20;

/// Ids with commas or white space between them; `where` starts messages.
static Expected<std::vector<int32_t>> parseIds(std::string_view list,
                                               std::string_view where) {
  static constexpr std::string_view separators = ", \t\r\n";
  std::vector<int32_t> ids;
  while (true) {
    list.remove_prefix(
        std::min(list.find_first_not_of(separators), list.size()));
    if (list.empty())
      return ids;
    std::string_view number = list.substr(0, list.find_first_of(separators));
    list.remove_prefix(number.size());
    int32_t id = 0;
    auto [end, error] =
        std::from_chars(number.data(), number.data() + number.size(), id);
    if (error != std::errc() || end != number.data() + number.size())
      return inputError(
          fmt::format("{}: {} is no token id; expected numbers such as 1,2,3",
                      where, quote(number)));
    ids.push_back(id);
  }
}

static Status checkIds(const Tokenizer &tokenizer, std::span<const int32_t> ids,
                       std::string_view where) {
  for (size_t i = 0; i < ids.size(); ++i)
    if (!tokenizer.hasToken(ids[i]))
      return inputError(
          fmt::format("{}: no token has the id {}, at [{}]; ids go up to {}",
                      where, ids[i], i, tokenizer.size() - 1));
  return {};
}

static Json idArray(std::span<const int32_t> ids) {
  Json array = Json::array();
  for (int32_t id : ids)
    array.push(id);
  return array;
}

namespace {

/// One text there and back.
struct Answer {
  std::string plain; ///< with --lines it is the JSON of `value`
  Json value;
  std::vector<int32_t> ids;
};

class Answerer {
public:
  Answerer(const Tokenizer &tokenizer, const TokenizeOptions &options)
      : tokenizer(tokenizer), options(options) {}

  Expected<Answer> encode(std::string_view text) const {
    MBC_ASSIGN(auto ids, tokenizer.encode(text, !options.noSpecial));
    Answer answer;
    if (options.pieces) {
      answer.value = spellings(ids);
      answer.plain = answer.value.dumpCompact();
    } else {
      answer.value = idArray(ids);
      answer.plain = fmt::format("{}", fmt::join(ids, ","));
    }
    answer.ids = std::move(ids);
    return answer;
  }

  Expected<Answer> decode(std::vector<int32_t> ids,
                          std::string_view where) const {
    MBC_TRY(checkIds(tokenizer, ids, where));
    Answer answer;
    if (options.pieces) {
      text::StreamDecoder decoder(tokenizer, options.noSpecial);
      answer.value = Json::array();
      for (int32_t id : ids)
        answer.value.push(decoder.push(id));
      if (std::string rest = decoder.finish(); !rest.empty())
        answer.value.push(rest);
      answer.plain = answer.value.dumpCompact();
    } else {
      answer.plain = tokenizer.decode(ids, options.noSpecial);
      answer.value = answer.plain;
    }
    answer.ids = std::move(ids);
    return answer;
  }

  Json spellings(std::span<const int32_t> ids) const {
    Json array = Json::array();
    for (int32_t id : ids)
      array.push(tokenizer.tokenText(id));
    return array;
  }

private:
  const Tokenizer &tokenizer;
  const TokenizeOptions &options;
};

} // namespace

/// The answers to the lines of --lines.
static Expected<Outcome> answerLines(const Answerer &answerer,
                                     const TokenizeOptions &options) {
  MBC_ASSIGN(std::string file, readWholeFile(options.lines, fileLimit));
  Outcome outcome;
  Json results = Json::array();
  size_t number = 0;
  for (std::string_view rest = file; !rest.empty();) {
    std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    std::string where = fmt::format("{}:{}", options.lines, ++number);
    MBC_ASSIGN(Json value, Json::parse(line, where));
    Answer answer;
    if (options.decode) {
      std::vector<int32_t> ids;
      for (const Json &element : value.elements()) {
        auto id = element.asInt();
        if (!id || *id < 0 || *id > INT32_MAX)
          return inputError(fmt::format("{}: {} is no token id", where,
                                        quote(element.dumpCompact())));
        ids.push_back(static_cast<int32_t>(*id));
      }
      if (!value.isArray())
        return inputError(fmt::format("{}: is {}; expected an array of ids",
                                      where, kindText(value.kind())));
      MBC_ASSIGN(answer, answerer.decode(std::move(ids), where));
    } else {
      const std::string *text = value.asString();
      if (!text)
        return inputError(fmt::format("{}: is {}; expected a JSON text", where,
                                      kindText(value.kind())));
      MBC_ASSIGN(answer, answerer.encode(*text));
    }
    outcome.text += answer.value.dumpCompact() + "\n";
    results.push(std::move(answer.value));
  }
  outcome.json.set("results", std::move(results));
  return outcome;
}

Expected<Outcome> tokenize(const TokenizeOptions &options) {
  size_t given =
      !options.file.empty() + !options.lines.empty() + options.texts.size();
  if (given != 1)
    return inputError("expected one of --text, --file and --lines");
  MBC_ASSIGN(auto tokenizer, Tokenizer::open(options.folder));
  Answerer answerer(*tokenizer, options);
  if (!options.lines.empty())
    return answerLines(answerer, options);
  std::string input;
  if (options.file.empty()) {
    input = options.texts.front();
  } else {
    MBC_ASSIGN(input, readWholeFile(options.file, fileLimit));
  }
  std::string where = options.file.empty() ? "option '--text'" : options.file;
  Answer answer;
  if (options.decode) {
    MBC_ASSIGN(auto ids, parseIds(input, where));
    MBC_ASSIGN(answer, answerer.decode(std::move(ids), where));
  } else {
    MBC_ASSIGN(answer, answerer.encode(input));
  }
  Outcome outcome;
  outcome.text = answer.plain + "\n";
  outcome.json.set("tokens", idArray(answer.ids));
  outcome.json.set("pieces", options.decode && options.pieces
                                 ? answer.value
                                 : answerer.spellings(answer.ids));
  if (options.decode)
    outcome.json.set("text", tokenizer->decode(answer.ids, options.noSpecial));
  return outcome;
}

std::unique_ptr<BaseCommand> makeTokenize(CLI::App &root) {
  auto command = std::make_unique<RunCommand>(root, "tokenize", tokenizeSummary,
                                              tokenizeDetails);
  declareTokenize(*command,
                  "  mbc-run tokenize SmolLM2-135M-Instruct --text \"Hello\"\n"
                  "  mbc-run tokenize DIR --text 19556,28 --decode");
  return command;
}

} // namespace mbc
