//===- TorchDistWriter.cpp - Writes Megatron torch_dist checkpoints -------===//
#include "runtime/io/TorchDistWriter.h"

#include "runtime/core/File.h"
#include "runtime/core/Parallel.h"
#include "runtime/core/Text.h"
#include "runtime/io/DcpMetadata.h"
#include "runtime/io/TorchRecord.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <deque>
#include <fmt/format.h>
#include <unordered_set>

using namespace mbc;
namespace fs = std::filesystem;

namespace {

/// Payload bytes read, checksummed and written at a time.
constexpr uint64_t partBytes = 4u << 20;

/// Where records begin, as a multiple: their payloads, 64-aligned in the
/// record, are then 64-aligned in the file too.
constexpr uint64_t recordAlignment = 64;

/// What Megatron-Core up to 0.18 reads; later ones take it too.
constexpr std::string_view metadataJson =
    R"({"sharded_backend": "torch_dist", "sharded_backend_version": 1, )"
    R"("common_backend": "torch", "common_backend_version": 1})";

std::span<const std::byte> asBytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

class Writer {
public:
  Writer(const TensorSet &set, const TorchDistSpec &spec,
         const fs::path &folder, Progress &progress, unsigned threads)
      : set(set), spec(spec), folder(folder), progress(progress),
        threads(std::max(threads, 1u)) {}

  Status write();

private:
  /// A chunk to be written. One of several parts has a checksum for each, at
  /// consecutive indexes of `crcs`.
  struct Job {
    uint32_t tensor; ///< of spec.tensors and metadata.tensors
    uint32_t chunk;
    uint32_t parts;
    size_t firstCrc;
  };
  /// What a thread does at a time: part `part` of job `first`; or, where `jobs`
  /// is not 0, that many whole records which follow each other in a file, from
  /// batched[first] on.
  struct Unit {
    uint32_t first, part, jobs;
  };
  /// What one thread needs.
  struct Worker {
    explicit Worker(const TensorSet &set) : reader(set) {}
    ExtentReader reader;
    std::vector<Extent> extents;
    std::vector<std::byte> buffer;
  };

  Status plan();
  Status planChunk(const TorchDistSpec::Tensor &tensor, uint32_t index,
                   uint32_t chunk);
  Status createFiles();
  void planUnits();
  Status writePart(const Job &job, uint32_t part, Worker &worker);
  Status writeBatch(std::span<const uint32_t> batch, Worker &worker);
  const DcpSlice &sliceOf(const Job &job) const {
    return metadata.slices[metadata.tensors[job.tensor].firstChunk + job.chunk];
  }
  TorchTensorRecord recordOf(const Job &job) const {
    const TorchDistSpec::Tensor &tensor = spec.tensors[job.tensor];
    return TorchTensorRecord(set.tensors()[tensor.index].dtype,
                             tensor.chunks[job.chunk].sizes);
  }
  int64_t elementsIn(const Job &job, uint64_t bytes) const {
    DType dtype = set.tensors()[spec.tensors[job.tensor].index].dtype;
    return int64_t(bytes * 8 / bitsOf(dtype));
  }
  Status readPart(const Job &job, int64_t begin, int64_t count, Worker &worker,
                  std::span<std::byte> payload);
  DcpSlice &place(uint64_t length, DcpSlice &slice);

  const TensorSet &set;
  const TorchDistSpec &spec;
  fs::path folder;
  Progress &progress;
  unsigned threads;

  DcpMetadata metadata;
  std::vector<uint64_t> fileSizes;
  std::vector<File> files;
  std::string objectRecord;
  std::vector<Job> jobs;
  std::vector<Unit> units;
  std::vector<uint32_t> batched; ///< indexes of jobs
  std::vector<uint32_t> crcs;
  std::vector<std::atomic<uint32_t>> missing; ///< parts left, for each job
};

} // namespace

/// Puts a slice at the end of its file.
DcpSlice &Writer::place(uint64_t length, DcpSlice &slice) {
  uint64_t &end = fileSizes[slice.file];
  slice.offset =
      (end + recordAlignment - 1) / recordAlignment * recordAlignment;
  slice.length = length;
  end = slice.offset + length;
  return slice;
}

