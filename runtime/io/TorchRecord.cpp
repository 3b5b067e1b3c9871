//===- TorchRecord.cpp - What torch.save writes ---------------------------===//
#include "runtime/io/TorchRecord.h"

#include "runtime/core/Text.h"
#include "runtime/io/PickleWriter.h"
#include "runtime/io/TensorSet.h"

#include <algorithm>
#include <fmt/format.h>

using namespace mbc;

namespace {

/// Typed storages, which fix the dtype of a `_rebuild_tensor_v2`.
struct StorageType {
  std::string_view name;
  DType dtype;
};
constexpr StorageType storageTypes[] = {
    {"BFloat16Storage", DType::BF16},    {"HalfStorage", DType::F16},
    {"FloatStorage", DType::F32},        {"DoubleStorage", DType::F64},
    {"LongStorage", DType::I64},         {"IntStorage", DType::I32},
    {"ShortStorage", DType::I16},        {"CharStorage", DType::I8},
    {"ByteStorage", DType::U8},          {"BoolStorage", DType::Bool},
    {"ComplexFloatStorage", DType::C64},
};

/// Contents of the `version` entry: torch's kProducedFileFormatVersion.
constexpr std::string_view versionText = "3\n", byteOrderText = "little";

uint32_t crcOfText(std::string_view text) {
  return crc32Of(std::as_bytes(std::span(text.data(), text.size())));
}

} // namespace

//===----------------------------------------------------------------------===//
// Reading
//===----------------------------------------------------------------------===//

int64_t TorchTensor::elements() const {
  int64_t count = 1;
  for (int64_t size : shape)
    count *= size;
  return count;
}

bool TorchTensor::isContiguous() const {
  if (std::ranges::find(shape, 0) != shape.end())
    return true;
  int64_t expected = 1;
  for (size_t i = shape.size(); i-- > 0;) {
    if (shape[i] != 1 && strides[i] != expected)
      return false;
    expected *= shape[i];
  }
  return true;
}

std::optional<DType> mbc::torchPickleDType(PickleRef object) {
  auto [module, name] = object.globalName();
  if (object.kind() != PickleKind::Global || module != "torch")
    return std::nullopt;
  return dtypeFromTorch(name);
}

std::optional<std::vector<int64_t>> mbc::torchPickleSize(PickleRef value) {
  // A torch.Size, where one is pickled instead of a plain tuple.
  if (value.isObject("torch", "Size")) {
    std::optional<PickleRef> inner = value.arguments().item(0);
    if (!inner)
      return std::nullopt;
    value = *inner;
  }
  if (value.kind() != PickleKind::Tuple && value.kind() != PickleKind::List)
    return std::nullopt;
  std::vector<int64_t> result;
  for (PickleRef item : value.items()) {
    std::optional<int64_t> number = item.asInt();
    if (!number || *number < 0)
      return std::nullopt;
    result.push_back(*number);
  }
  return result;
}

