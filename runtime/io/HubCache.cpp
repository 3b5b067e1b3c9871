//===- HubCache.cpp -------------------------------------------------------===//
#include "runtime/io/HubCache.h"

#include "runtime/core/File.h"

#include <algorithm>
#include <cstdlib>
#include <fmt/format.h>
#include <optional>
#include <string>

namespace fs = std::filesystem;

namespace mbc {

namespace {

struct HubId {
  std::string organisation, name, revision;
};

/// "org/name[@revision]" of the characters that the hub allows. Paths that a
/// user is likelier to mean ("./a/b", "a/b/c", "../a") are no ids.
std::optional<HubId> parseId(std::string_view text) {
  HubId id;
  id.revision = "main";
  if (size_t at = text.find('@'); at != std::string_view::npos) {
    id.revision = text.substr(at + 1);
    text = text.substr(0, at);
  }
  size_t slash = text.find('/');
  if (slash == std::string_view::npos)
    return std::nullopt;
  id.organisation = text.substr(0, slash);
  id.name = text.substr(slash + 1);
  auto isWord = [](const std::string &word, std::string_view more) {
    return !word.empty() && word != "." && word != ".." && word[0] != '-' &&
           std::all_of(word.begin(), word.end(), [&](unsigned char c) {
             return std::isalnum(c) || more.find(c) != std::string_view::npos;
           });
  };
  if (!isWord(id.organisation, "-_.") || id.organisation[0] == '.' ||
      !isWord(id.name, "-_.") || !isWord(id.revision, "-_./") ||
      id.revision.find("..") != std::string::npos)
    return std::nullopt;
  return id;
}

/// A folder from the environment; "~" is the home, as huggingface_hub has it.
fs::path variable(const char *name) {
  const char *value = std::getenv(name);
  std::string text = value ? value : "";
  const char *home = std::getenv("HOME");
  if (home && (text == "~" || text.starts_with("~/")))
    text.replace(0, 1, home);
  return text;
}

} // namespace

fs::path hubCache() {
  // The second is the older name of the first.
  for (const char *name : {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"})
    if (fs::path cache = variable(name); !cache.empty())
      return cache;
  if (fs::path home = variable("HF_HOME"); !home.empty())
    return home / "hub";
  if (fs::path cache = variable("XDG_CACHE_HOME"); !cache.empty())
    return cache / "huggingface" / "hub";
  return variable("HOME") / ".cache" / "huggingface" / "hub";
}

Expected<fs::path> resolveModel(std::string_view text) {
  std::error_code code;
  fs::path path(text);
  if (fs::exists(fs::symlink_status(path, code)))
    return path;
  std::optional<HubId> id = parseId(text);
  if (!id)
    return path;
  fs::path model =
      hubCache() / fmt::format("models--{}--{}", id->organisation, id->name);
  std::string commit = id->revision;
  if (fs::path ref = model / "refs" / id->revision; fs::exists(ref, code)) {
    MBC_ASSIGN(commit, readWholeFile(ref, 4096));
    commit.erase(commit.find_last_not_of(" \r\n\t") + 1);
  }
  bool isPlain = !commit.empty() && commit.find('/') == std::string::npos &&
                 commit != "." && commit != "..";
  fs::path snapshot = model / "snapshots" / commit;
  if (isPlain && fs::is_directory(snapshot, code))
    return snapshot;
  std::string name = fmt::format("{}/{}", id->organisation, id->name);
  std::string revision =
      id->revision == "main" ? "" : fmt::format(" --revision {}", id->revision);
  return inputError(fmt::format(
      "'{}' is neither a folder nor in the local Hugging Face cache ({}); get "
      "it with 'hf download {}{}' (after 'hf auth login' where the model asks "
      "for it)",
      text, model.string(), name, revision));
}

std::string modelId(const fs::path &folder) {
  fs::path path = folder.lexically_normal();
  if (!path.has_filename()) // "model/"
    path = path.parent_path();
  constexpr std::string_view prefix = "models--", joint = "--";
  std::string model = path.parent_path().parent_path().filename().string();
  if (path.parent_path().filename() != "snapshots" ||
      !model.starts_with(prefix))
    return path.string();
  model.erase(0, prefix.size());
  if (size_t at = model.find(joint); at != std::string::npos)
    model.replace(at, joint.size(), "/");
  return model;
}

} // namespace mbc
