//===- Prompts.cpp --------------------------------------------------------===//
#include "runtime/commands/Prompts.h"

#include "runtime/core/File.h"
#include "runtime/core/Text.h"

#include <cerrno>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

namespace mbc {

constexpr uint64_t mostBytes = uint64_t(1) << 30;

static Expected<std::string> readInput() {
  std::string text;
  char buffer[1 << 16];
  while (true) {
    ssize_t count = ::read(STDIN_FILENO, buffer, sizeof(buffer));
    if (count < 0 && errno == EINTR)
      continue;
    if (count < 0)
      return fileError("stdin", "cannot read", errno);
    if (count == 0)
      return text;
    text.append(buffer, count);
    if (text.size() > mostBytes)
      return inputError("stdin: is larger than 1 GiB");
  }
}

static Expected<std::string> readText(const std::string &path) {
  return path == "-" ? readInput() : readWholeFile(path, mostBytes);
}

Expected<std::string> readPromptFile(const std::string &path) {
  MBC_ASSIGN(std::string text, readText(path));
  if (text.ends_with('\n'))
    text.pop_back();
  return text;
}

namespace {

/// The members of one line.
class Line {
public:
  Line(Prompt &prompt, const std::filesystem::path &folder)
      : prompt(prompt), folder(folder) {}

  Status take(const std::string &name, const Json &value) {
    generate::SamplingSettings &sampling = prompt.sampling;
    if (name == "id") {
      prompt.id = value;
      return {};
    }
    if (name == "prompt")
      return text(name, value, prompt.text);
    if (name == "messages") {
      if (!value.isArray())
        return wrong(name, value, "a list of {\"role\", \"content\"}");
      prompt.messages = value;
      return {};
    }
    if (name == "images")
      return pictures(value);
    if (name == "tokens")
      return tokens(value);
    if (name == "stop")
      return stop(value);
    if (name == "max_new_tokens") {
      std::optional<uint64_t> count;
      MBC_TRY(number(name, value, count));
      prompt.maxNewTokens = static_cast<int64_t>(*count);
      return {};
    }
    if (name == "seed")
      return number(name, value, sampling.seed);
    if (name == "top_k")
      return number(name, value, sampling.topK);
    if (name == "temperature")
      return real(name, value, sampling.temperature);
    if (name == "top_p")
      return real(name, value, sampling.topP);
    if (name == "min_p")
      return real(name, value, sampling.minP);
    if (name == "repetition_penalty")
      return real(name, value, sampling.repetitionPenalty);
    return inputError(fmt::format(
        "{}: member {} is unknown; expected prompt, messages or tokens, and "
        "images, id, max_new_tokens, stop, seed, temperature, top_k, top_p, "
        "min_p, "
        "repetition_penalty",
        prompt.place, quote(name)));
  }

private:
  Failure wrong(std::string_view name, const Json &value,
                const char *expected) const {
    return inputError(fmt::format("{}: {} is {}, expected {}", prompt.place,
                                  name, quote(value.dumpCompact()), expected));
  }
  Status text(const std::string &name, const Json &value,
              std::optional<std::string> &into) const {
    if (!value.isString())
      return wrong(name, value, "a text");
    into = *value.asString();
    return {};
  }
  Status number(const std::string &name, const Json &value,
                std::optional<uint64_t> &into) const {
    std::optional<int64_t> found = value.asInt();
    if (!found || *found < 0)
      return wrong(name, value, "a whole number from 0 on");
    into = static_cast<uint64_t>(*found);
    return {};
  }
  Status real(const std::string &name, const Json &value,
              std::optional<double> &into) const {
    into = value.asDouble();
    if (!into)
      return wrong(name, value, "a number");
    return {};
  }
  Status tokens(const Json &value) const {
    for (const Json &item : value.elements()) {
      std::optional<int64_t> id = item.asInt();
      if (!id || *id < 0 || *id > INT32_MAX)
        return wrong("tokens", item, "a token's number");
      prompt.tokens.push_back(static_cast<int32_t>(*id));
    }
    if (prompt.tokens.empty())
      return wrong("tokens", value, "a list of token ids");
    return {};
  }
  Status stop(const Json &value) const {
    std::span<const Json> list =
        value.isArray() ? std::span(value.elements()) : std::span(&value, 1);
    prompt.stop.emplace();
    for (const Json &item : list) {
      if (!item.isString() || item.asString()->empty())
        return wrong("stop", value, "a text, or a list of them, none empty");
      prompt.stop->push_back(*item.asString());
    }
    return {};
  }

  Status pictures(const Json &value) const {
    if (!value.isArray())
      return wrong("images", value, "a list of files");
    for (const Json &item : value.elements()) {
      if (!item.isString() || item.asString()->empty())
        return wrong("images", item, "a file's path");
      prompt.pictures.push_back((folder / *item.asString()).string());
    }
    return {};
  }

  Prompt &prompt;
  const std::filesystem::path &folder;
};

} // namespace

Expected<std::vector<Prompt>>
readPromptLines(const std::filesystem::path &path) {
  MBC_ASSIGN(std::string text, readText(path.string()));
  std::string name = path == "-" ? "stdin" : path.string();
  std::filesystem::path folder = path == "-" ? "" : path.parent_path();
  std::vector<Prompt> prompts;
  size_t number = 0;
  for (std::string_view rest = text; !rest.empty();) {
    std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos)
      continue;
    Prompt prompt;
    prompt.place = fmt::format("{}:{}", name, number);
    MBC_ASSIGN(Json json, Json::parse(line, prompt.place));
    if (!json.isObject())
      return inputError(fmt::format("{}: is {}, expected an object such as "
                                    "{{\"prompt\": \"...\"}}",
                                    prompt.place, kindText(json.kind())));
    for (const auto &[member, value] : json.members())
      MBC_TRY(Line(prompt, folder).take(member, value));
    if (prompt.text.has_value() + prompt.messages.has_value() +
            !prompt.tokens.empty() !=
        1)
      return inputError(fmt::format("{}: expected one of prompt, messages and "
                                    "tokens",
                                    prompt.place));
    prompts.push_back(std::move(prompt));
  }
  if (prompts.empty())
    return inputError(fmt::format("{}: has no prompts", name));
  return prompts;
}

} // namespace mbc