Expected<TorchTensor> mbc::parseTorchTensor(PickleRef object,
                                            std::string_view where) {
  auto bad = [&](std::string text) {
    return inputError(fmt::format("{}: data.pkl: {}", where, text));
  };
  // Unwrap parameters and subclasses; what is inside is a plain tensor.
  for (unsigned depth = 0;; ++depth) {
    if (object.kind() != PickleKind::Object || depth == 4)
      return bad(fmt::format("expected a tensor, found {}", object.describe()));
    PickleRef arguments = object.arguments();
    if (object.isObject("torch._utils", "_rebuild_parameter") ||
        object.isObject("torch._utils", "_rebuild_parameter_with_state")) {
      std::optional<PickleRef> data = arguments.item(0);
      if (!data)
        return bad("a parameter without data");
      object = *data;
      continue;
    }
    break;
  }
  PickleRef callee = object.callee(), arguments = object.arguments();
  if (object.isObject("torch._tensor", "_rebuild_from_type_v2")) {
    std::optional<PickleRef> function = arguments.item(0),
                             inner = arguments.item(2);
    if (!function || !inner)
      return bad("a tensor subclass without arguments");
    callee = *function, arguments = *inner;
  }
  bool v2 = callee.isGlobal("torch._utils", "_rebuild_tensor_v2");
  bool v3 = callee.isGlobal("torch._utils", "_rebuild_tensor_v3");
  if (!v2 && !v3)
    return bad(fmt::format("expected a tensor, found a call of {}",
                           callee.describe()));
  if (arguments.kind() != PickleKind::Tuple ||
      arguments.size() < (v3 ? 7u : 6u))
    return bad("a tensor with too few arguments");

  TorchTensor tensor;
  PickleRef persistent = *arguments.item(0);
  std::optional<PickleRef> id = persistent.item(0);
  if (persistent.kind() != PickleKind::Persistent ||
      id->kind() != PickleKind::Tuple || id->size() < 5 ||
      id->item(0)->asString() != "storage")
    return bad("a tensor without a storage");
  std::optional<std::string_view> key = id->item(2)->asString();
  std::optional<int64_t> count = id->item(4)->asInt();
  if (!key || !count || *count < 0)
    return bad("a malformed storage reference");
  tensor.storageKey = *key;

  auto [module, type] = id->item(1)->globalName();
  std::optional<DType> storageType;
  if (module == "torch" || module == "torch.storage")
    for (const StorageType &known : storageTypes)
      if (known.name == type)
        storageType = known.dtype;
  bool untyped = type == "UntypedStorage";
  if (!storageType && !untyped)
    return bad(
        fmt::format("unsupported storage type {}", id->item(1)->describe()));
  std::optional<DType> dtype = storageType;
  if (v3) {
    dtype = torchPickleDType(*arguments.item(6));
    if (!dtype)
      return bad(
          fmt::format("unsupported dtype {}", arguments.item(6)->describe()));
  } else if (untyped) {
    return bad("a tensor of unknown dtype");
  }
  tensor.dtype = *dtype;

  std::optional<int64_t> offset = arguments.item(1)->asInt();
  std::optional<std::vector<int64_t>> shape =
                                          torchPickleSize(*arguments.item(2)),
                                      strides =
                                          torchPickleSize(*arguments.item(3));
  if (!offset || *offset < 0 || !shape || !strides ||
      shape->size() != strides->size())
    return bad("a tensor with a malformed size, stride or offset");
  tensor.storageOffset = *offset;
  tensor.shape = std::move(*shape);
  tensor.strides = std::move(*strides);

  // The last element must lie inside the storage; wide sums cannot overflow.
  unsigned unit = untyped ? 8 : bitsOf(*storageType);
  if (unsigned __int128 size = (unsigned __int128)uint64_t(*count) * unit / 8;
      size >> 63)
    return bad(fmt::format("a storage of {} elements", *count));
  else
    tensor.storageBytes = uint64_t(size);
  unsigned __int128 elements = 1, last = uint64_t(tensor.storageOffset);
  for (size_t i = 0; i < tensor.shape.size(); ++i) {
    elements *= uint64_t(tensor.shape[i]);
    if (elements >> 63)
      return bad(fmt::format("a tensor of shape {} is too large",
                             shapeText(tensor.shape)));
    if (tensor.shape[i] > 0)
      last += (unsigned __int128)uint64_t(tensor.shape[i] - 1) *
              uint64_t(tensor.strides[i]);
    if (last >> 64)
      return bad(fmt::format("a tensor of shape {} is too large",
                             shapeText(tensor.shape)));
  }
  if (elements != 0 && (last + 1) * bitsOf(tensor.dtype) >
                           (unsigned __int128)tensor.storageBytes * 8)
    return bad(fmt::format("a tensor of shape {} and dtype {} does not fit in "
                           "its storage of {} bytes",
                           shapeText(tensor.shape), torchName(tensor.dtype),
                           tensor.storageBytes));
  return tensor;
}