Status Writer::plan() {
  uint32_t fileCount = 1;
  for (const TorchDistSpec::Tensor &tensor : spec.tensors)
    for (const TorchDistSpec::Chunk &chunk : tensor.chunks)
      fileCount = std::max(fileCount, chunk.file + 1);
  // All are open at once.
  if (fileCount > 512)
    return inputError(fmt::format("{}: {} data files, the limit is 512",
                                  folder.string(), fileCount));
  for (uint32_t i = 0; i < fileCount; ++i)
    metadata.files.push_back(fmt::format("__0_{}.distcp", i));
  fileSizes.assign(fileCount, 0);

  std::unordered_set<std::string_view> names;
  auto checkName = [&](std::string_view name) -> Status {
    if (name.empty() || !names.insert(name).second)
      return inputError(fmt::format("{}: two entries are named {}",
                                    folder.string(), quote(name)));
    return {};
  };

  if (!spec.objects.empty()) {
    objectRecord = torchSaveObject(PickleValue::list({PickleValue::none()}));
    DcpSlice slice = {0, 0, 0};
    place(objectRecord.size(), slice);
    for (const std::string &name : spec.objects) {
      MBC_TRY(checkName(name));
      metadata.blobs.push_back({name, slice});
    }
  }
  for (size_t t = 0; t < spec.tensors.size(); ++t) {
    const TorchDistSpec::Tensor &tensor = spec.tensors[t];
    const TensorInfo &info = set.tensors()[tensor.index];
    MBC_TRY(checkName(info.name));
    if (torchName(info.dtype).empty())
      return inputError(fmt::format("{}: tensor {}: torch has no dtype {}",
                                    folder.string(), quote(info.name),
                                    safetensorsName(info.dtype)));
    metadata.addTensor(info);
    for (size_t k = 0; k < tensor.chunks.size(); ++k)
      MBC_TRY(planChunk(tensor, uint32_t(t), uint32_t(k)));
  }
  for (const DcpMetadata::Tensor &tensor : metadata.tensors) {
    // The check wants the order of offsets, which the spec need not have.
    BoxList boxes = metadata.boxes(tensor);
    std::vector<size_t> order(boxes.count);
    for (size_t i = 0; i < order.size(); ++i)
      order[i] = i;
    std::ranges::sort(order, [&](size_t a, size_t b) {
      return std::ranges::lexicographical_compare(boxes.offsets(a),
                                                  boxes.offsets(b));
    });
    std::vector<int64_t> numbers;
    for (size_t box : order) {
      std::span<const int64_t> offsets = boxes.offsets(box),
                               sizes = boxes.sizes(box);
      numbers.insert(numbers.end(), offsets.begin(), offsets.end());
      numbers.insert(numbers.end(), sizes.begin(), sizes.end());
    }
    boxes.numbers = numbers;
    if (auto tiling = BoxTiling::build(boxes); !tiling)
      return inputError(fmt::format("{}: tensor {}: {}", folder.string(),
                                    quote(tensor.info.name),
                                    tiling.error().message));
  }
  planUnits();
  missing = std::vector<std::atomic<uint32_t>>(jobs.size());
  for (size_t i = 0; i < jobs.size(); ++i)
    missing[i] = jobs[i].parts;
  return {};
}

Status Writer::planChunk(const TorchDistSpec::Tensor &tensor, uint32_t index,
                         uint32_t chunk) {
  const TorchDistSpec::Chunk &box = tensor.chunks[chunk];
  const TensorInfo &info = set.tensors()[tensor.index];
  if (box.offsets.size() != info.shape.size() ||
      box.sizes.size() != info.shape.size() || checkedVolume(box.sizes) < 0)
    return inputError(fmt::format("{}: tensor {}: chunk at {} of size {} does "
                                  "not fit the shape {}",
                                  folder.string(), quote(info.name),
                                  shapeText(box.offsets), shapeText(box.sizes),
                                  shapeText(info.shape)));
  TorchTensorRecord record(info.dtype, box.sizes);
  DcpSlice slice = {box.file, 0, 0};
  metadata.addChunk(box.offsets, box.sizes, place(record.totalSize(), slice));
  uint64_t parts =
      std::max<uint64_t>(1, (record.payloadSize() + partBytes - 1) / partBytes);
  jobs.push_back({index, chunk, uint32_t(parts), crcs.size()});
  if (parts > 1)
    crcs.resize(crcs.size() + parts);
  return {};
}

