//===- LegacyTorchWriter.cpp - Writes one rank's torch file ---------------===//
#include "runtime/io/LegacyTorchWriter.h"

#include "runtime/core/File.h"
#include "runtime/core/Parallel.h"
#include "runtime/core/Text.h"
#include "runtime/io/PickleWriter.h"
#include "runtime/io/TorchRecord.h"

#include <algorithm>
#include <deque>
#include <fmt/format.h>

using namespace mbc;
namespace fs = std::filesystem;

/// Payload bytes read, checksummed and written at a time.
static constexpr uint64_t partBytes = 4u << 20;

namespace {

/// Part `part` of storage `storage`.
struct Unit {
  uint32_t storage, part;
};

/// What one thread needs.
struct Worker {
  explicit Worker(const TensorSet &set) : reader(set) {}
  ExtentReader reader;
  std::vector<std::byte> buffer;
};

} // namespace

/// data.pkl; `storages` gets the tensors in the order of their storages.
static std::string pickleOf(const TensorSet &set, const LegacyTorchSpec &spec,
                            std::vector<size_t> &storages) {
  PickleWriter out;
  out.emptyDict();
  out.mark();
  for (const auto &[key, value] : spec.head) {
    out.string(key);
    out.value(value);
  }
  for (const LegacyTorchSpec::Model &model : spec.models) {
    out.string(model.key);
    out.global("collections", "OrderedDict");
    out.emptyTuple();
    out.reduce();
    out.mark();
    for (const LegacyTorchSpec::Entry &entry : model.entries) {
      out.string(entry.name);
      if (entry.tensor < 0) {
        out.none();
        continue;
      }
      const TensorInfo &info = set.tensors()[entry.tensor];
      writeTorchTensor(out, info.dtype, info.shape,
                       std::to_string(storages.size()));
      storages.push_back(entry.tensor);
    }
    out.setItems();
  }
  out.setItems();
  return out.finish();
}

Status mbc::writeLegacyTorch(const TensorSet &set, const LegacyTorchSpec &spec,
                             const fs::path &path, Progress &progress,
                             unsigned threads) {
  for (const LegacyTorchSpec::Model &model : spec.models)
    for (const LegacyTorchSpec::Entry &entry : model.entries)
      if (entry.tensor >= 0 &&
          torchName(set.tensors()[entry.tensor].dtype).empty())
        return inputError(
            fmt::format("{}: tensor {}: torch has no dtype {}", path.string(),
                        quote(entry.name),
                        safetensorsName(set.tensors()[entry.tensor].dtype)));

  std::vector<size_t> storages;
  TorchArchiveLayout layout(pickleOf(set, spec, storages),
                            path.stem().string());
  std::vector<Unit> units;
  std::vector<size_t> firstUnit;
  for (uint32_t s = 0; s < storages.size(); ++s) {
    uint64_t bytes = set.tensors()[storages[s]].bytes();
    layout.addStorage(bytes);
    firstUnit.push_back(units.size());
    // Without elements there is a record nevertheless.
    for (uint32_t part = 0; part * partBytes < bytes; ++part)
      units.push_back({s, part});
  }
  firstUnit.push_back(units.size());

  MBC_ASSIGN(File file, File::create(path, layout.totalSize()));
  std::deque<Worker> workers;
  for (unsigned i = 0; i < std::max(threads, 1u); ++i)
    workers.emplace_back(set);
  std::vector<uint32_t> crcs(units.size());
  MBC_TRY(parallelFor(
      std::max(threads, 1u), units.size(),
      [&](size_t index, unsigned number) -> Status {
        Unit unit = units[index];
        size_t tensor = storages[unit.storage];
        const TensorInfo &info = set.tensors()[tensor];
        uint64_t begin = unit.part * partBytes,
                 size = std::min(info.bytes() - begin, partBytes);
        Worker &worker = workers[number];
        worker.buffer.resize(size);
        unsigned bits = bitsOf(info.dtype);
        MBC_TRY(worker.reader.read(tensor, int64_t(begin * 8 / bits),
                                   int64_t(size * 8 / bits), worker.buffer));
        crcs[index] = crc32Of(worker.buffer);
        MBC_TRY(file.writeAt(layout.storageOffset(unit.storage) + begin,
                             worker.buffer));
        progress.advance(size);
        return {};
      }));

  // What stands between the payloads states their checksums.
  for (uint32_t s = 0; s < storages.size(); ++s) {
    uint64_t bytes = set.tensors()[storages[s]].bytes();
    uint32_t crc = 0;
    for (size_t u = firstUnit[s]; u < firstUnit[s + 1]; ++u)
      crc = crc32Combine(
          crc, crcs[u], std::min(bytes - units[u].part * partBytes, partBytes));
    layout.setCrc(s, crc);
  }
  for (uint32_t s = 0; s <= storages.size(); ++s) {
    std::string text = layout.before(s);
    MBC_TRY(file.writeAt(layout.beforeOffset(s),
                         std::as_bytes(std::span(text.data(), text.size()))));
  }
  return {};
}