Expected<TorchArchive> TorchArchive::open(const File &file, uint64_t offset,
                                          uint64_t length,
                                          const PickleGlobalPolicy &policy) {
  MBC_ASSIGN(ZipArchive zip, ZipArchive::open(file, offset, length));
  auto bad = [&](std::string text) {
    return inputError(fmt::format("{}: torch archive at byte {}: {}",
                                  file.path(), offset, text));
  };
  if (zip.entries().empty())
    return bad("no entries");
  const std::string &first = zip.entries()[0].name;
  size_t slash = first.find('/');
  if (slash == std::string::npos)
    return bad(fmt::format("entry {} is in no folder", quote(first)));
  std::string folder = first.substr(0, slash + 1);

  const ZipArchive::Entry *version = zip.find(folder + "version");
  if (!version)
    version = zip.find(folder + ".data/version");
  if (!version)
    return bad("no entry 'version'");
  MBC_ASSIGN(std::string number, zip.read(*version, 64));
  while (!number.empty() && number.back() == '\n')
    number.pop_back();
  if (number != "10" && (number.size() != 1 || number < "1" || number > "9"))
    return bad(
        fmt::format("unsupported version {}, expected 1 to 10", quote(number)));
  if (const ZipArchive::Entry *order = zip.find(folder + "byteorder")) {
    MBC_ASSIGN(std::string text, zip.read(*order, 64));
    if (text != byteOrderText)
      return bad(fmt::format("unsupported byte order {}, expected 'little'",
                             quote(text)));
  }
  const ZipArchive::Entry *data = zip.find(folder + "data.pkl");
  if (!data)
    return bad("no entry 'data.pkl'");
  MBC_ASSIGN(std::string bytes, zip.read(*data, 1u << 30));
  MBC_ASSIGN(Pickle pickle,
             Pickle::parse(std::move(bytes),
                           fmt::format("{}: torch archive at byte {}",
                                       file.path(), offset),
                           policy));
  return TorchArchive{std::move(zip), std::move(folder), std::move(pickle)};
}

Expected<const ZipArchive::Entry *>
TorchArchive::storage(const TorchTensor &tensor, std::string_view where) const {
  const ZipArchive::Entry *entry =
      zip.find(folder + "data/" + tensor.storageKey);
  if (!entry)
    return inputError(fmt::format("{}: no entry {}", where,
                                  quote("data/" + tensor.storageKey)));
  if (entry->size != tensor.storageBytes)
    return inputError(
        fmt::format("{}: entry {} has {} bytes, its tensor needs {}", where,
                    quote(entry->name), entry->size, tensor.storageBytes));
  return entry;
}

Expected<TorchTensorLocation>
mbc::locateTorchTensor(const File &file, uint64_t offset, uint64_t length) {
  MBC_ASSIGN(TorchArchive archive,
             TorchArchive::open(file, offset, length, torchPickleGlobal));
  std::string where =
      fmt::format("{}: torch archive at byte {}", file.path(), offset);
  MBC_ASSIGN(TorchTensor tensor,
             parseTorchTensor(archive.pickle.root(), where));
  MBC_ASSIGN(const ZipArchive::Entry *entry, archive.storage(tensor, where));
  if (!tensor.isContiguous())
    return inputError(fmt::format(
        "{}: a tensor of shape {} with strides {} is not contiguous, which is "
        "not supported",
        where, shapeText(tensor.shape), shapeText(tensor.strides)));
  TorchTensorLocation location;
  location.dtype = tensor.dtype;
  location.offset = entry->offset + bytesOf(tensor.dtype, tensor.storageOffset);
  location.shape = std::move(tensor.shape);
  return location;
}

Expected<PickleValue> mbc::readTorchObject(const File &file, uint64_t offset,
                                           uint64_t length,
                                           const PickleGlobalPolicy &policy) {
  MBC_ASSIGN(TorchArchive archive,
             TorchArchive::open(file, offset, length, policy));
  return archive.pickle.root().toValue();
}

//===----------------------------------------------------------------------===//
// Writing
//===----------------------------------------------------------------------===//

