//===- TorchDist.cpp - Megatron torch_dist checkpoints, for reading -------===//
#include "runtime/io/TorchDist.h"

#include "runtime/core/File.h"
#include "runtime/core/Json.h"
#include "runtime/core/Parallel.h"
#include "runtime/core/Text.h"
#include "runtime/io/TorchRecord.h"
#include "runtime/io/TrainState.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <fmt/format.h>
#include <numeric>
#include <set>
#include <unordered_map>

using namespace mbc;
namespace fs = std::filesystem;

//===----------------------------------------------------------------------===//
// Finding the folder
//===----------------------------------------------------------------------===//

namespace {

constexpr std::string_view trackerName = "latest_checkpointed_iteration.txt",
                           trainStateName = "latest_train_state.pt",
                           commonObject = "common_state/shard_0_1";

/// The number of "iter_0000123", or -1.
int64_t iterationOf(std::string_view name) {
  constexpr std::string_view prefix = "iter_";
  if (!name.starts_with(prefix))
    return -1;
  name.remove_prefix(prefix.size());
  int64_t number = -1;
  auto [end, error] =
      std::from_chars(name.data(), name.data() + name.size(), number);
  return error == std::errc() && end == name.data() + name.size() ? number : -1;
}

bool isThere(const fs::path &path) {
  std::error_code error;
  return fs::exists(path, error);
}

/// Names in a folder.
Expected<std::vector<std::string>> listFolder(const fs::path &folder) {
  std::error_code error;
  std::vector<std::string> names;
  for (fs::directory_iterator it(folder, error), end; !error && it != end;
       it.increment(error))
    names.push_back(it->path().filename().string());
  if (error)
    return inputError(fmt::format("{}: cannot be read as a folder: {}",
                                  folder.string(), error.message()));
  std::ranges::sort(names);
  return names;
}

enum class Found { Nothing, TorchDist, Legacy };

/// What a folder holds itself; an error when that is no finished checkpoint of
/// a known format.
Expected<Found> checkFolder(const fs::path &folder) {
  MBC_ASSIGN(std::vector<std::string> names, listFolder(folder));
  auto has = [&](std::string_view name) {
    return std::ranges::binary_search(names, name);
  };
  if (has("metadata.json")) {
    fs::path path = folder / "metadata.json";
    MBC_ASSIGN(Json json, Json::parseFile(path, 1u << 20));
    const Json *backend = json.find("sharded_backend"),
               *version = json.find("sharded_backend_version");
    const std::string *name = backend ? backend->asString() : nullptr;
    if (!name)
      return inputError(fmt::format("{}: no sharded_backend", path.string()));
    if (*name != "torch_dist")
      return inputError(fmt::format("{}: checkpoint format {} is not "
                                    "supported, expected 'torch_dist'",
                                    path.string(), quote(*name)));
    if (version && version->asInt() != 1)
      return inputError(fmt::format("{}: sharded_backend_version {}, expected "
                                    "1",
                                    path.string(), version->dumpCompact()));
  }
  if (has(".metadata"))
    return Found::TorchDist;
  for (const std::string &name : names)
    if (name.starts_with("mp_rank_"))
      return Found::Legacy;
  for (const std::string &name : names)
    if (name == ".metadata.tmp" || name == "metadata.json" ||
        name.ends_with(".distcp"))
      return inputError(fmt::format("{}: an unfinished checkpoint: it has {} "
                                    "but no .metadata, which is written last",
                                    folder.string(), quote(name)));
  return Found::Nothing;
}

/// The sub-folder that Megatron-LM's tracker file names; empty without it.
Expected<std::string> megatronTracker(const fs::path &root) {
  fs::path path = root / trackerName;
  if (!isThere(path))
    return std::string();
  MBC_ASSIGN(std::string text, readWholeFile(path, 4096));
  std::string_view word = text;
  constexpr std::string_view space = " \t\r\n";
  size_t first = word.find_first_not_of(space);
  word = first == word.npos
             ? std::string_view()
             : word.substr(first, word.find_last_not_of(space) + 1 - first);
  if (word == "release")
    return std::string(word);
  int64_t iteration = -1;
  auto [end, error] =
      std::from_chars(word.data(), word.data() + word.size(), iteration);
  if (error != std::errc() || end != word.data() + word.size() || iteration < 0)
    return inputError(fmt::format("{}: found {}, expected an iteration or "
                                  "'release'",
                                  path.string(), quote(word)));
  return fmt::format("iter_{:07d}", iteration);
}

/// The sub-folder that the tracker files of a root name; empty without them.
Expected<std::string> trackedFolder(const fs::path &root) {
  // Read in any case: a damaged tracker stops the next loader.
  MBC_ASSIGN(std::string named, megatronTracker(root));
  if (fs::path path = root / trainStateName; isThere(path)) {
    MBC_ASSIGN(TrainState state, readTrainState(path));
    std::string name = fmt::format("iter_{:07d}", state.step);
    // Bridge writes both trackers; a folder that Megatron-LM wrote later is
    // named by the other one only.
    if (isThere(root / name) || named.empty())
      return name;
  }
  return named;
}

/// Tensors that are one tensor cut along its first dimension.
struct Join {
  TensorInfo whole;
  std::vector<size_t> parts; ///< in order, of equal shape; one dimension less
                             ///< than the whole: each is a row of it
};

void replaceParts(DcpMetadata &metadata, std::vector<Join> joins) {
  std::vector<bool> joined(metadata.tensors.size());
  for (Join &join : joins) {
    int64_t parts = join.parts.size(), rows = join.whole.shape[0] / parts;
    size_t rank = join.whole.shape.size();
    metadata.addTensor(std::move(join.whole));
    for (int64_t part = 0; part < parts; ++part) {
      DcpMetadata::Tensor tensor = metadata.tensors[join.parts[part]];
      for (size_t k = 0; k < tensor.chunkCount; ++k) {
        std::span<const int64_t> at = metadata.boxes(tensor).offsets(k);
        std::span<const int64_t> size = metadata.boxes(tensor).sizes(k);
        std::vector<int64_t> offsets(at.begin(), at.end());
        std::vector<int64_t> sizes(size.begin(), size.end());
        if (offsets.size() < rank) {
          offsets.insert(offsets.begin(), 0);
          sizes.insert(sizes.begin(), 1);
        }
        offsets[0] += part * rows;
        metadata.addChunk(offsets, sizes,
                          metadata.slices[tensor.firstChunk + k]);
      }
      joined[join.parts[part]] = true;
    }
  }
  size_t index = 0;
  std::erase_if(metadata.tensors, [&](const DcpMetadata::Tensor &) {
    size_t here = index++;
    return here < joined.size() && joined[here];
  });
}

std::unordered_map<std::string_view, size_t>
tensorsByName(const DcpMetadata &metadata) {
  std::unordered_map<std::string_view, size_t> byName;
  for (size_t i = 0; i < metadata.tensors.size(); ++i)
    byName.emplace(metadata.tensors[i].info.name, i);
  return byName;
}

bool sameForm(const TensorInfo &a, const TensorInfo &b) {
  return a.dtype == b.dtype && a.shape == b.shape;
}

/// With singleton_local_shards Megatron saves the halves of a gated MLP's first
/// weight, gate and up, as `linear_fc1.weight_w` and `..._v` (biases likewise):
/// one tensor again, as without that. A half alone keeps its name.
void joinGatedHalves(DcpMetadata &metadata) {
  auto byName = tensorsByName(metadata);
  std::vector<Join> joins;
  for (size_t i = 0; i < metadata.tensors.size(); ++i) {
    const TensorInfo &gate = metadata.tensors[i].info;
    if (!gate.name.ends_with(".linear_fc1.weight_w") &&
        !gate.name.ends_with(".linear_fc1.bias_w"))
      continue;
    TensorInfo whole = gate;
    whole.name.resize(whole.name.size() - 2);
    auto up = byName.find(whole.name + "_v");
    if (up == byName.end() || byName.contains(whole.name) ||
        !sameForm(gate, metadata.tensors[up->second].info) ||
        gate.shape.empty() || gate.shape[0] >= INT64_MAX / 2)
      continue;
    whole.shape[0] *= 2;
    joins.push_back({std::move(whole), {i, up->second}});
  }
  replaceParts(metadata, std::move(joins));
}

/// ... and each routed expert as `experts.experts.{e}.linear_fc1.weight`: one
/// tensor for all experts of a layer again. Experts of which one is missing, or
/// has another shape, keep their names.
void joinExperts(DcpMetadata &metadata) {
  constexpr std::string_view stem = ".experts.experts.";
  auto byName = tensorsByName(metadata);
  std::vector<Join> joins;
  for (size_t i = 0; i < metadata.tensors.size(); ++i) {
    const TensorInfo &first = metadata.tensors[i].info;
    size_t at = first.name.find(stem);
    if (at == std::string::npos)
      continue;
    std::string before = first.name.substr(0, at + stem.size());
    std::string_view after = std::string_view(first.name).substr(before.size());
    if (!after.starts_with("0."))
      continue;
    after.remove_prefix(2);
    Join join{first, {}};
    join.whole.name = before + std::string(after);
    for (;;) {
      auto part =
          byName.find(fmt::format("{}{}.{}", before, join.parts.size(), after));
      if (part == byName.end() ||
          !sameForm(first, metadata.tensors[part->second].info))
        break;
      join.parts.push_back(part->second);
    }
    join.whole.shape.insert(join.whole.shape.begin(), join.parts.size());
    if (!byName.contains(join.whole.name))
      joins.push_back(std::move(join));
  }
  replaceParts(metadata, std::move(joins));
}

} // namespace