/// Small records that follow each other in a file become one write: a call for
/// each would take longer than the copy.
void Writer::planUnits() {
  struct Batch {
    size_t unit = 0;
    std::vector<uint32_t> jobs;
    uint64_t begin = 0;
  };
  std::vector<Batch> open(metadata.files.size()), full;
  auto close = [&](Batch &batch) {
    if (!batch.jobs.empty())
      full.push_back(std::move(batch));
    batch = {};
  };
  for (uint32_t index = 0; index < jobs.size(); ++index) {
    const Job &job = jobs[index];
    const DcpSlice &slice = sliceOf(job);
    Batch &batch = open[slice.file];
    if (job.parts > 1) {
      close(batch);
      for (uint32_t part = 0; part < job.parts; ++part)
        units.push_back({index, part, 0});
      continue;
    }
    uint64_t end = slice.offset + slice.length;
    if (!batch.jobs.empty() && end - batch.begin > partBytes)
      close(batch);
    if (batch.jobs.empty()) {
      batch.unit = units.size();
      batch.begin = slice.offset;
      units.emplace_back();
    }
    batch.jobs.push_back(index);
  }
  for (Batch &batch : open)
    close(batch);
  for (const Batch &batch : full) {
    units[batch.unit] = {uint32_t(batched.size()), 0,
                         uint32_t(batch.jobs.size())};
    batched.insert(batched.end(), batch.jobs.begin(), batch.jobs.end());
  }
}

Status Writer::createFiles() {
  for (size_t i = 0; i < metadata.files.size(); ++i) {
    MBC_ASSIGN(File file,
               File::create(folder / metadata.files[i], fileSizes[i]));
    files.push_back(std::move(file));
  }
  if (objectRecord.empty())
    return {};
  return files[0].writeAt(0, asBytes(objectRecord));
}

/// Elements [begin, begin + count) of the row-major chunk.
Status Writer::readPart(const Job &job, int64_t begin, int64_t count,
                        Worker &worker, std::span<std::byte> payload) {
  const TorchDistSpec::Tensor &tensor = spec.tensors[job.tensor];
  const TorchDistSpec::Chunk &box = tensor.chunks[job.chunk];
  const TensorInfo &info = set.tensors()[tensor.index];
  size_t rank = info.shape.size();

  // The axes after `axis` are whole, so that this many elements of the chunk
  // are contiguous in the tensor.
  size_t axis = rank;
  int64_t inner = 1; // elements of one step along `axis`
  while (axis > 1 && box.sizes[axis - 1] == info.shape[axis - 1])
    inner *= info.shape[--axis];
  int64_t run = axis > 0 ? inner * box.sizes[axis - 1] : 1;

  worker.extents.clear();
  for (int64_t done = 0; done < count;) {
    int64_t row = (begin + done) / run, inside = (begin + done) % run;
    // Position of the row: the outer axes of the chunk, then its first step.
    int64_t position = 0, stride = inner;
    for (size_t i = axis; i-- > 0; stride *= info.shape[i]) {
      int64_t at = box.offsets[i];
      if (i + 1 < axis) {
        at += row % box.sizes[i];
        row /= box.sizes[i];
      }
      position += at * stride;
    }
    int64_t part = std::min(run - inside, count - done);
    set.locate(tensor.index, position + inside, part, done, worker.extents);
    done += part;
  }
  return worker.reader.gather(worker.extents, info.dtype, payload);
}