void mbc::writeTorchTensor(PickleWriter &out, DType dtype,
                           std::span<const int64_t> shape,
                           std::string_view key) {
  int64_t elements = 1;
  for (int64_t size : shape)
    elements *= size;
  auto it = std::ranges::find(storageTypes, dtype, &StorageType::dtype);
  bool typed = it != std::end(storageTypes);

  out.global("torch._utils",
             typed ? "_rebuild_tensor_v2" : "_rebuild_tensor_v3");
  out.mark();
  out.mark();
  out.string("storage");
  if (typed)
    out.global("torch", it->name);
  else
    out.global("torch.storage", "UntypedStorage");
  out.string(key);
  out.string("cpu");
  out.integer(typed ? elements : int64_t(bytesOf(dtype, elements)));
  out.tuple();
  out.persistentId();
  out.integer(0);
  out.tuple(shape);
  std::vector<int64_t> strides(shape.size());
  int64_t stride = 1;
  for (size_t i = shape.size(); i-- > 0;) {
    strides[i] = stride;
    stride *= std::max<int64_t>(shape[i], 1);
  }
  out.tuple(strides);
  out.boolean(false);
  out.global("collections", "OrderedDict");
  out.emptyTuple();
  out.reduce();
  if (!typed)
    out.global("torch", torchName(dtype));
  out.tuple();
  out.reduce();
}

namespace {

/// Lays out data.pkl, byteorder and version, and appends their bytes.
void addFrame(ZipPlan &plan, std::vector<uint32_t> &crcs, std::string &out,
              std::string_view pickle, std::string_view folder) {
  std::pair<std::string_view, std::string_view> entries[] = {
      {"/data.pkl", pickle},
      {"/byteorder", byteOrderText},
      {"/version", versionText}};
  for (auto [name, bytes] : entries) {
    size_t index = plan.add(std::string(folder).append(name), bytes.size());
    out += plan.before(index, crcs.empty() ? 0 : crcs.back());
    out += bytes;
    crcs.push_back(crcOfText(bytes));
  }
}

} // namespace

TorchTensorRecord::TorchTensorRecord(DType dtype,
                                     std::span<const int64_t> shape) {
  int64_t elements = 1;
  for (int64_t size : shape)
    elements *= size;
  bytes = bytesOf(dtype, elements);
  PickleWriter pickle;
  writeTorchTensor(pickle, dtype, shape, "0");
  addFrame(plan, crcs, head, pickle.finish(), "archive");
  head += plan.before(plan.add("archive/data/0", bytes), crcs.back());
}

std::string TorchTensorRecord::trailer(uint32_t crc) const {
  std::vector<uint32_t> all = crcs;
  all.push_back(crc);
  return plan.end(all);
}

TorchArchiveLayout::TorchArchiveLayout(std::string pickle, std::string folder)
    : folder(std::move(folder)) {
  addFrame(plan, crcs, head, pickle, this->folder);
  firstStorage = crcs.size();
}

void TorchArchiveLayout::addStorage(uint64_t bytes) {
  size_t index = plan.add(
      fmt::format("{}/data/{}", folder, crcs.size() - firstStorage), bytes);
  crcs.push_back(0);
  ends.push_back(plan.payloadOffset(index) + bytes);
}

uint64_t TorchArchiveLayout::beforeOffset(size_t storage) const {
  return storage == 0 ? 0 : ends[storage - 1];
}

std::string TorchArchiveLayout::before(size_t storage) const {
  size_t index = firstStorage + storage;
  std::string own = index < crcs.size() ? plan.before(index, crcs[index - 1])
                                        : plan.end(crcs);
  return storage == 0 ? head + own : own;
}

std::string mbc::torchSavePickle(std::string pickle,
                                 std::span<const std::string> storages,
                                 std::string_view folder) {
  TorchArchiveLayout layout(std::move(pickle), std::string(folder));
  for (size_t i = 0; i < storages.size(); ++i) {
    layout.addStorage(storages[i].size());
    layout.setCrc(i, crcOfText(storages[i]));
  }
  std::string out;
  for (size_t i = 0; i < storages.size(); ++i)
    out += layout.before(i) + storages[i];
  return out + layout.before(storages.size());
}

std::string mbc::torchSaveObject(const PickleValue &value,
                                 std::string_view folder) {
  PickleWriter pickle;
  pickle.value(value);
  return torchSavePickle(pickle.finish(), {}, folder);
}