Expected<fs::path> mbc::findTorchDistFolder(const fs::path &path) {
  MBC_ASSIGN(MegatronFolder folder, findMegatronFolder(path));
  if (!folder.legacy)
    return folder.path;
  return inputError(
      fmt::format("{}: a checkpoint of the legacy 'torch' format, expected a "
                  "torch_dist one",
                  folder.path.string()));
}

Expected<MegatronFolder> mbc::findMegatronFolder(const fs::path &path) {
  MBC_ASSIGN(Found found, checkFolder(path));
  if (found != Found::Nothing)
    return MegatronFolder{path, found == Found::Legacy};
  MBC_ASSIGN(std::string name, trackedFolder(path));
  bool tracked = !name.empty();
  if (!tracked) {
    MBC_ASSIGN(std::vector<std::string> names, listFolder(path));
    int64_t best = -1;
    for (const std::string &candidate : names)
      if (int64_t number = iterationOf(candidate); number > best)
        best = number, name = candidate;
    if (std::ranges::binary_search(names, std::string("release")))
      name = "release";
  }
  if (name.empty())
    return inputError(fmt::format("{}: no Megatron checkpoint: neither "
                                  ".metadata nor {} nor a folder 'iter_*', "
                                  "'release' or 'mp_rank_*'",
                                  path.string(), trackerName));
  fs::path folder = path / name;
  if (tracked && !isThere(folder))
    return inputError(fmt::format("{}: the tracker names {}, which does not "
                                  "exist",
                                  path.string(), quote(name)));
  MBC_ASSIGN(found, checkFolder(folder));
  if (found == Found::Nothing)
    return inputError(
        fmt::format("{}: no checkpoint: neither .metadata nor a folder "
                    "'mp_rank_*'",
                    folder.string()));
  return MegatronFolder{folder, found == Found::Legacy};
}

