//===- Manifest.cpp -------------------------------------------------------===//
#include "compiler/Bridge/Manifest.h"

#include "runtime/core/File.h"
#include "runtime/core/Json.h"
#include "runtime/core/Parallel.h"
#include "runtime/core/Text.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/SHA256.h"

#include <algorithm>
#include <fmt/format.h>

namespace fs = std::filesystem;

namespace mbc {

static constexpr int64_t kManifestVersion = 1;

/// What stands between the text that is digested and the end of the file.
static std::string lastLine(const DigestText &digest) {
  return fmt::format(",\n  \"digest\": \"{}\"\n}}\n", digest);
}

static Expected<std::string> sha256Of(const fs::path &path) {
  MBC_ASSIGN(File file, File::openRead(path));
  std::vector<std::byte> buffer(4u << 20);
  llvm::SHA256 hash;
  for (uint64_t at = 0; at < file.size(); at += buffer.size()) {
    std::span<std::byte> block(
        buffer.data(), std::min<uint64_t>(buffer.size(), file.size() - at));
    MBC_TRY(file.readAt(at, block));
    hash.update(llvm::ArrayRef<uint8_t>(
        reinterpret_cast<const uint8_t *>(block.data()), block.size()));
  }
  return llvm::toHex(hash.final(), /*LowerCase=*/true);
}

Expected<Manifest> Manifest::make(const HfFolder &folder,
                                  const TensorSet &tensors, bool sha256,
                                  unsigned threads, Progress &progress) {
  Manifest manifest;
  MBC_ASSIGN(std::vector<DigestText> digests,
             digestTensors(tensors, threads, progress));
  for (size_t i = 0; i < digests.size(); ++i)
    manifest.digests[tensors.tensors()[i].name] = std::move(digests[i]);

  std::vector<std::string> names = folder.sideFiles();
  for (const HfShard &shard : folder.shards())
    names.push_back(shard.file);
  if (!folder.indexPath().empty())
    names.push_back(folder.indexPath().filename().string());
  std::vector<FileDigest> results(names.size());
  MBC_TRY(parallelFor(threads ? threads : defaultThreads(), names.size(),
                      [&](size_t index, unsigned) -> Status {
                        fs::path path = folder.folder() / names[index];
                        std::error_code code;
                        results[index].bytes = fs::file_size(path, code);
                        MBC_ASSIGN(results[index].digest, digestFile(path));
                        if (sha256) {
                          MBC_ASSIGN(results[index].sha256, sha256Of(path));
                        }
                        return {};
                      }));
  for (size_t i = 0; i < names.size(); ++i)
    manifest.fileDigests[names[i]] = std::move(results[i]);
  return manifest;
}

/// The files of a folder and of those below it, by their paths in it.
static Expected<std::vector<std::string>> listFiles(const fs::path &folder) {
  std::vector<std::string> names;
  std::error_code code;
  for (fs::recursive_directory_iterator it(folder, code), end;
       !code && it != end; it.increment(code))
    if (it->is_regular_file(code))
      names.push_back(it->path().lexically_relative(folder).string());
  if (code)
    return systemError(fmt::format("{}: cannot be listed: {}", folder.string(),
                                   code.message()));
  return names;
}

/// Files of weights, torch_dist's and the legacy format's.
static bool isWeightFile(std::string_view name) {
  return name.ends_with(".distcp") || name.starts_with("mp_rank_");
}

void Manifest::keepStored(std::span<const std::string_view> folders) {
  std::erase_if(stored, [&](const auto &entry) {
    return std::ranges::none_of(folders, [&](std::string_view folder) {
      return entry.first.starts_with(std::string(folder) + "/");
    });
  });
}

Status Manifest::write(const fs::path &iterationFolder) {
  MBC_ASSIGN(std::vector<std::string> names, listFiles(iterationFolder));
  for (const std::string &name : names)
    if (!isWeightFile(name) && name != kFile && !stored.contains(name)) {
      MBC_ASSIGN(stored[name], digestFile(iterationFolder / name));
    }
  Json tensorList = Json::object(), fileList = Json::object();
  for (const auto &[name, digest] : digests)
    tensorList.set(name, digest);
  for (const auto &[name, file] : fileDigests) {
    Json entry = Json::object();
    entry.set("bytes", file.bytes);
    entry.set("xxh3_128", file.digest);
    if (!file.sha256.empty())
      entry.set("sha256", file.sha256);
    fileList.set(name, std::move(entry));
  }
  Json json = Json::object();
  json.set("version", kManifestVersion);
  json.set("algorithm", "xxh3-128");
  json.set("tensors", std::move(tensorList));
  json.set("files", std::move(fileList));
  Json storedList = Json::object();
  for (const auto &[name, digest] : stored)
    storedList.set(name, digest);
  json.set("stored", std::move(storedList));
  std::string text = json.dump();
  text.resize(text.rfind("\n}"));
  return writeWholeFile(iterationFolder / kFile,
                        text + lastLine(digestText(text)));
}

/// A text of so many hexadecimal digits, as they are written here.
static bool isHex(const Json &json, size_t digits) {
  const std::string *text = json.asString();
  return text && text->size() == digits &&
         text->find_first_not_of("0123456789abcdef") == text->npos;
}

Expected<std::unique_ptr<Manifest>>
Manifest::open(const fs::path &iterationFolder) {
  fs::path path = iterationFolder / kFile;
  std::error_code code;
  if (!fs::exists(path, code))
    return std::unique_ptr<Manifest>();
  MBC_ASSIGN(std::string text, readWholeFile(path, uint64_t(1) << 30));
  MBC_ASSIGN(Json json, Json::parse(text, path.string()));
  const Json *version = json.find("version"), *tensors = json.find("tensors"),
             *files = json.find("files"), *stored = json.find("stored"),
             *own = json.find("digest");
  if (!version || !version->asInt() || !tensors || !tensors->isObject())
    return inputError(fmt::format(
        "{}: damaged manifest: expected a version and tensors", path.string()));
  if (*version->asInt() > kManifestVersion)
    return inputError(fmt::format(
        "{}: manifest of version {}, this mbc reads up to {}; use a newer mbc",
        path.string(), *version->asInt(), kManifestVersion));
  auto damaged = [&](std::string_view what, std::string_view name,
                     std::string_view expected) {
    return inputError(fmt::format("{}: damaged manifest: {} {} has no {}",
                                  path.string(), what, quote(name), expected));
  };
  std::string last = own && own->asString() ? lastLine(*own->asString()) : "";
  if (last.empty() || !text.ends_with(last) ||
      digestText(std::string_view(text).substr(0, text.size() - last.size())) !=
          *own->asString())
    return inputError(fmt::format(
        "{}: damaged manifest: it has changed since the import, by its own "
        "digest",
        path.string()));
  auto manifest = std::make_unique<Manifest>();
  for (const auto &[name, digest] : tensors->members()) {
    if (!isHex(digest, 32))
      return damaged("tensor", name, "digest of 32 digits");
    manifest->digests[name] = *digest.asString();
  }
  if (files)
    for (const auto &[name, entry] : files->members()) {
      const Json *bytes = entry.find("bytes"), *sha = entry.find("sha256"),
                 *digest = entry.find("xxh3_128");
      if (!bytes || bytes->asInt().value_or(-1) < 0)
        return damaged("file", name, "number of bytes");
      if (!digest || !isHex(*digest, 32))
        return damaged("file", name, "digest of 32 digits");
      if (sha && !isHex(*sha, 64))
        return damaged("file", name, "SHA-256 of 64 digits");
      manifest->fileDigests[name] = {static_cast<uint64_t>(*bytes->asInt()),
                                     *digest->asString(),
                                     sha ? *sha->asString() : std::string()};
    }
  if (stored)
    for (const auto &[name, digest] : stored->members())
      manifest->stored[name] = digest.asString() ? *digest.asString() : "";
  return manifest;
}

Expected<std::vector<ManifestDifference>>
Manifest::checkStored(const fs::path &iterationFolder) const {
  std::vector<ManifestDifference> differences;
  for (const auto &[name, expected] : stored) {
    std::error_code code;
    if (!fs::is_regular_file(iterationFolder / name, code)) {
      differences.push_back({name, "is missing", {}});
      continue;
    }
    MBC_ASSIGN(DigestText found, digestFile(iterationFolder / name));
    if (found != expected)
      differences.push_back({name, "has changed", {}});
  }
  return differences;
}

Expected<std::vector<ManifestDifference>>
Manifest::check(const TensorSet &set, unsigned threads,
                Progress &progress) const {
  MBC_ASSIGN(std::vector<DigestText> found,
             digestTensors(set, threads, progress));
  // Who should hold a digest: an exchanged tensor is named with its partner.
  // Digests that several tensors share (constants) explain nothing.
  std::map<DigestText, std::string> owners;
  for (const auto &[name, digest] : digests) {
    auto [it, isNew] = owners.try_emplace(digest, name);
    if (!isNew)
      it->second.clear();
  }
  std::vector<ManifestDifference> differences;
  for (size_t i = 0; i < found.size(); ++i) {
    const std::string &name = set.tensors()[i].name;
    auto expected = digests.find(name);
    if (expected == digests.end()) {
      differences.push_back({name, "is not in the manifest", {}});
      continue;
    }
    if (expected->second == found[i])
      continue;
    auto owner = owners.find(found[i]);
    if (owner == owners.end() || owner->second.empty())
      differences.push_back({name, "has changed", {}});
    else
      differences.push_back(
          {name, fmt::format("holds what '{}' should hold", owner->second),
           owner->second});
  }
  for (const auto &[name, digest] : digests)
    if (set.find(name) < 0)
      differences.push_back({name, "is missing", {}});
  return differences;
}

} // namespace mbc
