//===- SourceRecord.cpp ---------------------------------------------------===//
#include "compiler/Bridge/SourceRecord.h"

#include "runtime/core/File.h"
#include "runtime/core/Json.h"
#include "runtime/core/Text.h"
#include "runtime/io/TensorViews.h"

#include <algorithm>
#include <fmt/format.h>
#include <map>

namespace fs = std::filesystem;

namespace mbc {

namespace {

constexpr int64_t kRecordVersion = 1;
constexpr const char *kExtrasFile = "extras.safetensors";

/// A file name of the record is a plain name: no folders, no parents.
bool isPlainName(const std::string &name) {
  return !name.empty() && name != "." && name != ".." &&
         name.find('/') == std::string::npos &&
         name.find('\0') == std::string::npos;
}

/// A file of the record, not a link that leads elsewhere.
Status checkIsFile(const fs::path &path) {
  std::error_code code;
  fs::file_status status = fs::symlink_status(path, code);
  if (!fs::exists(status))
    return inputError(path.string() + ": is missing");
  if (!fs::is_regular_file(status))
    return inputError(path.string() + ": is not a regular file");
  return {};
}

} // namespace

/// An index that is written back must say where the headers have the tensors.
Status SourceRecord::checkIndex(const fs::path &path) const {
  MBC_ASSIGN(Json json, Json::parse(index, path.string()));
  const Json *map = json.find("weight_map");
  if (!map || !map->isObject())
    return inputError(path.string() + ": has no 'weight_map'");
  std::map<std::string_view, std::string_view> stored;
  for (const HfShardLayout &shard : shards)
    for (const std::string &tensor : shard.tensors)
      stored.emplace(tensor, shard.file);
  for (const auto &[tensor, file] : map->members()) {
    auto it = stored.find(tensor);
    if (it == stored.end() || !file.asString() ||
        *file.asString() != it->second)
      return inputError(fmt::format("{}: tensor {} is not in the header of the "
                                    "file it is mapped to",
                                    path.string(), quote(tensor)));
  }
  if (map->members().size() != stored.size())
    return inputError(fmt::format("{}: maps {} tensors, the headers have {}",
                                  path.string(), map->members().size(),
                                  stored.size()));
  return {};
}

Status SourceRecord::write(const HfFolder &folder,
                           const fs::path &iterationFolder,
                           std::optional<DType> cast,
                           std::span<const size_t> extras) {
  fs::path root = iterationFolder / "mbc";
  std::error_code code;
  for (const char *name : {"headers", "files"}) {
    fs::create_directories(root / name, code);
    if (code)
      return fileError(root / name, "cannot create", code.value());
  }

  Json record = Json::object();
  record.set("version", kRecordVersion);
  record.set("cast", cast ? Json(safetensorsName(*cast)) : Json());
  Json shards = Json::array();
  for (const HfShard &shard : folder.shards()) {
    shards.push(shard.file);
    MBC_TRY(writeWholeFile(root / "headers" / (shard.file + ".json"),
                           shard.rawHeader));
  }
  record.set("shards", std::move(shards));
  if (!folder.indexPath().empty()) {
    MBC_ASSIGN(std::string index, readWholeFile(folder.indexPath()));
    record.set("index", folder.indexPath().filename().string());
    MBC_TRY(writeWholeFile(root / "headers" / folder.indexPath().filename(),
                           index));
  }
  Json sides = Json::array();
  for (const std::string &name : folder.sideFiles()) {
    MBC_ASSIGN(std::string bytes,
               readWholeFile(folder.folder() / name, uint64_t(1) << 30));
    MBC_TRY(writeWholeFile(root / "files" / name, bytes));
    sides.push(name);
  }
  record.set("files", std::move(sides));
  record.set("extras", !extras.empty());
  if (!extras.empty()) {
    SomeTensors some(folder, extras);
    std::vector<size_t> order(extras.size());
    for (size_t i = 0; i < order.size(); ++i)
      order[i] = i;
    HfWriteOptions options;
    options.layout = {{kExtrasFile, "", {}}};
    for (const TensorInfo &info : some.tensors())
      options.layout[0].tensors.push_back(info.name);
    Progress quiet("", 0, Progress::Mode::Quiet);
    MBC_ASSIGN(HfWriteResult written,
               writeHfWeights(some, order, options, root, quiet, 1));
    (void)written;
  }
  return writeWholeFile(root / "source.json", record.dump() + "\n");
}

Expected<std::unique_ptr<SourceRecord>>
SourceRecord::open(const fs::path &iterationFolder) {
  fs::path root = iterationFolder / "mbc", file = root / "source.json";
  std::error_code code;
  if (!fs::exists(file, code))
    return std::unique_ptr<SourceRecord>();
  MBC_ASSIGN(Json json, Json::parseFile(file));
  auto damaged = [&](const std::string &why) {
    return inputError(fmt::format("{}: damaged record of the source: {}",
                                  file.string(), why));
  };
  const Json *version = json.find("version");
  if (!version || !version->asInt())
    return damaged("it has no version");
  if (*version->asInt() < 1)
    return damaged("it has no version");
  if (*version->asInt() > kRecordVersion)
    return inputError(
        fmt::format("{}: record of version {}, this mbc reads up to {}; use a "
                    "newer mbc",
                    file.string(), *version->asInt(), kRecordVersion));

  std::unique_ptr<SourceRecord> record(new SourceRecord);
  record->files = root / "files";
  if (const Json *cast = json.find("cast"); cast && !cast->isNull()) {
    const std::string *name = cast->asString();
    if (name)
      record->castType = dtypeFromSafetensors(*name);
    if (!record->castType)
      return damaged("'cast' is no dtype: " +
                     (name ? quote(*name) : cast->dumpCompact()));
  }
  const Json *shards = json.find("shards");
  if (!shards || !shards->isArray() || shards->elements().empty())
    return damaged("it has no shards");
  for (const Json &shard : shards->elements()) {
    if (!shard.asString() || !isPlainName(*shard.asString()))
      return damaged("a shard has no plain name");
    const std::string &name = *shard.asString();
    if (std::ranges::find(record->shards, name, &HfShardLayout::file) !=
        record->shards.end())
      return damaged(fmt::format("shard {} is named twice", quote(name)));
    fs::path headerPath = root / "headers" / (name + ".json");
    MBC_TRY(checkIsFile(headerPath));
    MBC_ASSIGN(std::string raw, readWholeFile(headerPath, 200u << 20));
    MBC_ASSIGN(SafetensorsHeader header,
               parseSafetensorsHeader(raw, headerPath.string()));
    HfShardLayout layout{name, std::move(raw), {}};
    for (SafetensorsEntry &entry : header.tensors) {
      layout.tensors.push_back(entry.info.name);
      record->infos.push_back(std::move(entry.info));
    }
    record->shards.push_back(std::move(layout));
  }
  record->indexNames();
  for (size_t i = 0; i < record->infos.size(); ++i)
    if (record->find(record->infos[i].name) != static_cast<int64_t>(i))
      return damaged(fmt::format("two headers have a tensor {}",
                                 quote(record->infos[i].name)));
  if (const Json *index = json.find("index")) {
    if (!index->asString() || !isPlainName(*index->asString()))
      return damaged("the index has no plain name");
    record->indexFile = *index->asString();
    fs::path indexPath = root / "headers" / record->indexFile;
    MBC_TRY(checkIsFile(indexPath));
    MBC_ASSIGN(record->index, readWholeFile(indexPath, 200u << 20));
    MBC_TRY(record->checkIndex(indexPath));
  }
  const Json *sides = json.find("files");
  if (!sides || !sides->isArray())
    return damaged("it has no files");
  for (const Json &side : sides->elements()) {
    if (!side.asString() || !isPlainName(*side.asString()))
      return damaged("a file has no plain name");
    MBC_TRY(checkIsFile(record->files / *side.asString()));
    record->sides.push_back(*side.asString());
  }
  const Json *extras = json.find("extras");
  if (!extras || !extras->isBool())
    return damaged("'extras' is not true or false");
  if (*extras->asBool()) {
    MBC_TRY(checkIsFile(root / kExtrasFile));
    MBC_ASSIGN(SafetensorsHeader header,
               readSafetensorsHeader(root / kExtrasFile));
    std::vector<TensorInfo> infos;
    std::vector<uint64_t> offsets;
    for (const SafetensorsEntry &entry : header.tensors) {
      infos.push_back(entry.info);
      offsets.push_back(header.dataStart() + entry.begin);
    }
    record->extraSet = std::make_unique<FileTensors>(
        root / kExtrasFile, std::move(infos), std::move(offsets));
  }
  return record;
}

} // namespace mbc