//===----------------------------------------------------------------------===//
// TorchDistCheckpoint
//===----------------------------------------------------------------------===//

Expected<std::unique_ptr<TorchDistCheckpoint>>
TorchDistCheckpoint::open(const fs::path &path,
                          const TorchDistOptions &options) {
  std::unique_ptr<TorchDistCheckpoint> set(new TorchDistCheckpoint);
  MBC_ASSIGN(set->directory, findTorchDistFolder(path));
  MBC_ASSIGN(set->metadata, DcpMetadata::read(set->directory));
  joinGatedHalves(set->metadata);
  joinExperts(set->metadata);
  for (const std::string &file : set->metadata.files)
    set->paths.push_back((set->directory / file).string());

  std::vector<DcpMetadata::Tensor> kept;
  for (DcpMetadata::Tensor &tensor : set->metadata.tensors) {
    if (options.keep && !options.keep(tensor.info.name)) {
      set->left.push_back(std::move(tensor.info.name));
      continue;
    }
    // Checked by DcpMetadata already, so that this cannot fail.
    MBC_ASSIGN(BoxTiling tiling, BoxTiling::build(set->metadata.boxes(tensor)));
    set->tilings.push_back(std::move(tiling));
    set->infos.push_back(tensor.info);
    tensor.info.name = {};
    kept.push_back(std::move(tensor));
  }
  set->metadata.tensors = std::move(kept);
  set->indexNames();
  MBC_TRY(
      set->locateRecords(options.threads ? options.threads : defaultThreads()));
  return set;
}

