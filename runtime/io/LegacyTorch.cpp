//===- LegacyTorch.cpp - Megatron's legacy torch checkpoints, for reading -===//
#include "runtime/io/LegacyTorch.h"

#include "runtime/core/Parallel.h"
#include "runtime/core/Text.h"
#include "runtime/io/TorchRecord.h"

#include <algorithm>
#include <atomic>
#include <charconv>
#include <cstring>
#include <fmt/format.h>
#include <set>

using namespace mbc;
namespace fs = std::filesystem;

namespace {

constexpr std::string_view rankPrefix = "mp_rank_",
                           modelFile = "model_optim_rng.pt";

/// Arguments that all ranks of one run share.
constexpr std::string_view comparedArguments[] = {
    "num_layers",
    "hidden_size",
    "ffn_hidden_size",
    "num_attention_heads",
    "num_query_groups",
    "kv_channels",
    "padded_vocab_size",
    "num_experts",
    "moe_ffn_hidden_size",
    "mtp_num_layers",
    "swiglu",
    "untie_embeddings_and_output_weights",
    "tensor_model_parallel_size",
    "pipeline_model_parallel_size",
    "virtual_pipeline_model_parallel_size",
    "expert_model_parallel_size",
    "expert_tensor_parallel_size",
    "seed",
    "consumed_train_samples"};

/// "12", "True", "'rope'"; other values by their kind.
std::string textOf(std::optional<PickleRef> value) {
  if (!value)
    return "not stated";
  if (auto flag = value->asBool())
    return *flag ? "True" : "False";
  if (auto number = value->asInt())
    return std::to_string(*number);
  if (auto number = value->asDouble())
    return fmt::format("{}", *number);
  if (auto text = value->asString())
    return quote(*text);
  return value->describe();
}

/// The numbers of "mp_rank_00_001"; empty when the name is none.
std::vector<uint32_t> numbersOf(std::string_view name) {
  std::vector<uint32_t> numbers;
  if (!name.starts_with(rankPrefix))
    return numbers;
  name.remove_prefix(rankPrefix.size());
  for (const char *at = name.data(), *end = at + name.size();;) {
    uint32_t number = 0;
    auto [next, error] = std::from_chars(at, end, number);
    if (error != std::errc() || (next != end && *next != '_'))
      return {};
    numbers.push_back(number);
    if (next == end)
      return numbers.size() <= 3 ? numbers : std::vector<uint32_t>();
    at = next + 1;
  }
}

/// The number of "model0"; 0 of "model"; none for other names.
std::optional<uint32_t> chunkOf(std::string_view name) {
  if (!name.starts_with("model"))
    return std::nullopt;
  name.remove_prefix(5);
  uint32_t chunk = 0;
  auto [end, error] =
      std::from_chars(name.data(), name.data() + name.size(), chunk);
  if (!name.empty() &&
      (error != std::errc() || end != name.data() + name.size()))
    return std::nullopt;
  return chunk;
}

} // namespace

/// What one rank's file says, before the ranks are put together.
struct LegacyTorchFiles::File {
  struct Entry {
    TensorInfo info;
    uint64_t offset;
    uint32_t crc;
  };
  std::vector<Entry> entries;
  uint32_t chunks = 0;
  bool numbered = false;
  std::vector<std::string> left;
  /// What must be equal on all ranks: names and texts.
  std::vector<std::pair<std::string, std::string>> facts;
  PickleValue args;

  static Expected<File> read(const fs::path &path, std::string_view rank,
                             bool keepArguments);

private:
  Status readModel(const TorchArchive &archive, PickleRef model,
                   std::string_view prefix, std::string_view where);
};

