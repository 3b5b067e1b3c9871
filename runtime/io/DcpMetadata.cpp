//===- DcpMetadata.cpp - The .metadata of a torch_dist checkpoint ---------===//
#include "runtime/io/DcpMetadata.h"

#include "runtime/core/File.h"
#include "runtime/core/Text.h"
#include "runtime/io/PickleWriter.h"
#include "runtime/io/TorchRecord.h"

#include <algorithm>
#include <fmt/format.h>
#include <numeric>
#include <unordered_map>

using namespace mbc;

BoxList DcpMetadata::boxes(const Tensor &tensor) const {
  BoxList list;
  list.shape = tensor.info.shape;
  list.count = tensor.chunkCount;
  list.numbers = std::span(numbers).subspan(
      tensor.firstNumber, tensor.chunkCount * 2 * tensor.info.shape.size());
  return list;
}

void DcpMetadata::addTensor(TensorInfo info) {
  tensors.push_back({std::move(info), slices.size(), 0, numbers.size()});
}

void DcpMetadata::addChunk(std::span<const int64_t> offsets,
                           std::span<const int64_t> sizes, DcpSlice slice) {
  numbers.insert(numbers.end(), offsets.begin(), offsets.end());
  numbers.insert(numbers.end(), sizes.begin(), sizes.end());
  slices.push_back(slice);
  ++tensors.back().chunkCount;
}

//===----------------------------------------------------------------------===//
// Parsing
//===----------------------------------------------------------------------===//

namespace mbc {

class DcpParser {
public:
  DcpParser(DcpMetadata &out, std::string_view where)
      : out(out), where(where) {}

  Status parse(PickleRef root);

private:
  Failure bad(std::string text) const {
    return inputError(fmt::format("{}: {}", where, text));
  }
  Status parseEntry(std::string_view name, PickleRef entry);
  Status parseTensor(std::string_view name, PickleRef entry);
  Status parseStorage(PickleRef index, PickleRef info);
  void sortChunks();

  DcpMetadata &out;
  std::string_view where;
  /// Into the pickle: index of a tensor, or ~index of a blob.
  std::unordered_map<std::string_view, int64_t> byName;
  std::unordered_map<std::string_view, uint32_t> byFile;
};

} // namespace mbc

Status DcpParser::parse(PickleRef root) {
  std::optional<PickleRef> entries = root.find("state_dict_metadata"),
                           storage = root.find("storage_data");
  if (!entries || !storage || entries->kind() != PickleKind::Dict ||
      storage->kind() != PickleKind::Dict)
    return bad(fmt::format("not the metadata of a distributed checkpoint: "
                           "found {}, expected Metadata with "
                           "state_dict_metadata and storage_data",
                           root.describe()));
  if (std::optional<PickleRef> planner = root.find("planner_data"))
    out.hasPlannerData = !planner->isNone();

  PickleItems entryItems = entries->items();
  byName.reserve(entries->size() / 2);
  out.tensors.reserve(entries->size() / 2);
  out.slices.reserve(storage->size() / 2);
  for (auto it = entryItems.begin(); it != entryItems.end(); ++it) {
    std::optional<std::string_view> name = (*it).asString();
    if (!name)
      return bad("a key of state_dict_metadata is not a string");
    ++it;
    MBC_TRY(parseEntry(*name, *it));
  }
  sortChunks();

  PickleItems storageItems = storage->items();
  for (auto it = storageItems.begin(); it != storageItems.end(); ++it) {
    PickleRef index = *it;
    ++it;
    MBC_TRY(parseStorage(index, *it));
  }

  for (const DcpMetadata::Tensor &tensor : out.tensors) {
    BoxList boxes = out.boxes(tensor);
    for (size_t k = 0; k < tensor.chunkCount; ++k)
      // Empty chunks with the same offsets share one key, and so one entry.
      if (out.slices[tensor.firstChunk + k].file == DcpSlice::nowhere &&
          checkedVolume(boxes.sizes(k)) != 0)
        return bad(fmt::format("tensor {}: chunk at {} has no entry in "
                               "storage_data",
                               quote(tensor.info.name),
                               shapeText(boxes.offsets(k))));
  }
  for (const DcpMetadata::Blob &blob : out.blobs)
    if (blob.slice.file == DcpSlice::nowhere)
      return bad(fmt::format("object {} has no entry in storage_data",
                             quote(blob.name)));
  return out.checkTilings(where);
}