namespace {

/// A chunk in the order in which records are visited.
struct Visit {
  uint32_t tensor;
  uint32_t chunk; // of the tensor
  DcpSlice slice;
};

std::vector<Visit> visitOrder(const DcpMetadata &metadata) {
  std::vector<Visit> order;
  for (size_t t = 0; t < metadata.tensors.size(); ++t)
    for (size_t k = 0; k < metadata.tensors[t].chunkCount; ++k)
      if (const DcpSlice &slice =
              metadata.slices[metadata.tensors[t].firstChunk + k];
          slice.file != DcpSlice::nowhere)
        order.push_back({uint32_t(t), uint32_t(k), slice});
  std::ranges::sort(order, {}, [](const Visit &v) {
    return std::tuple(v.slice.file, v.slice.offset, v.tensor, v.chunk);
  });
  return order;
}

/// Calls `work(file, visit)` on threads, in batches of neighbours; every worker
/// keeps one file open.
Status
visitRecords(const std::vector<Visit> &order,
             const std::vector<std::string> &paths, unsigned threads,
             size_t batch,
             const std::function<Status(const File &, const Visit &)> &work) {
  size_t batches = (order.size() + batch - 1) / batch;
  return parallelFor(threads, batches, [&](size_t index, unsigned) -> Status {
    std::optional<File> file;
    uint32_t opened = 0;
    size_t end = std::min(order.size(), (index + 1) * batch);
    for (size_t i = index * batch; i < end; ++i) {
      if (!file || opened != order[i].slice.file) {
        opened = order[i].slice.file;
        MBC_ASSIGN(file, File::openRead(paths[opened]));
      }
      MBC_TRY(work(*file, order[i]));
    }
    return {};
  });
}

} // namespace

Status TorchDistCheckpoint::locateRecords(unsigned threads) {
  payloads.resize(metadata.slices.size());
  auto locateOne = [&](const File &file, const Visit &visit) -> Status {
    const DcpMetadata::Tensor &tensor = metadata.tensors[visit.tensor];
    const TensorInfo &info = infos[visit.tensor];
    BoxList boxes = metadata.boxes(tensor);
    auto where = [&] {
      return fmt::format("{}: record at byte {}: tensor {}, chunk at {}",
                         file.path(), visit.slice.offset, quote(info.name),
                         shapeText(boxes.offsets(visit.chunk)));
    };
    auto located =
        locateTorchTensor(file, visit.slice.offset, visit.slice.length);
    if (!located)
      return Failure(
          Error{located.error().kind,
                fmt::format("{} (tensor {}, chunk at {})",
                            located.error().message, quote(info.name),
                            shapeText(boxes.offsets(visit.chunk)))});
    const TorchTensorLocation &record = *located;
    if (record.dtype != info.dtype)
      return inputError(
          fmt::format("{}: the record has dtype {}, the metadata says {}",
                      where(), torchName(record.dtype), torchName(info.dtype)));
    std::span<const int64_t> sizes = boxes.sizes(visit.chunk);
    // The record of one expert, of a tensor that joinExperts made
    if (record.shape.size() + 1 == sizes.size() && sizes[0] == 1)
      sizes = sizes.subspan(1);
    if (!std::ranges::equal(record.shape, sizes))
      return inputError(fmt::format(
          "{}: the record has shape {}, the metadata says {}", where(),
          shapeText(record.shape), shapeText(boxes.sizes(visit.chunk))));
    payloads[tensor.firstChunk + visit.chunk] = record.offset;
    return {};
  };
  return visitRecords(visitOrder(metadata), files(), threads, 64, locateOne);
}

void TorchDistCheckpoint::locate(size_t index, int64_t begin, int64_t count,
                                 int64_t dest, std::vector<Extent> &out) const {
  const DcpMetadata::Tensor &tensor = metadata.tensors[index];
  DType dtype = infos[index].dtype;
  tilings[index].forEachRun(
      metadata.boxes(tensor), begin, count,
      [&](size_t box, int64_t local, int64_t at, int64_t run) {
        size_t chunk = tensor.firstChunk + box;
        out.push_back({metadata.slices[chunk].file,
                       payloads[chunk] + bytesOf(dtype, local), run,
                       dest + (at - begin), dtype});
      });
}

