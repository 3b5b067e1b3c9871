#include "runtime/core/File.h"
#include "runtime/core/Text.h"
#include "runtime/text/template/ChatTemplate.h"

#include <fmt/format.h>
#include <map>

namespace mbc::text {
namespace {

namespace fs = std::filesystem;

struct Source {
  std::string text, name;
};
using Sources = std::map<std::string, Source>;

constexpr uint64_t sizeLimit = 1 << 20;

bool isThere(const fs::path &path) {
  std::error_code failed;
  return fs::exists(path, failed);
}

/// "default" and the files of additional_chat_templates.
Status addFiles(const fs::path &folder, Sources &sources) {
  if (fs::path path = folder / "chat_template.jinja"; isThere(path)) {
    MBC_ASSIGN(std::string text, readWholeFile(path, sizeLimit));
    sources["default"] = {std::move(text), path.string()};
  }
  fs::path more = folder / "additional_chat_templates";
  std::error_code failed;
  for (fs::directory_iterator at(more, failed), end; !failed && at != end;
       at.increment(failed)) {
    if (at->path().extension() != ".jinja")
      continue;
    MBC_ASSIGN(std::string text, readWholeFile(at->path(), sizeLimit));
    sources[at->path().stem()] = {std::move(text), at->path().string()};
  }
  return {};
}

/// `chat_template` of a JSON file: a text, or a list of {name, template}.
Status addMember(const fs::path &path, Sources &sources) {
  if (!isThere(path))
    return {};
  MBC_ASSIGN(Json json, Json::parseFile(path));
  const Json *member = json.find("chat_template");
  if (!member || member->isNull())
    return {};
  std::string name = fmt::format("{} (chat_template)", path.string());
  auto wrong = [&] {
    return inputError(fmt::format("{}: 'chat_template' must be a string or a "
                                  "list of {{\"name\", \"template\"}}",
                                  path.string()));
  };
  if (const std::string *text = member->asString()) {
    sources["default"] = {*text, name};
    return {};
  }
  if (!member->isArray())
    return wrong();
  for (const Json &entry : member->elements()) {
    const Json *key = entry.find("name"), *text = entry.find("template");
    if (!key || !key->asString() || !text || !text->asString())
      return wrong();
    sources[*key->asString()] = {
        *text->asString(), fmt::format("{} (chat_template {})", path.string(),
                                       quote(*key->asString()))};
  }
  return {};
}

} // namespace

Expected<std::optional<ChatTemplate>>
ChatTemplate::open(const fs::path &folder) {
  // As transformers: files come before the configuration.
  Sources sources;
  MBC_TRY(addFiles(folder, sources));
  for (const char *file : {"tokenizer_config.json", "chat_template.json"})
    if (sources.empty())
      MBC_TRY(addMember(folder / file, sources));
  if (sources.empty())
    return std::nullopt;
  auto main = sources.find("default");
  if (main == sources.end()) {
    std::string names;
    for (const auto &[name, source] : sources)
      names += (names.empty() ? "" : ", ") + quote(name);
    return inputError(fmt::format("{}: of the chat templates {} none is "
                                  "'default'",
                                  folder.string(), names));
  }
  MBC_ASSIGN(ChatTemplate result, parse(main->second.text, main->second.name));
  if (auto tools = sources.find("tool_use"); tools != sources.end()) {
    MBC_ASSIGN(ChatTemplate other,
               parse(tools->second.text, tools->second.name));
    result.withTools = std::move(other.compiled);
  }
  return result;
}

} // namespace mbc::text