Status DcpParser::parseEntry(std::string_view name, PickleRef entry) {
  std::string_view type = entry.globalName().second;
  bool isTensor = type == "TensorStorageMetadata";
  if (entry.kind() != PickleKind::Object ||
      (!isTensor && type != "BytesStorageMetadata"))
    return bad(fmt::format("entry {} is {}, expected TensorStorageMetadata or "
                           "BytesStorageMetadata",
                           quote(name), entry.describe()));
  int64_t index =
      isTensor ? int64_t(out.tensors.size()) : ~int64_t(out.blobs.size());
  if (!byName.emplace(name, index).second)
    return bad(fmt::format("two entries are named {}", quote(name)));
  if (isTensor)
    return parseTensor(name, entry);
  out.blobs.push_back({std::string(name), {DcpSlice::nowhere, 0, 0}});
  return {};
}

Status DcpParser::parseTensor(std::string_view name, PickleRef entry) {
  auto badTensor = [&](std::string text) {
    return bad(fmt::format("tensor {}: {}", quote(name), text));
  };
  std::optional<PickleRef> properties = entry.find("properties"),
                           size = entry.find("size"),
                           chunks = entry.find("chunks");
  if (!properties || !size || !chunks)
    return badTensor("without properties, size or chunks");

  // The state is a tuple (dtype, layout, ...); a plain dataclass has a dict.
  std::optional<PickleRef> dtype = properties->find("dtype");
  if (!dtype && properties->kind() == PickleKind::Object)
    dtype = properties->state().item(0);
  if (!dtype)
    return badTensor("without a dtype");
  std::optional<DType> known = torchPickleDType(*dtype);
  if (!known)
    return badTensor(fmt::format("unsupported dtype {}", dtype->describe()));

  std::optional<std::vector<int64_t>> shape = torchPickleSize(*size);
  if (!shape)
    return badTensor("a malformed size");
  if (checkedVolume(*shape) < 0)
    return badTensor(fmt::format("shape {} is too large", shapeText(*shape)));
  if (unsigned __int128 bits =
          (unsigned __int128)checkedVolume(*shape) * bitsOf(*known);
      bits % 8 != 0 || bits >> 66)
    return badTensor(fmt::format("shape {} is too large", shapeText(*shape)));
  size_t rank = shape->size();
  out.addTensor({std::string(name), *known, std::move(*shape)});

  if (chunks->kind() != PickleKind::List || chunks->size() == 0)
    return badTensor("has no chunks");
  for (PickleRef chunk : chunks->items()) {
    std::optional<PickleRef> begin = chunk.find("offsets"),
                             extent = chunk.find("sizes");
    std::optional<std::vector<int64_t>> offsets, sizes;
    if (begin && extent) {
      offsets = torchPickleSize(*begin);
      sizes = torchPickleSize(*extent);
    }
    if (!offsets || !sizes)
      return badTensor("a malformed chunk");
    if (offsets->size() != rank || sizes->size() != rank)
      return badTensor(fmt::format(
          "chunk at {} of size {} has another rank than the shape {}",
          shapeText(*offsets), shapeText(*sizes),
          shapeText(out.tensors.back().info.shape)));
    out.addChunk(*offsets, *sizes, {DcpSlice::nowhere, 0, 0});
  }
  return {};
}

/// Sorts the chunks of each tensor by their offsets. Slices are not known yet.
void DcpParser::sortChunks() {
  std::vector<uint32_t> order;
  std::vector<int64_t> sorted;
  for (const DcpMetadata::Tensor &tensor : out.tensors) {
    BoxList boxes = out.boxes(tensor);
    if (boxes.count < 2 || boxes.rank() == 0)
      continue;
    order.resize(boxes.count);
    std::iota(order.begin(), order.end(), 0);
    size_t width = 2 * boxes.rank(); // offsets, then sizes
    auto less = [&](uint32_t a, uint32_t b) {
      auto compared = std::lexicographical_compare_three_way(
          &boxes.numbers[a * width], &boxes.numbers[a * width] + width,
          &boxes.numbers[b * width], &boxes.numbers[b * width] + width);
      return compared != 0 ? compared < 0 : a < b;
    };
    if (std::ranges::is_sorted(order, less))
      continue;
    std::ranges::sort(order, less);
    sorted.clear();
    for (uint32_t box : order) {
      auto from = boxes.numbers.begin() + box * width;
      sorted.insert(sorted.end(), from, from + width);
    }
    std::ranges::copy(sorted, out.numbers.begin() + tensor.firstNumber);
  }
}