Status Writer::writeBatch(std::span<const uint32_t> batch, Worker &worker) {
  const DcpSlice &first = sliceOf(jobs[batch.front()]),
                 &last = sliceOf(jobs[batch.back()]);
  // Gaps between records stay zero.
  worker.buffer.assign(last.offset + last.length - first.offset, {});
  uint64_t payloadBytes = 0;
  for (uint32_t index : batch) {
    const Job &job = jobs[index];
    TorchTensorRecord record = recordOf(job);
    std::byte *to = worker.buffer.data() + (sliceOf(job).offset - first.offset);
    std::span<std::byte> payload(to + record.payloadOffset(),
                                 record.payloadSize());
    std::memcpy(to, record.header().data(), record.header().size());
    MBC_TRY(readPart(job, 0, elementsIn(job, payload.size()), worker, payload));
    std::string trailer = record.trailer(crc32Of(payload));
    std::memcpy(payload.data() + payload.size(), trailer.data(),
                trailer.size());
    payloadBytes += payload.size();
  }
  MBC_TRY(files[first.file].writeAt(first.offset, worker.buffer));
  progress.advance(payloadBytes);
  return {};
}

Status Writer::writePart(const Job &job, uint32_t part, Worker &worker) {
  const DcpSlice &slice = sliceOf(job);
  File &file = files[slice.file];
  TorchTensorRecord record = recordOf(job);
  uint64_t begin = part * partBytes;
  uint64_t size = std::min(record.payloadSize() - begin, partBytes);

  // The header goes out with the first part.
  uint64_t lead = part == 0 ? record.payloadOffset() : 0;
  worker.buffer.resize(lead + size);
  if (lead > 0)
    std::memcpy(worker.buffer.data(), record.header().data(), lead);
  std::span<std::byte> payload = std::span(worker.buffer).subspan(lead, size);
  MBC_TRY(readPart(job, elementsIn(job, begin), elementsIn(job, size), worker,
                   payload));
  uint64_t at = slice.offset + record.payloadOffset() + begin - lead;
  MBC_TRY(file.writeAt(at, worker.buffer));
  progress.advance(size);

  // Who finishes a chunk knows all its checksums and closes the record.
  crcs[job.firstCrc + part] = crc32Of(payload);
  if (--missing[size_t(&job - jobs.data())] > 0)
    return {};
  uint32_t crc = crcs[job.firstCrc];
  for (uint32_t i = 1; i < job.parts; ++i)
    crc =
        crc32Combine(crc, crcs[job.firstCrc + i],
                     std::min(partBytes, record.payloadSize() - i * partBytes));
  return file.writeAt(slice.offset + record.payloadOffset() +
                          record.payloadSize(),
                      asBytes(record.trailer(crc)));
}

Status Writer::write() {
  if (spec.common.kind != PickleKind::Dict)
    return inputError(
        fmt::format("{}: the common state is not a dict", folder.string()));
  MBC_TRY(plan());
  uint64_t total = 0;
  for (const DcpMetadata::Tensor &tensor : metadata.tensors)
    total += tensor.info.bytes();
  progress.setTotal(total);
  MBC_TRY(createFiles());

  std::deque<Worker> workers;
  for (unsigned i = 0; i < threads; ++i)
    workers.emplace_back(set);
  MBC_TRY(parallelFor(
      threads, units.size(), [&](size_t index, unsigned worker) -> Status {
        const Unit &unit = units[index];
        if (unit.jobs == 0)
          return writePart(jobs[unit.first], unit.part, workers[worker]);
        return writeBatch(std::span(batched).subspan(unit.first, unit.jobs),
                          workers[worker]);
      }));
  MBC_TRY(writeWholeFile(folder / "common.pt",
                         torchSaveObject(spec.common, "common")));
  MBC_TRY(writeWholeFile(folder / "metadata.json", metadataJson));
  return writeWholeFile(folder / ".metadata", metadata.encode());
}

Status mbc::writeTorchDist(const TensorSet &set, const TorchDistSpec &spec,
                           const fs::path &folder, Progress &progress,
                           unsigned threads) {
  return Writer(set, spec, folder, progress, threads).write();
}
