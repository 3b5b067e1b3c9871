//===- FileComparison.cpp -------------------------------------------------===//
#include "compiler/Bridge/FileComparison.h"

#include "runtime/core/File.h"
#include "runtime/core/Text.h"

#include <algorithm>
#include <fmt/format.h>
#include <optional>
#include <set>

namespace fs = std::filesystem;

namespace mbc {

FolderFiles::FolderFiles(const HfFolder &folder)
    : folder(folder.folder()), sideFiles(folder.sideFiles()),
      index(folder.indexPath().empty() ? Expected<std::string>("")
                                       : readWholeFile(folder.indexPath())) {
  for (const HfShard &shard : folder.shards())
    headers.emplace_back(shard.file, shard.rawHeader);
}

FolderFiles::FolderFiles(const SourceRecord &record)
    : folder(record.filesFolder()), sideFiles(record.sideFiles()),
      index(record.rawIndex()) {
  for (const HfShardLayout &shard : record.layout())
    headers.emplace_back(shard.file, shard.rawHeader);
}

/// The offset of the first byte in which two files differ; none: equal.
static Expected<std::optional<uint64_t>> firstDifference(const fs::path &a,
                                                         const fs::path &b) {
  constexpr uint64_t block = 1u << 20;
  MBC_ASSIGN(File fileA, File::openRead(a));
  MBC_ASSIGN(File fileB, File::openRead(b));
  uint64_t size = std::min(fileA.size(), fileB.size());
  std::vector<std::byte> bytesA(block), bytesB(block);
  for (uint64_t at = 0; at < size; at += block) {
    size_t count = std::min(block, size - at);
    MBC_TRY(fileA.readAt(at, std::span(bytesA).first(count)));
    MBC_TRY(fileB.readAt(at, std::span(bytesB).first(count)));
    auto [x, y] =
        std::mismatch(bytesA.begin(), bytesA.begin() + count, bytesB.begin());
    if (x != bytesA.begin() + count)
      return std::optional(at + static_cast<uint64_t>(x - bytesA.begin()));
  }
  if (fileA.size() != fileB.size())
    return std::optional(size);
  return std::optional<uint64_t>();
}

/// The member of a JSON object that says something of the file, not of its
/// tensors; "null" when there is none.
static Expected<std::string> memberText(const std::string &json,
                                        const std::string &where,
                                        const char *name) {
  MBC_ASSIGN(Json parsed, Json::parse(json, where));
  const Json *member = parsed.find(name);
  return member ? member->dumpCompact() : std::string("null");
}

Expected<FileComparison> compareFiles(const FolderFiles &a,
                                      const FolderFiles &b) {
  FileComparison result;
  std::set<std::string> names(a.sideFiles.begin(), a.sideFiles.end());
  names.insert(b.sideFiles.begin(), b.sideFiles.end());
  auto has = [](const FolderFiles &side, const std::string &name) {
    return std::ranges::find(side.sideFiles, name) != side.sideFiles.end();
  };
  for (const std::string &name : names) {
    if (!has(a, name) || !has(b, name)) {
      result.single.push_back(fmt::format("file {} is only in {}", quote(name),
                                          has(a, name) ? "A" : "B"));
      continue;
    }
    ++result.compared;
    MBC_ASSIGN(auto offset, firstDifference(a.folder / name, b.folder / name));
    if (offset)
      result.differences.push_back(
          fmt::format("file {} differs from byte {} on", quote(name), *offset));
  }

  auto compareMember = [&](const std::string &jsonA, const std::string &jsonB,
                           const std::string &file, const char *member,
                           std::string_view what) -> Status {
    MBC_ASSIGN(std::string textA, memberText(jsonA, file, member));
    MBC_ASSIGN(std::string textB, memberText(jsonB, file, member));
    if (textA != textB)
      result.differences.push_back(
          fmt::format("{}: {} in A, {} in B", what, textA, textB));
    return {};
  };
  for (const auto &[file, header] : a.headers) {
    auto other = std::ranges::find(b.headers, file,
                                   &std::pair<std::string, std::string>::first);
    if (other == b.headers.end())
      continue;
    MBC_TRY(compareMember(
        header, other->second, file, "__metadata__",
        fmt::format("metadata in the header of {}", quote(file))));
  }
  MBC_ASSIGN(std::string indexA, a.index);
  MBC_ASSIGN(std::string indexB, b.index);
  if (!indexA.empty() && !indexB.empty())
    MBC_TRY(compareMember(indexA, indexB, "index", "metadata",
                          "metadata of the index"));
  return result;
}

} // namespace mbc