Status DcpParser::parseStorage(PickleRef index, PickleRef info) {
  std::optional<PickleRef> fqn = index.find("fqn");
  std::optional<std::string_view> name;
  if (fqn)
    name = fqn->asString();
  if (!name)
    return bad("a key of storage_data without a name");
  auto known = byName.find(*name);
  if (known == byName.end())
    return {}; // Data that nothing refers to.
  auto badEntry = [&](std::string text) {
    return bad(fmt::format("storage of {}: {}", quote(*name), text));
  };

  DcpSlice *slice;
  if (known->second < 0) {
    slice = &out.blobs[size_t(~known->second)].slice;
  } else {
    const DcpMetadata::Tensor &tensor = out.tensors[size_t(known->second)];
    BoxList boxes = out.boxes(tensor);
    // Chunks are known by their offsets; the index is only a hint.
    std::optional<PickleRef> at = index.find("offset");
    std::optional<std::vector<int64_t>> offset;
    size_t low = 0, high = boxes.count;
    if (at && !at->isNone()) {
      offset = torchPickleSize(*at);
      if (!offset || offset->size() != boxes.rank())
        return badEntry("a malformed offset");
      while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (std::ranges::lexicographical_compare(boxes.offsets(middle),
                                                 *offset))
          low = middle + 1;
        else
          high = middle;
      }
      if (low == boxes.count ||
          !std::ranges::equal(boxes.offsets(low), *offset))
        return badEntry(fmt::format("no chunk at {}", shapeText(*offset)));
      // Empty chunks may share their offsets with others; they come first.
      while (low + 1 < boxes.count && checkedVolume(boxes.sizes(low)) == 0 &&
             std::ranges::equal(boxes.offsets(low + 1), *offset))
        ++low;
    } else if (boxes.count != 1) {
      return badEntry(
          fmt::format("no offset, but the tensor has {} chunks", boxes.count));
    }
    slice = &out.slices[tensor.firstChunk + low];
  }
  if (slice->file != DcpSlice::nowhere)
    return badEntry("two entries for the same chunk");

  std::optional<PickleRef> path = info.find("relative_path"),
                           offset = info.find("offset"),
                           length = info.find("length"),
                           transforms = info.find("transform_descriptors");
  if (!path || !offset || !length || !path->asString() || !offset->asInt() ||
      !length->asInt() || *offset->asInt() < 0 || *length->asInt() < 0)
    return badEntry("malformed file, offset or length");
  if (transforms && !transforms->isNone())
    return badEntry("the data is transformed (compressed or encrypted), which "
                    "is not supported");
  std::string_view file = *path->asString();
  auto [it, isNew] = byFile.try_emplace(file, uint32_t(out.files.size()));
  if (isNew) {
    if (file.empty() || file == "." || file == ".." ||
        file.find('/') != file.npos || file.find('\0') != file.npos)
      return badEntry(fmt::format("data file {} is not in the folder of the "
                                  "checkpoint",
                                  quote(file)));
    out.files.emplace_back(file);
  }
  *slice = {it->second, uint64_t(*offset->asInt()), uint64_t(*length->asInt())};
  return {};
}

Status DcpMetadata::checkTilings(std::string_view where) const {
  for (const Tensor &tensor : tensors)
    if (auto tiling = BoxTiling::build(boxes(tensor)); !tiling)
      return inputError(fmt::format("{}: tensor {}: {}", where,
                                    quote(tensor.info.name),
                                    tiling.error().message));
  return {};
}

Expected<DcpMetadata> DcpMetadata::parse(std::string bytes,
                                         std::string_view where) {
  MBC_ASSIGN(Pickle pickle,
             Pickle::parse(std::move(bytes), where, harmlessPickleGlobal));
  DcpMetadata metadata;
  MBC_TRY(DcpParser(metadata, where).parse(pickle.root()));
  return metadata;
}

Expected<DcpMetadata> DcpMetadata::read(const std::filesystem::path &folder) {
  std::filesystem::path path = folder / ".metadata";
  MBC_ASSIGN(std::string bytes, readWholeFile(path, 1u << 30));
  MBC_ASSIGN(DcpMetadata metadata, parse(std::move(bytes), path.string()));

  std::vector<uint64_t> sizes;
  for (const std::string &file : metadata.files) {
    std::error_code error;
    uint64_t size = std::filesystem::file_size(folder / file, error);
    if (error)
      return inputError(fmt::format("{}: data file {} cannot be read: {}",
                                    path.string(), quote(file),
                                    error.message()));
    sizes.push_back(size);
  }
  auto check = [&](const DcpSlice &slice, std::string_view name) -> Status {
    if (slice.file == DcpSlice::nowhere)
      return {};
    uint64_t size = sizes[slice.file];
    if (slice.offset <= size && slice.length <= size - slice.offset)
      return {};
    return inputError(fmt::format(
        "{}: {} lies at bytes {} to {} of {}, which has {} bytes: truncated?",
        path.string(), quote(name), slice.offset, slice.offset + slice.length,
        quote(metadata.files[slice.file]), size));
  };
  for (const Tensor &tensor : metadata.tensors)
    for (size_t k = 0; k < tensor.chunkCount; ++k)
      MBC_TRY(check(metadata.slices[tensor.firstChunk + k], tensor.info.name));
  for (const Blob &blob : metadata.blobs)
    MBC_TRY(check(blob.slice, blob.name));
  return metadata;
}