uint64_t TorchDistCheckpoint::totalBytes() const {
  uint64_t total = 0;
  for (const TensorInfo &info : infos)
    total += info.bytes();
  return total;
}

Expected<PickleValue>
TorchDistCheckpoint::readBlob(const DcpMetadata::Blob &blob) const {
  MBC_ASSIGN(File file, File::openRead(paths[blob.slice.file]));
  MBC_ASSIGN(PickleValue value,
             readTorchObject(file, blob.slice.offset, blob.slice.length,
                             commonPickleGlobal));
  if (value.kind != PickleKind::List || value.items.size() != 1)
    return inputError(fmt::format("{}: record at byte {}: object {} is not a "
                                  "list of one",
                                  file.path(), blob.slice.offset,
                                  quote(blob.name)));
  return std::move(value.items[0]);
}

Expected<PickleValue> TorchDistCheckpoint::readCommon() const {
  PickleValue value;
  fs::path path = directory / "common.pt";
  if (isThere(path)) {
    MBC_ASSIGN(File file, File::openRead(path));
    MBC_ASSIGN(value,
               readTorchObject(file, 0, file.size(), commonPickleGlobal));
  } else {
    auto it = std::ranges::find(metadata.blobs, commonObject,
                                &DcpMetadata::Blob::name);
    if (it == metadata.blobs.end())
      return PickleValue::none();
    path = paths[it->slice.file];
    MBC_ASSIGN(value, readBlob(*it));
  }
  if (value.kind != PickleKind::Dict)
    return inputError(
        fmt::format("{}: the common state is not a dict", path.string()));
  return value;
}

namespace {

/// Whether every entry states a checksum; an error when one is wrong.
Expected<bool> verifyRecord(const File &file, const DcpSlice &slice) {
  MBC_ASSIGN(ZipArchive zip,
             ZipArchive::open(file, slice.offset, slice.length));
  bool complete = true;
  for (const ZipArchive::Entry &entry : zip.entries()) {
    MBC_ASSIGN(bool checked, zip.verify(entry));
    complete &= checked;
  }
  return complete;
}

/// Whether an object is a torch.save record: it begins or ends as one. (Either
/// will do, so that a damaged one is not taken for bare bytes.)
Expected<bool> isRecord(const File &file, const DcpSlice &slice) {
  constexpr std::string_view head = "PK\3\4", end = "PK\5\6";
  constexpr uint64_t endBytes = 22;
  if (slice.length < endBytes)
    return false;
  std::array<char, 4> first, last;
  MBC_TRY(file.readAt(slice.offset, std::as_writable_bytes(std::span(first))));
  MBC_TRY(file.readAt(slice.offset + slice.length - endBytes,
                      std::as_writable_bytes(std::span(last))));
  return std::ranges::equal(first, head) || std::ranges::equal(last, end);
}

} // namespace

Expected<size_t> TorchDistCheckpoint::verifyCrc(unsigned threads) const {
  std::atomic<size_t> without = 0;
  auto verifyOne = [&](const File &file, const Visit &visit) -> Status {
    auto complete = verifyRecord(file, visit.slice);
    if (!complete)
      return Failure(Error{
          complete.error().kind,
          fmt::format("{} (tensor {}, chunk at {})", complete.error().message,
                      quote(infos[visit.tensor].name),
                      shapeText(metadata.boxes(metadata.tensors[visit.tensor])
                                    .offsets(visit.chunk)))});
    without += !*complete;
    return {};
  };
  MBC_TRY(visitRecords(visitOrder(metadata), files(),
                       threads ? threads : defaultThreads(), 1, verifyOne));
  // Many objects may share one record.
  std::set<std::tuple<uint32_t, uint64_t, uint64_t>> seen;
  for (const DcpMetadata::Blob &blob : metadata.blobs) {
    const DcpSlice &slice = blob.slice;
    if (!seen.emplace(slice.file, slice.offset, slice.length).second)
      continue;
    MBC_ASSIGN(File file, File::openRead(paths[slice.file]));
    MBC_ASSIGN(bool record, isRecord(file, slice));
    if (!record)
      continue;
    auto complete = verifyRecord(file, slice);
    if (!complete)
      return Failure(
          Error{complete.error().kind,
                fmt::format("{} (object {})", complete.error().message,
                            quote(blob.name))});
    without += !*complete;
  }
  return without.load();
}