Status LegacyTorchFiles::File::readModel(const TorchArchive &archive,
                                         PickleRef model,
                                         std::string_view prefix,
                                         std::string_view where) {
  bool isDict = model.kind() == PickleKind::Dict ||
                model.isObject("collections", "OrderedDict");
  if (!isDict || model.size() % 2)
    return inputError(fmt::format("{}: {} is no dict, but {}", where,
                                  quote(prefix), model.describe()));
  std::optional<PickleRef> key;
  for (PickleRef item : model.items()) {
    if (!key) {
      key = item;
      continue;
    }
    std::optional<std::string_view> name = key->asString();
    key.reset();
    if (!name)
      return inputError(
          fmt::format("{}: a key of {} is no string", where, quote(prefix)));
    // State of FP8 kernels: no weights.
    if (name->ends_with("_extra_state") || item.isNone())
      continue;
    if (item.kind() == PickleKind::Dict ||
        item.isObject("collections", "OrderedDict"))
      return inputError(fmt::format(
          "{}: {} of {} is a dict: a model that Megatron Core did not build, "
          "which is not supported",
          where, quote(*name), quote(prefix)));
    std::string at =
        fmt::format("{}: {} of {}", where, quote(*name), quote(prefix));
    MBC_ASSIGN(TorchTensor tensor, parseTorchTensor(item, at));
    if (!tensor.isContiguous())
      return inputError(fmt::format(
          "{}: a tensor of shape {} with strides {} is not contiguous, which "
          "is not supported",
          at, shapeText(tensor.shape), shapeText(tensor.strides)));
    MBC_ASSIGN(const ZipArchive::Entry *entry, archive.storage(tensor, at));
    uint64_t bytes = bytesOf(tensor.dtype, tensor.elements());
    bool whole = tensor.storageOffset == 0 && bytes == tensor.storageBytes;
    entries.push_back(
        {{fmt::format("{}/{}", prefix, *name), tensor.dtype, tensor.shape},
         entry->offset + bytesOf(tensor.dtype, tensor.storageOffset),
         whole ? entry->crc : 0});
  }
  return {};
}

Expected<LegacyTorchFiles::File>
LegacyTorchFiles::File::read(const fs::path &path, std::string_view rank,
                             bool keepArguments) {
  MBC_ASSIGN(mbc::File handle, mbc::File::openRead(path));
  MBC_ASSIGN(TorchArchive archive, TorchArchive::open(handle, 0, handle.size(),
                                                      harmlessPickleGlobal));
  std::string where = path.string();
  PickleRef root = archive.pickle.root();
  if (root.kind() != PickleKind::Dict)
    return inputError(fmt::format("{}: holds {}, expected a dict with 'model'",
                                  where, root.describe()));
  File file;
  std::optional<PickleRef> key;
  std::set<uint32_t> chunks;
  for (PickleRef item : root.items()) {
    if (!key) {
      key = item;
      continue;
    }
    std::string_view name = key->asString().value_or("");
    key.reset();
    if (std::optional<uint32_t> chunk = chunkOf(name)) {
      file.numbered = name != "model";
      chunks.insert(*chunk);
      MBC_TRY(file.readModel(archive, item, fmt::format("{}/{}", rank, name),
                             where));
    } else if (name != "args" && name != "iteration" &&
               name != "checkpoint_version" && name != "content_metadata") {
      file.left.push_back(std::string(name));
    }
  }
  file.chunks = static_cast<uint32_t>(chunks.size());
  if (chunks.empty())
    return inputError(fmt::format("{}: has no 'model'", where));
  if (*chunks.rbegin() + 1 != file.chunks)
    return inputError(fmt::format("{}: of its model chunks some are missing: "
                                  "{} of {}",
                                  where, file.chunks, *chunks.rbegin() + 1));

  std::optional<PickleRef> version = root.find("checkpoint_version");
  double number =
      version
          ? version->asDouble().value_or(double(version->asInt().value_or(0)))
          : 0;
  if (number < 2)
    return inputError(fmt::format(
        "{}: checkpoint_version {}, expected 2 or more: older ones have other "
        "orders of rows",
        where, version ? textOf(version) : "is not stated"));
  file.facts.emplace_back("iteration", textOf(root.find("iteration")));
  std::optional<PickleRef> args = root.find("args");
  for (std::string_view argument : comparedArguments)
    file.facts.emplace_back(argument,
                            textOf(args ? args->find(argument) : args));
  if (args && keepArguments) {
    MBC_ASSIGN(file.args, args->toValue());
  }
  return file;
}