//===----------------------------------------------------------------------===//
// Writing
//===----------------------------------------------------------------------===//

namespace {

constexpr std::string_view metadataModule =
                               "torch.distributed.checkpoint.metadata",
                           filesystemModule =
                               "torch.distributed.checkpoint.filesystem";

/// Pushes an instance; its state follows, then `build`.
void beginObject(PickleWriter &out, std::string_view module,
                 std::string_view name) {
  out.global(module, name);
  out.emptyTuple();
  out.newObject();
}

void beginDict(PickleWriter &out) {
  out.emptyDict();
  out.mark();
}

void endState(PickleWriter &out) {
  out.setItems();
  out.build();
}

void writeProperties(PickleWriter &out, DType dtype) {
  beginObject(out, metadataModule, "TensorProperties");
  out.mark();
  out.global("torch", torchName(dtype));
  out.global("torch.serialization", "_get_layout");
  out.recurring("torch.strided");
  out.tuple(1);
  out.reduce();
  out.boolean(false); // requires_grad
  out.global(metadataModule, "_MEM_FORMAT_ENCODING");
  out.integer(0); // TORCH_CONTIGUOUS_FORMAT
  out.tuple(1);
  out.reduce();
  out.boolean(false); // pin_memory
  out.tuple();
  out.build();
}

/// Names and offsets are shared, as Python's pickler shares them.
struct Shared {
  std::vector<uint32_t> tensorNames, blobNames, offsets;
};

void writeStorage(PickleWriter &out, uint32_t name, const uint32_t *offset,
                  const DcpSlice &slice, const std::string &file) {
  beginObject(out, metadataModule, "MetadataIndex");
  beginDict(out);
  out.recurring("fqn");
  out.get(name);
  out.recurring("index");
  out.none(); // only a hint, which Megatron leaves out too
  if (offset) {
    out.recurring("offset");
    out.get(*offset);
  }
  endState(out);
  beginObject(out, filesystemModule, "_StorageInfo");
  beginDict(out);
  out.recurring("relative_path");
  out.recurring(file);
  out.recurring("offset");
  out.integer(int64_t(slice.offset));
  out.recurring("length");
  out.integer(int64_t(slice.length));
  endState(out);
}

} // namespace

std::string DcpMetadata::encode() const {
  PickleWriter out;
  Shared shared;
  beginObject(out, metadataModule, "Metadata");
  beginDict(out);
  out.string("state_dict_metadata");
  beginDict(out);
  for (const Tensor &tensor : tensors) {
    BoxList list = boxes(tensor);
    out.string(tensor.info.name);
    shared.tensorNames.push_back(out.put());
    beginObject(out, metadataModule, "TensorStorageMetadata");
    beginDict(out);
    out.recurring("properties");
    writeProperties(out, tensor.info.dtype);
    out.recurring("size");
    out.torchSize(tensor.info.shape);
    out.recurring("chunks");
    out.emptyList();
    out.mark();
    for (size_t k = 0; k < list.count; ++k) {
      beginObject(out, metadataModule, "ChunkStorageMetadata");
      beginDict(out);
      out.recurring("offsets");
      out.torchSize(list.offsets(k));
      shared.offsets.push_back(out.put());
      out.recurring("sizes");
      out.torchSize(list.sizes(k));
      endState(out);
    }
    out.appends();
    endState(out);
  }
  for (const Blob &blob : blobs) {
    out.string(blob.name);
    shared.blobNames.push_back(out.put());
    beginObject(out, metadataModule, "BytesStorageMetadata");
  }
  out.setItems();

  out.string("planner_data");
  out.none();
  out.string("storage_data");
  beginDict(out);
  for (size_t t = 0; t < tensors.size(); ++t)
    for (size_t k = 0; k < tensors[t].chunkCount; ++k) {
      size_t chunk = tensors[t].firstChunk + k;
      const DcpSlice &slice = slices[chunk];
      if (slice.file == DcpSlice::nowhere)
        continue;
      writeStorage(out, shared.tensorNames[t], &shared.offsets[chunk], slice,
                   files[slice.file]);
    }
  for (size_t b = 0; b < blobs.size(); ++b)
    writeStorage(out, shared.blobNames[b], nullptr, blobs[b].slice,
                 files[blobs[b].slice.file]);
  out.setItems();
  out.string("storage_meta");
  out.none();
  out.string("version");
  out.string("1.0.0");
  endState(out);
  return out.finish();
}
