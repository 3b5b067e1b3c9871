//===- GenerateOptions.cpp ------------------------------------------------===//
#include "runtime/commands/GenerateOptions.h"

#include "runtime/commands/Tokens.h"
#include "runtime/core/File.h"
#include "runtime/core/Parallel.h"
#include "runtime/core/Text.h"

#include <algorithm>
#include <bit>
#include <fmt/format.h>
#include <unistd.h>

namespace mbc {

constexpr uint64_t mostSequences = 1024;
/// So that few programs do for all pictures.
constexpr uint64_t leastPatches = 1024;

static Status parseReal(const char *option, const std::string &text,
                        std::optional<double> &value) {
  if (!text.empty() && !(value = parseReal(text)))
    return inputError(fmt::format("option '{}' is {}, expected a number",
                                  option, quote(text)));
  return {};
}

static Expected<generate::SamplingSettings>
parseSampling(const GenerateTexts &texts) {
  generate::SamplingSettings result;
  result.sample = texts.sample;
  MBC_TRY(parseReal("--temperature", texts.temperature, result.temperature));
  MBC_TRY(parseCount("--top-k", texts.topK, 0, 1u << 30, result.topK));
  MBC_TRY(parseReal("--top-p", texts.topP, result.topP));
  MBC_TRY(parseReal("--min-p", texts.minP, result.minP));
  MBC_TRY(parseReal("--repetition-penalty", texts.repetitionPenalty,
                    result.repetitionPenalty));
  MBC_TRY(parseCount("--seed", texts.seed, 0, UINT64_MAX, result.seed));
  if (result.temperature == 0.0)
    for (auto [option, given] : {std::pair("--sample", texts.sample),
                                 std::pair("--top-k", result.topK.has_value()),
                                 std::pair("--top-p", result.topP.has_value()),
                                 std::pair("--min-p", result.minP.has_value())})
      if (given)
        return inputError(fmt::format(
            "option '{}' is for drawing tokens, and '--temperature 0' takes "
            "the most probable one",
            option));
  // The ranges; nothing of a model matters for them.
  MBC_TRY(generate::GenerationConfig().resolve(result, "the options: "));
  return result;
}

/// NAME=JSON; what is no JSON is a text.
static Expected<Json> parseVariables(const std::vector<std::string> &texts) {
  Json result = Json::object();
  for (const std::string &text : texts) {
    size_t at = text.find('=');
    if (at == 0 || at == std::string::npos)
      return inputError(fmt::format(
          "option '--template-set' is {}, expected NAME=JSON", quote(text)));
    std::string value = text.substr(at + 1);
    auto json = Json::parse(value, "value");
    result.set(text.substr(0, at), json ? std::move(*json) : Json(value));
  }
  return result;
}

static Status checkPictures(const GenerateTexts &texts,
                            const std::vector<Prompt> &prompts) {
  if (!texts.videos.empty())
    return inputError(fmt::format("option '--video' is {}: videos are not "
                                  "supported, only pictures; '--image FILE' "
                                  "shows one",
                                  quote(texts.videos.front())));
  if (texts.images.empty())
    return {};
  if (texts.promptsFile)
    return inputError("option '--image' is for one prompt; the lines of "
                      "'--prompts-file' have \"images\": [FILE]");
  if (prompts.size() > 1)
    return inputError("option '--image' is for one prompt, and '--tokens' has "
                      "several sequences");
  return {};
}

static Expected<std::vector<Prompt>> readPrompts(const GenerateTexts &texts) {
  std::vector<Prompt> prompts;
  if (texts.promptsFile)
    return readPromptLines(*texts.promptsFile);
  if (texts.tokens) {
    MBC_ASSIGN(Tokens tokens, readTokens(*texts.tokens));
    for (int64_t i = 0; i < tokens.batch; ++i) {
      Prompt &prompt = prompts.emplace_back();
      prompt.place = "option '--tokens'";
      auto first = tokens.ids.begin() + i * tokens.length;
      prompt.tokens.assign(first, first + tokens.length);
    }
    return prompts;
  }
  Prompt prompt;
  if (texts.promptFile || texts.prompt == "-") {
    std::string path = texts.promptFile.value_or("-");
    prompt.place = path == "-" ? "stdin" : path;
    MBC_ASSIGN(prompt.text, readPromptFile(path));
  } else {
    prompt.place = "option '--prompt'";
    prompt.text = texts.prompt;
  }
  if (prompt.text->empty())
    return inputError(
        fmt::format("{}: the prompt is empty; the model needs at least a "
                    "character to continue",
                    prompt.place));
  prompts.push_back(std::move(prompt));
  return prompts;
}

Expected<GenerateOptions> GenerateOptions::parse(const GenerateTexts &texts,
                                                 const BaseOptions &common) {
  GenerateOptions result;
  std::string source;
  for (auto [option, value] : {std::pair("--prompt", &texts.prompt),
                               std::pair("--prompt-file", &texts.promptFile),
                               std::pair("--prompts-file", &texts.promptsFile),
                               std::pair("--tokens", &texts.tokens)}) {
    if (!value->has_value())
      continue;
    if (!source.empty())
      return inputError(fmt::format(
          "options '{}' and '{}' are two prompts; give one", source, option));
    source = option;
  }
  result.chat = texts.chat;
  result.lines = source == "--prompts-file";
  if (source.empty()) {
    if (!texts.chat)
      return inputError("expected a prompt: --prompt TEXT, --prompt-file, "
                        "--prompts-file or --tokens, or --chat on a terminal");
    if (common.json)
      return inputError("option '--json' needs a prompt: a conversation on the "
                        "terminal has no end to report");
    if (::isatty(STDIN_FILENO) == 0 || ::isatty(STDOUT_FILENO) == 0)
      return inputError("option '--chat' without a prompt needs a terminal; "
                        "'--prompt -' reads a message from stdin");
  }
  auto needs = [&](bool given, const char *option, bool has, const char *what) {
    return given && !has ? Status(inputError(fmt::format("option '{}' needs {}",
                                                         option, what)))
                         : Status();
  };
  MBC_TRY(needs(texts.system.has_value(), "--system", texts.chat, "'--chat'"));
  MBC_TRY(needs(!texts.variables.empty(), "--template-set",
                texts.chat || result.lines, "'--chat'"));
  MBC_TRY(needs(!texts.output.empty(), "-o", result.lines, "'--prompts-file'"));
  MBC_TRY(needs(!texts.logprobs.empty(), "--logprobs",
                common.json || result.lines, "'--json' or '--prompts-file'"));
  if (texts.chat && source == "--tokens")
    return inputError("option '--chat' is about texts, and '--tokens' gives "
                      "token ids");
  if (common.json && result.lines && texts.output.empty())
    return inputError("options '--json' and '--prompts-file' would both write "
                      "to stdout; '-o FILE' takes the lines");
  if (!texts.output.empty())
    MBC_TRY(checkFileTarget(texts.output));

  result.ignoreEos = texts.ignoreEos;
  result.output = texts.output;
  result.system = texts.system;
  result.tokenizer = texts.tokenizer;
  MBC_TRY(resolveInPlace(result.tokenizer));
  MBC_ASSIGN(result.variables, parseVariables(texts.variables));
  MBC_TRY(parseCount("--max-new-tokens", texts.maxNewTokens, 1, 1u << 30,
                     result.maxNewTokens));
  MBC_TRY(parseCount("--length", texts.length, 2, 1u << 30, result.length));
  MBC_TRY(parseCount("--sequences", texts.sequences, 1, mostSequences,
                     result.sequences));
  MBC_ASSIGN(result.drafts, texts.drafts.parse());
  MBC_ASSIGN(result.device, execute::Device::parse(texts.device));
  MBC_ASSIGN(result.sampling, parseSampling(texts));
  for (const std::string &stop : texts.stop)
    if (stop.empty())
      return inputError("option '--stop' is empty");
  result.stop = texts.stop;
  if (common.json)
    result.logprobs = 0;
  std::optional<int32_t> logprobs;
  MBC_TRY(parseCount("--logprobs", texts.logprobs, 0, 1000, logprobs));
  result.logprobs = logprobs.value_or(result.logprobs);
  if (!source.empty()) {
    MBC_ASSIGN(result.prompts, readPrompts(texts));
  }
  MBC_TRY(checkPictures(texts, result.prompts));
  if (result.prompts.empty())
    result.pictures = texts.images;
  else if (!result.lines)
    result.prompts.front().pictures = texts.images;
  if (result.prompts.size() > 1 && !result.lines && !common.json)
    return inputError("option '--tokens' has several sequences; '--json' "
                      "prints their results");
  return result;
}

uint64_t GenerateOptions::programSequences() const {
  uint64_t count =
      sequences.value_or(std::clamp<uint64_t>(prompts.size(), 1, 8));
  return std::bit_ceil(count);
}

Expected<uint64_t>
GenerateOptions::preparePictures(const std::filesystem::path &folder,
                                 uint64_t unknown, unsigned threads) {
  uint64_t most = prompts.empty() ? unknown : 0;
  threads = threads ? threads : defaultThreads();
  auto processor = vision::PictureProcessor::open(folder);
  if (!processor)
    return most;
  for (Prompt &prompt : prompts) {
    if (prompt.pictures.empty())
      continue;
    MBC_ASSIGN(prompt.prepared,
               mbc::preparePictures(*processor, prompt.pictures, threads));
    for (const auto &picture : *prompt.prepared)
      most = std::max(most, uint64_t(picture->grid.rows) *
                                uint64_t(picture->grid.columns));
  }
  return most == 0 ? 0 : std::bit_ceil(std::max(most, leastPatches));
}

} // namespace mbc