Expected<std::unique_ptr<LegacyTorchFiles>>
LegacyTorchFiles::open(const fs::path &folder, unsigned threads) {
  std::unique_ptr<LegacyTorchFiles> set(new LegacyTorchFiles);
  set->directory = folder;
  std::error_code code;
  for (fs::directory_iterator it(folder, code), end; !code && it != end;
       it.increment(code)) {
    Rank rank{it->path().filename().string(), {}, 1, false};
    rank.numbers = numbersOf(rank.folder);
    if (!rank.numbers.empty())
      set->list.push_back(std::move(rank));
    else if (rank.folder.starts_with(rankPrefix))
      return inputError(
          fmt::format("{}: folder {}, expected mp_rank_TT[_PPP][_EEE]",
                      folder.string(), quote(rank.folder)));
  }
  if (code)
    return inputError(fmt::format("{}: cannot be read as a folder: {}",
                                  folder.string(), code.message()));
  std::ranges::sort(set->list, {}, &Rank::numbers);
  MBC_TRY(set->checkFolders());

  std::vector<File> files(set->list.size());
  MBC_TRY(parallelFor(threads ? threads : defaultThreads(), files.size(),
                      [&](size_t index, unsigned) -> Status {
                        const std::string &rank = set->list[index].folder;
                        fs::path path = folder / rank / modelFile;
                        std::error_code missing;
                        if (!fs::exists(path, missing))
                          return inputError(fmt::format(
                              "{}: holds no {}; the checkpoint is incomplete",
                              (folder / rank).string(), modelFile));
                        MBC_ASSIGN(files[index],
                                   File::read(path, rank, index == 0));
                        return {};
                      }));
  MBC_TRY(set->checkRanks(files));

  set->args = std::move(files[0].args);
  for (size_t r = 0; r < files.size(); ++r) {
    Rank &rank = set->list[r];
    rank.chunks = files[r].chunks;
    rank.numbered = files[r].numbered;
    set->starts.push_back(set->infos.size());
    set->paths.push_back((folder / rank.folder / modelFile).string());
    for (File::Entry &entry : files[r].entries) {
      set->infos.push_back(std::move(entry.info));
      set->stored.push_back(
          {static_cast<uint32_t>(r), entry.offset, entry.crc});
    }
    for (const std::string &name : files[r].left)
      ++set->left[name];
    for (fs::directory_iterator it(folder / rank.folder, code), end;
         !code && it != end; it.increment(code))
      if (std::string name = it->path().filename().string(); name != modelFile)
        ++set->left[name];
    files[r] = {};
  }
  set->starts.push_back(set->infos.size());
  set->indexNames();
  for (size_t t = 0; t < set->infos.size(); ++t)
    if (set->find(set->infos[t].name) != static_cast<int64_t>(t))
      return inputError(fmt::format("{}: two tensors are named {}",
                                    folder.string(),
                                    quote(set->infos[t].name)));
  return set;
}

/// Names of one form, and none missing between them.
Status LegacyTorchFiles::checkFolders() const {
  auto bad = [&](std::string text) {
    return inputError(fmt::format("{}: {}", directory.string(), text));
  };
  if (list.empty())
    return bad("no folder mp_rank_*");
  std::vector<std::set<uint32_t>> values(list[0].numbers.size());
  for (const Rank &rank : list) {
    if (rank.numbers.size() != values.size())
      return bad(fmt::format("folders {} and {} are of different layouts",
                             quote(list[0].folder), quote(rank.folder)));
    for (size_t i = 0; i < values.size(); ++i)
      values[i].insert(rank.numbers[i]);
  }
  constexpr const char *forms[] = {"mp_rank_{:02}", "_{:03}", "_{:03}"};
  for (size_t i = 0; i < values.size(); ++i)
    for (uint32_t n = 0; n < *values[i].rbegin(); ++n)
      if (!values[i].contains(n)) {
        std::string name = i == 0 ? "" : "mp_rank_*";
        for (size_t k = 1; k < i; ++k)
          name += "_*";
        return bad(
            fmt::format("a rank is missing: there is no folder {}",
                        quote(name + fmt::format(fmt::runtime(forms[i]), n))));
      }
  return {};
}

/// Files of one run and one iteration.
Status LegacyTorchFiles::checkRanks(const std::vector<File> &files) const {
  for (size_t r = 1; r < files.size(); ++r) {
    auto bad = [&](std::string_view what, const std::string &here,
                   const std::string &there) {
      return inputError(fmt::format(
          "{}: ranks disagree: {} has {} {}, {} has {}; the folders are of "
          "different runs or iterations",
          directory.string(), list[r].folder, what, here, list[0].folder,
          there));
    };
    for (size_t f = 0; f < files[r].facts.size(); ++f)
      if (files[r].facts[f] != files[0].facts[f])
        return bad(files[r].facts[f].first, files[r].facts[f].second,
                   files[0].facts[f].second);
    if (files[r].chunks != files[0].chunks)
      return bad("model chunks", std::to_string(files[r].chunks),
                 std::to_string(files[0].chunks));
  }
  return {};
}

