//===- HfFolder.cpp - The weights of a Hugging Face folder ----------------===//

#include "runtime/io/HfFolder.h"
#include "runtime/core/Parallel.h"
#include "runtime/core/Text.h"
#include "runtime/io/SafetensorsIndex.h"
#include "runtime/io/SideFiles.h"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <set>

namespace mbc {

namespace fs = std::filesystem;

static constexpr std::string_view singleFile = "model.safetensors";
static constexpr std::string_view weightSuffix = ".safetensors";
static constexpr std::string_view indexSuffix = ".safetensors.index.json";
static constexpr std::string_view adapterFile = "adapter_model.safetensors";

/// Weights of other formats and of other frameworks: neither read nor carried.
bool isForeignWeight(std::string_view name) {
  static constexpr std::array<std::string_view, 12> suffixes = {
      ".bin", ".bin.index.json", ".pt",   ".pth",     ".ckpt", ".gguf",
      ".h5",  ".h5.index.json",  ".onnx", ".msgpack", ".npz",  ".ot"};
  return std::ranges::any_of(suffixes, [&](std::string_view suffix) {
    return name.ends_with(suffix);
  });
}

/// Opens one folder, in the order of the functions below.
class HfFolderOpener {
public:
  explicit HfFolderOpener(HfFolder &folder) : out(folder) {}

  Status open(const fs::path &path) {
    out.root = path;
    MBC_TRY(listFolder());
    MBC_TRY(chooseFiles());
    MBC_TRY(readHeaders());
    if (!out.index.empty())
      MBC_TRY(checkIndex());
    return {};
  }

private:
  std::string contentText(const std::string &subfolder) const;
  Status listFolder();
  Status checkLink(const std::string &name);
  Status chooseFiles();
  Failure noWeights();
  Status readIndex(const std::string &name);
  Status checkPresent();
  Status readHeaders();
  void addShard(const std::string &file, SafetensorsHeader header);
  Status checkDuplicates();
  Status checkIndex();

  std::string at(std::string_view name) const {
    return (out.root / name).string();
  }
  void note(std::string text) { out.noteList.push_back(std::move(text)); }