std::optional<int64_t> LegacyTorchFiles::argument(std::string_view name) const {
  const PickleValue *value = args.find(name);
  if (!value || value->kind != PickleKind::Int)
    return std::nullopt;
  return value->integer;
}

void LegacyTorchFiles::locate(size_t index, int64_t begin, int64_t count,
                              int64_t dest, std::vector<Extent> &out) const {
  DType dtype = infos[index].dtype;
  out.push_back({stored[index].rank,
                 stored[index].offset + bytesOf(dtype, begin), count, dest,
                 dtype});
}

Status LegacyTorchFiles::checkEqual(size_t a, size_t b) const {
  auto differ = [&] {
    return inputError(fmt::format(
        "{}: ranks disagree: {} and {} are copies of one parameter, yet hold "
        "different values; the folders are of different runs or iterations",
        directory.string(), quote(infos[a].name), quote(infos[b].name)));
  };
  if (stored[a].crc && stored[b].crc)
    return stored[a].crc == stored[b].crc ? Status() : differ();
  constexpr int64_t block = 1 << 20;
  ExtentReader reader(*this);
  std::vector<std::byte> left, right;
  for (int64_t at = 0; at < infos[a].elements(); at += block) {
    int64_t count = std::min(block, infos[a].elements() - at);
    left.resize(bytesOf(infos[a].dtype, count));
    right.resize(left.size());
    MBC_TRY(reader.read(a, at, count, left));
    MBC_TRY(reader.read(b, at, count, right));
    if (std::memcmp(left.data(), right.data(), left.size()) != 0)
      return differ();
  }
  return {};
}

Expected<size_t> LegacyTorchFiles::verifyCrc(unsigned threads) const {
  size_t without = 0;
  // So many files are open at once.
  constexpr size_t batch = 32;
  for (size_t r = 0; r < list.size(); r += batch) {
    MBC_ASSIGN(size_t count, verifyRanks(r, std::min(r + batch, list.size()),
                                         threads ? threads : defaultThreads()));
    without += count;
  }
  return without;
}

Expected<size_t> LegacyTorchFiles::verifyRanks(size_t first, size_t last,
                                               unsigned threads) const {
  struct Record {
    const ZipArchive *archive;
    const ZipArchive::Entry *entry;
  };
  std::vector<mbc::File> files;
  std::vector<ZipArchive> archives;
  std::vector<Record> records;
  // Archives refer to files, and records to archives.
  files.reserve(last - first);
  archives.reserve(last - first);
  for (size_t r = first; r < last; ++r) {
    MBC_ASSIGN(mbc::File file, mbc::File::openRead(paths[r]));
    files.push_back(std::move(file));
    MBC_ASSIGN(ZipArchive zip,
               ZipArchive::open(files.back(), 0, files.back().size()));
    archives.push_back(std::move(zip));
    // Each tensor lies in the record that begins last before it.
    std::map<uint64_t, const ZipArchive::Entry *> byOffset;
    for (const ZipArchive::Entry &entry : archives.back().entries())
      if (entry.size > 0)
        byOffset[entry.offset] = &entry;
    std::set<const ZipArchive::Entry *> used;
    auto [begin, end] = tensorsOf(r);
    for (size_t t = begin; t < end; ++t)
      if (auto it = byOffset.upper_bound(stored[t].offset);
          it != byOffset.begin() && infos[t].elements() > 0)
        used.insert(std::prev(it)->second);
    for (const ZipArchive::Entry *entry : used)
      records.push_back({&archives.back(), entry});
  }
  std::atomic<size_t> without = 0;
  MBC_TRY(parallelFor(
      threads, records.size(), [&](size_t index, unsigned) -> Status {
        const Record &record = records[index];
        MBC_ASSIGN(bool stated, record.archive->verify(*record.entry));
        without += !stated;
        return {};
      }));
  return without.load();
}