  HfFolder &out;
  /// Names of the folder's files, by what they are.
  std::set<std::string, std::less<>> weights, indexes, foreign;
  std::vector<std::string> shardFiles;
  /// Of the index: see SafetensorsIndex::tensors.
  std::vector<std::pair<std::string, uint32_t>> weightMap;
};

//===----------------------------------------------------------------------===//
// What is in the folder
//===----------------------------------------------------------------------===//

/// " (consolidated.00.pth, params.json)": what a subfolder holds, shortened.
std::string HfFolderOpener::contentText(const std::string &subfolder) const {
  std::error_code error;
  std::set<std::string> names;
  fs::directory_iterator it(out.root / subfolder, error), end;
  for (; !error && it != end; it.increment(error))
    names.insert(it->path().filename().string());
  if (names.empty())
    return "";
  std::string text;
  size_t shown = 0;
  for (const std::string &name : names)
    if (++shown <= 8)
      text += (shown > 1 ? ", " : "") + name;
  if (shown > 8)
    text += fmt::format(" and {} more", shown - 8);
  return " (" + text + ")";
}

/// Sorts the names of the folder's entries by what they are.
Status HfFolderOpener::listFolder() {
  std::error_code error;
  auto status = fs::status(out.root, error);
  if (!fs::exists(status))
    return inputError(out.root.string() + ": no such folder");
  if (!fs::is_directory(status))
    return inputError(out.root.string() +
                      ": is not a folder; expected one with config.json and "
                      "model.safetensors");
  std::vector<std::string> names;
  fs::directory_iterator it(out.root, error), end;
  for (; !error && it != end; it.increment(error))
    names.push_back(it->path().filename().string());
  if (error)
    return fileError(out.root, "cannot list", error.value());
  std::ranges::sort(names);

  std::vector<std::string> subfolders, large;
  for (const std::string &name : names) {
    if (name.starts_with('.'))
      continue;
    auto kind = fs::status(out.root / name, error);
    if (fs::is_directory(kind)) {
      if (name.ends_with(indexSuffix) || name.ends_with(weightSuffix) ||
          name == "config.json")
        return inputError(at(name) + ": is a folder; expected a file");
      subfolders.push_back(name + contentText(name));
      continue;
    }
    if (name.ends_with(indexSuffix)) {
      indexes.insert(name);
    } else if (name.ends_with(weightSuffix)) {
      weights.insert(name);
    } else if (isForeignWeight(name)) {
      foreign.insert(name);
    } else {
      MBC_TRY(checkLink(name));
      if (!fs::is_regular_file(kind))
        return inputError(at(name) + ": is not a regular file");
      if (fs::file_size(out.root / name, error) > maxSideFile && !error)
        large.push_back(name);
      else
        out.sides.push_back(name);
    }
  }
  if (!large.empty())
    note(fmt::format("files of more than {} MiB are not carried: {}",
                     maxSideFile >> 20, fmt::join(large, ", ")));
  if (!subfolders.empty())
    note(fmt::format("subfolders are not carried: {}",
                     fmt::join(subfolders, ", ")));
  if (!foreign.empty())
    note(fmt::format("weights of other formats are not read: {}",
                     fmt::join(foreign, ", ")));
  return {};
}

/// A symbolic link must stay in the folder, or lead to the blobs of the hub
/// cache that the folder is a snapshot of (CACHE/snapshots/REVISION beside
/// CACHE/blobs).
Status HfFolderOpener::checkLink(const std::string &name) {
  std::error_code error;
  fs::path path = out.root / name;
  if (!fs::is_symlink(path, error))
    return {};
  fs::path real = fs::canonical(path, error);
  if (error)
    return inputError(path.string() +
                      ": is a symbolic link that leads nowhere; "
                      "is the download complete?");
  fs::path root = fs::canonical(out.root, error);
  if (error)
    return fileError(out.root, "cannot resolve", error.value());
  fs::path parent = real.parent_path();
  bool inside =
      std::mismatch(root.begin(), root.end(), real.begin(), real.end()).first ==
      root.end();
  fs::path snapshots = root.parent_path();
  bool blob = snapshots.filename() == "snapshots" &&
              parent == snapshots.parent_path() / "blobs";
  if (inside || blob)
    return {};
  return inputError(fmt::format("{}: is a symbolic link out of the folder, to "
                                "{}; copy the file instead",
                                path.string(), quote(real.string())));
}

//===----------------------------------------------------------------------===//
// Which files hold the weights
//===----------------------------------------------------------------------===//

Failure HfFolderOpener::noWeights() {
  std::string where = out.root.string();
  if (!weights.empty())
    return inputError(fmt::format(
        "{}: has {} but neither '{}' nor an index "
        "('model.safetensors.index.json'); is the download complete?",
        where, quote(*weights.begin()), singleFile));
  for (const std::string &name : foreign)
    if (name.starts_with("pytorch_model") && name.find(".bin") != name.npos)
      return inputError(fmt::format(
          "{}: has only PyTorch weights ({}), which are not read; convert them "
          "with transformers: AutoModelForCausalLM.from_pretrained({})"
          ".save_pretrained(NEW_FOLDER, safe_serialization=True)",
          where, quote(name), quote(where)));
  if (!foreign.empty())
    return inputError(fmt::format("{}: has no safetensors weights, only {}, "
                                  "which is not read",
                                  where, quote(*foreign.begin())));
  return inputError(
      fmt::format("{}: has no weights: expected '{}' or shards and "
                  "'model.safetensors.index.json'",
                  where, singleFile));
}

Status HfFolderOpener::chooseFiles() {
  // transformers would take the base model from adapter_config.json.
  if (weights.contains(adapterFile))
    return inputError(fmt::format(
        "{}: is an adapter, which changes the model in the same folder; merge "
        "it, or remove it from the folder",
        at(adapterFile)));
  bool single = weights.contains(singleFile);
  if (indexes.empty() && !single)
    return noWeights();
  bool both = false;
  if (!indexes.empty()) {
    std::string index = fmt::format("model{}", indexSuffix);
    if (!indexes.contains(index)) {
      if (indexes.size() > 1)
        return inputError(fmt::format(
            "{}: has several indexes ({}), none of them {}; remove all but one",
            out.root.string(), fmt::join(indexes, ", "), quote(index)));
      index = *indexes.begin();
    }
    MBC_TRY(readIndex(index));
    out.index = out.root / index;
    both = single && !std::ranges::binary_search(shardFiles, singleFile);
    if (both)
      note(fmt::format(
          "both '{}' and the {} shards of '{}' are present; '{}' is "
          "read, as transformers does",
          singleFile, shardFiles.size(), index, singleFile));
  }
  if (indexes.empty() || both) {
    out.index.clear();
    weightMap.clear();
    shardFiles = {std::string(singleFile)};
  }
  for (const std::string &name : weights)
    if (!both && !std::ranges::binary_search(shardFiles, name))
      note(fmt::format("{} is not a part of the model and is not read",
                       quote(name)));
  for (const std::string &name : shardFiles)
    MBC_TRY(checkLink(name));
  return checkPresent();
}

/// Fills `weightMap` and `shardFiles`.
Status HfFolderOpener::readIndex(const std::string &name) {
  // A link must be checked before it is followed.
  MBC_TRY(checkLink(name));
  std::string path = at(name);
  MBC_ASSIGN(std::string text, readWholeFile(path, 256u << 20));
  MBC_ASSIGN(SafetensorsIndex index, parseSafetensorsIndex(text, path));
  shardFiles = std::move(index.files);
  weightMap = std::move(index.tensors);
  return {};
}

Status HfFolderOpener::checkPresent() {
  auto isPresent = [&](const std::string &file) {
    std::error_code error;
    return weights.contains(file) || fs::exists(out.root / file, error);
  };
  std::vector<std::string> missing;
  for (const std::string &file : shardFiles)
    if (!isPresent(file))
      missing.push_back(file);
  if (!missing.empty())
    return inputError(fmt::format("{}: the index names it, but there is no "
                                  "such file ({} of {} shards are "
                                  "missing); is the download complete?",
                                  at(missing.front()), missing.size(),
                                  shardFiles.size()));
  return {};
}

//===----------------------------------------------------------------------===//
// Headers
//===----------------------------------------------------------------------===//

Status HfFolderOpener::readHeaders() {
  std::vector<SafetensorsHeader> headers(shardFiles.size());
  // More threads than processors: on network storage the time is latency. For
  // a few files, starting threads would take longer than reading.
  unsigned threads = shardFiles.size() < 4 ? 1 : 8;
  MBC_TRY(parallelFor(
      threads, shardFiles.size(), [&](size_t i, unsigned) -> Status {
        MBC_ASSIGN(headers[i], readSafetensorsHeader(out.root / shardFiles[i]));
        return {};
      }));
  size_t total = 0;
  for (const SafetensorsHeader &header : headers)
    total += header.tensors.size();
  out.infos.reserve(total);
  out.shardIndex.reserve(total);
  out.offsets.reserve(total);
  for (size_t i = 0; i < headers.size(); ++i)
    addShard(shardFiles[i], std::move(headers[i]));
  out.indexNames();
  return checkDuplicates();
}

void HfFolderOpener::addShard(const std::string &file,
                              SafetensorsHeader header) {
  auto number = static_cast<uint32_t>(out.shardList.size());
  HfShard shard;
  shard.file = file;
  shard.dataStart = header.dataStart();
  shard.firstTensor = out.infos.size();
  shard.tensorCount = header.tensors.size();
  for (SafetensorsEntry &entry : header.tensors) {
    out.infos.push_back(std::move(entry.info));
    out.shardIndex.push_back(number);
    out.offsets.push_back(shard.dataStart + entry.begin);
  }
  shard.rawHeader = std::move(header.raw);
  shard.metadata = std::move(header.metadata);
  out.shardList.push_back(std::move(shard));
  out.paths.push_back(at(file));
}

Status HfFolderOpener::checkDuplicates() {
  for (size_t i = 0; i < out.infos.size(); ++i) {
    auto first = static_cast<size_t>(out.find(out.infos[i].name));
    if (first != i)
      return inputError(fmt::format(
          "{}: tensor {} is also in {}; expected each tensor in one file",
          at(out.shardList[out.shardOf(i)].file), quote(out.infos[i].name),
          quote(out.shardList[out.shardOf(first)].file)));
  }
  return {};
}

/// The index and the headers must say the same.
Status HfFolderOpener::checkIndex() {
  for (const auto &[name, shard] : weightMap) {
    int64_t tensor = out.find(name);
    if (tensor < 0)
      return inputError(fmt::format(
          "{}: tensor {} is mapped to {}, but no file has it",
          out.index.string(), quote(name), quote(shardFiles[shard])));
    size_t actual = out.shardOf(static_cast<size_t>(tensor));
    if (actual != shard)
      return inputError(
          fmt::format("{}: tensor {} is mapped to {}, but it is in "
                      "{}",
                      out.index.string(), quote(name), quote(shardFiles[shard]),
                      quote(shardFiles[actual])));
  }
  if (weightMap.size() == out.infos.size())
    return {};
  auto mapped = [&](const TensorInfo &info) {
    auto it = std::ranges::lower_bound(weightMap, info.name, {},
                                       &decltype(weightMap)::value_type::first);
    return it != weightMap.end() && it->first == info.name;
  };
  auto it = std::ranges::find_if_not(out.infos, mapped);
  size_t tensor = static_cast<size_t>(it - out.infos.begin());
  return inputError(fmt::format("{}: tensor {} is not in the index {}",
                                at(out.shardList[out.shardOf(tensor)].file),
                                quote(it->name),
                                quote(out.index.filename().string())));
}

Expected<std::unique_ptr<HfFolder>> HfFolder::open(const fs::path &folder) {
  std::unique_ptr<HfFolder> result(new HfFolder());
  MBC_TRY(HfFolderOpener(*result).open(folder));
  return result;
}

void HfFolder::locate(size_t index, int64_t begin, int64_t count, int64_t dest,
                      std::vector<Extent> &out) const {
  if (count == 0)
    return;
  DType dtype = infos[index].dtype;
  out.push_back({shardIndex[index], offsets[index] + bytesOf(dtype, begin),
                 count, dest, dtype});
}

} // namespace mbc
