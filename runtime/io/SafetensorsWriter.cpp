//===- SafetensorsWriter.cpp - Write a Hugging Face folder's weights ------===//

#include "runtime/io/SafetensorsWriter.h"
#include "runtime/core/Json.h"
#include "runtime/core/Parallel.h"
#include "runtime/core/Text.h"

#include <algorithm>
#include <deque>
#include <fmt/format.h>
#include <mutex>
#include <unordered_map>
#include <unordered_set>

namespace mbc {

namespace fs = std::filesystem;

std::string shardFileName(size_t number, size_t count) {
  if (count == 1)
    return "model.safetensors";
  return fmt::format("model-{:05}-of-{:05}.safetensors", number + 1, count);
}

std::vector<std::vector<size_t>>
splitIntoShards(std::span<const TensorInfo> tensors,
                std::span<const size_t> order, uint64_t maxShardBytes) {
  std::vector<std::vector<size_t>> shards;
  std::vector<size_t> current;
  uint64_t bytes = 0;
  for (size_t index : order) {
    uint64_t size = tensors[index].bytes();
    // Not the end of the current shard: smaller tensors that follow still go
    // there, behind this one's number. So does huggingface_hub.
    if (size > maxShardBytes) {
      shards.push_back({index});
      continue;
    }
    if (bytes + size > maxShardBytes) {
      shards.push_back(std::move(current));
      current.clear();
      bytes = 0;
    }
    current.push_back(index);
    bytes += size;
  }
  if (!current.empty() || shards.empty())
    shards.push_back(std::move(current));
  return shards;
}

namespace {
/// A file to write.
struct Shard {
  std::string file;
  SafetensorsHeader header;
  /// For each of header.tensors, the index in the source set.
  std::vector<size_t> source;
};
} // namespace

//===----------------------------------------------------------------------===//
// What goes where
//===----------------------------------------------------------------------===//

/// A new header, in the order of the official writer: types of large elements
/// first, so that all data is aligned, then by name.
static Shard buildShard(const TensorSet &set, std::string file,
                        std::vector<size_t> tensors,
                        const std::optional<SafetensorsMetadata> &metadata) {
  const auto &infos = set.tensors();
  std::ranges::sort(tensors, [&](size_t a, size_t b) {
    if (infos[a].dtype != infos[b].dtype)
      return infos[a].dtype > infos[b].dtype;
    return infos[a].name < infos[b].name;
  });
  std::vector<TensorInfo> ordered;
  ordered.reserve(tensors.size());
  for (size_t index : tensors)
    ordered.push_back(infos[index]);
  return {std::move(file), buildSafetensorsHeader(std::move(ordered), metadata),
          std::move(tensors)};
}

static std::vector<Shard> cutBySize(const TensorSet &set,
                                    std::span<const size_t> order,
                                    const HfWriteOptions &options) {
  auto groups = splitIntoShards(set.tensors(), order, options.maxShardBytes);
  std::vector<Shard> shards;
  shards.reserve(groups.size());
  for (size_t i = 0; i < groups.size(); ++i)
    shards.push_back(buildShard(set, shardFileName(i, groups.size()),
                                std::move(groups[i]), options.metadata));
  return shards;
}

/// The shard with its source header, or why that header cannot be used.
static Expected<Shard> keepHeader(const TensorSet &set,
                                  const HfShardLayout &layout) {
  MBC_ASSIGN(SafetensorsHeader header,
             parseSafetensorsHeader(layout.rawHeader, layout.file));
  if (header.tensors.size() != layout.tensors.size())
    return inputError("the header holds other tensors");
  std::unordered_set<std::string_view> names(layout.tensors.begin(),
                                             layout.tensors.end());
  std::vector<size_t> source;
  source.reserve(header.tensors.size());
  for (const SafetensorsEntry &entry : header.tensors) {
    // The names of a layout are distinct and as many as the header's.
    int64_t index = set.find(entry.info.name);
    if (index < 0 || !names.contains(entry.info.name))
      return inputError(
          fmt::format("the header holds {}", quote(entry.info.name)));
    const TensorInfo &info = set.tensors()[static_cast<size_t>(index)];
    if (info.dtype != entry.info.dtype || info.shape != entry.info.shape)
      return inputError(fmt::format(
          "tensor {} was {} {} and is {} {}", quote(info.name),
          safetensorsName(entry.info.dtype), shapeText(entry.info.shape),
          safetensorsName(info.dtype), shapeText(info.shape)));
    source.push_back(static_cast<size_t>(index));
  }
  return Shard{layout.file, std::move(header), std::move(source)};
}

/// Why the layout does not hold exactly the tensors of `order`; empty if it
/// does.
static std::string layoutConflict(const TensorSet &set,
                                  std::span<const size_t> order,
                                  const std::vector<HfShardLayout> &layout) {
  std::vector<char> wanted(set.tensors().size(), 0);
  for (size_t index : order)
    wanted[index] = 1;
  size_t placed = 0;
  for (const HfShardLayout &shard : layout)
    for (const std::string &name : shard.tensors) {
      int64_t index = set.find(name);
      if (index < 0 || !wanted[static_cast<size_t>(index)])
        return fmt::format("it has {}, which is not written", quote(name));
      wanted[static_cast<size_t>(index)] = 0;
      ++placed;
    }
  if (placed == order.size())
    return {};
  auto lacks = std::ranges::find(wanted, 1) - wanted.begin();
  return fmt::format("it lacks {}", quote(set.tensors()[lacks].name));
}

/// One shard a file of the layout.
static Expected<std::vector<Shard>> followLayout(const TensorSet &set,
                                                 const HfWriteOptions &options,
                                                 HfWriteResult &result) {
  std::vector<Shard> shards;
  for (const HfShardLayout &layout : options.layout) {
    if (layout.file.empty() || layout.file.find('/') != std::string::npos)
      return inputError(fmt::format("{}: is not a file name for weights",
                                    quote(layout.file)));
    if (!layout.rawHeader.empty()) {
      auto kept = keepHeader(set, layout);
      if (kept) {
        shards.push_back(std::move(*kept));
        continue;
      }
      result.notes.push_back(fmt::format("the header of {} is written anew: {}",
                                         layout.file, kept.error().message));
    }
    std::vector<size_t> tensors;
    tensors.reserve(layout.tensors.size());
    for (const std::string &name : layout.tensors)
      tensors.push_back(static_cast<size_t>(set.find(name)));
    shards.push_back(
        buildShard(set, layout.file, std::move(tensors), options.metadata));
  }
  return shards;
}

//===----------------------------------------------------------------------===//
// The index
//===----------------------------------------------------------------------===//

/// As json.dumps(indent=2, sort_keys=True) and a newline. Spelled directly: a
/// tree of 100,000 names would be the largest thing in memory.
static std::string indexText(const std::vector<Shard> &shards,
                             uint64_t totalBytes) {
  std::vector<std::pair<std::string_view, std::string_view>> entries;
  for (const Shard &shard : shards)
    for (const SafetensorsEntry &entry : shard.header.tensors)
      entries.emplace_back(entry.info.name, shard.file);
  // Bytes of UTF-8 sort as Python's code points do.
  std::ranges::sort(entries);
  std::string out = fmt::format("{{\n  \"metadata\": {{\n    \"total_size\": "
                                "{}\n  }},\n  \"weight_map\": {{",
                                totalBytes);
  for (size_t i = 0; i < entries.size(); ++i) {
    out += i == 0 ? "\n    " : ",\n    ";
    appendJsonString(out, entries[i].first);
    out += ": ";
    appendJsonString(out, entries[i].second);
  }
  out += entries.empty() ? "}\n}\n" : "\n  }\n}\n";
  return out;
}

/// Whether an index says of every tensor where it is, and nothing else.
static bool indexAgrees(const std::string &text,
                        const std::vector<Shard> &shards) {
  auto index = Json::parse(text, "index");
  const Json *map = index ? index->find("weight_map") : nullptr;
  if (!map)
    return false;
  std::unordered_map<std::string_view, std::string_view> places;
  for (const Shard &shard : shards)
    for (const SafetensorsEntry &entry : shard.header.tensors)
      places.emplace(entry.info.name, shard.file);
  if (map->members().size() != places.size())
    return false;
  return std::ranges::all_of(map->members(), [&](const Json::Member &member) {
    auto it = places.find(member.first);
    return it != places.end() && member.second.asString() &&
           *member.second.asString() == it->second;
  });
}

//===----------------------------------------------------------------------===//
// Copying
//===----------------------------------------------------------------------===//

namespace {
/// A piece of a file that one worker reads and writes at once: whole tensors,
/// or a part of one.
struct Block {
  uint32_t shard;
  /// First entry of the shard's header, and the elements of it that precede.
  uint32_t entry;
  int64_t begin;
  /// From `begin` on, across as many entries as it takes.
  uint64_t bytes;
};

class Copier {
public:
  Copier(const TensorSet &set, const std::vector<Shard> &shards,
         const fs::path &folder, Progress &progress, unsigned threads)
      : set(set), shards(shards), folder(folder), progress(progress),
        threads(std::max(threads, 1u)),
        // All buffers together stay small, however many threads.
        blockBytes(std::clamp<uint64_t>((32u << 20) / this->threads, 1u << 20,
                                        8u << 20)),
        outputs(shards.size()) {}

  Status run() {
    for (uint32_t i = 0; i < shards.size(); ++i)
      cut(i);
    std::deque<Worker> workers;
    for (unsigned i = 0; i < threads; ++i)
      workers.emplace_back(set);
    return parallelFor(threads, blocks.size(),
                       [&](size_t index, unsigned worker) -> Status {
                         return copy(blocks[index], workers[worker]);
                       });
  }

private:
  struct Worker {
    explicit Worker(const TensorSet &set) : reader(set) {}
    ExtentReader reader;
    std::vector<std::byte> buffer;
    std::vector<Extent> extents;
  };
  /// Blocks start in order, so only about as many files as threads are open.
  struct Output {
    std::mutex mutex;
    std::optional<File> file;
    size_t blocksLeft = 0;
  };

  void cut(uint32_t shard);
  Status copy(const Block &block, Worker &worker);
  Status fill(const Block &block, Worker &worker);

  const TensorSet &set;
  const std::vector<Shard> &shards;
  const fs::path &folder;
  Progress &progress;
  unsigned threads;
  uint64_t blockBytes;
  std::vector<Block> blocks;
  std::vector<Output> outputs;
};

/// Cuts a shard into blocks. A tensor is only divided when it is larger than a
/// block, at a multiple of elements that is whole bytes for every dtype.
void Copier::cut(uint32_t number) {
  const auto &entries = shards[number].header.tensors;
  size_t before = blocks.size();
  Block open{number, 0, 0, 0};
  auto close = [&] {
    if (open.bytes > 0)
      blocks.push_back(open);
    open.bytes = 0;
  };
  for (uint32_t i = 0; i < entries.size(); ++i) {
    const TensorInfo &info = entries[i].info;
    uint64_t bytes = entries[i].end - entries[i].begin;
    if (open.bytes + bytes > blockBytes)
      close();
    if (bytes == 0)
      continue;
    if (bytes <= blockBytes) {
      if (open.bytes == 0)
        open = {number, i, 0, 0};
      open.bytes += bytes;
      continue;
    }
    auto step = static_cast<int64_t>(blockBytes * 8 / bitsOf(info.dtype)) & ~7;
    int64_t elements = info.elements();
    for (int64_t begin = 0; begin < elements; begin += step)
      blocks.push_back({number, i, begin,
                        bytesOf(info.dtype, std::min(step, elements - begin))});
  }
  close();
  outputs[number].blocksLeft = blocks.size() - before;
}

/// Reads the block's data into the worker's buffer: one `gather` for each run
/// of tensors of one dtype, so that neighbours are read together.
Status Copier::fill(const Block &block, Worker &worker) {
  const Shard &shard = shards[block.shard];
  worker.buffer.resize(blockBytes);
  uint64_t done = 0;
  size_t entry = block.entry;
  int64_t begin = block.begin;
  while (done < block.bytes) {
    DType dtype = shard.header.tensors[entry].info.dtype;
    uint64_t runStart = done;
    int64_t dest = 0;
    worker.extents.clear();
    while (done < block.bytes &&
           shard.header.tensors[entry].info.dtype == dtype) {
      const SafetensorsEntry &source = shard.header.tensors[entry];
      uint64_t skipped = bytesOf(dtype, begin);
      uint64_t bytes =
          std::min(source.end - source.begin - skipped, block.bytes - done);
      auto count = static_cast<int64_t>(bytes * 8 / bitsOf(dtype));
      set.locate(shard.source[entry], begin, count, dest, worker.extents);
      dest += count;
      done += bytes;
      begin = 0;
      ++entry;
    }
    MBC_TRY(worker.reader.gather(
        worker.extents, dtype,
        std::span(worker.buffer).subspan(runStart, done - runStart)));
  }
  return {};
}

Status Copier::copy(const Block &block, Worker &worker) {
  const Shard &shard = shards[block.shard];
  MBC_TRY(fill(block, worker));
  Output &output = outputs[block.shard];
  {
    std::lock_guard lock(output.mutex);
    if (!output.file) {
      MBC_ASSIGN(output.file, File::openWrite(folder / shard.file));
    }
  }
  const SafetensorsEntry &first = shard.header.tensors[block.entry];
  uint64_t offset = shard.header.dataStart() + first.begin +
                    bytesOf(first.info.dtype, block.begin);
  MBC_TRY(output.file->writeAt(offset,
                               std::span(worker.buffer).first(block.bytes)));
  progress.advance(block.bytes);
  std::lock_guard lock(output.mutex);
  if (--output.blocksLeft == 0)
    output.file.reset();
  return {};
}
} // namespace

/// Creates the files with their headers and reserves the space of all data.
static Status createFiles(const std::vector<Shard> &shards,
                          const fs::path &folder, bool sparse) {
  for (const Shard &shard : shards) {
    const SafetensorsHeader &header = shard.header;
    if (sparse) {
      MBC_TRY(createSparse(folder / shard.file, header));
      continue;
    }
    MBC_ASSIGN(File file,
               File::create(folder / shard.file,
                            header.dataStart() + header.dataBytes()));
    std::string prefix = safetensorsPrefix(header);
    MBC_TRY(file.writeAt(0, std::as_bytes(std::span(prefix))));
  }
  return {};
}

Expected<HfWriteResult> writeHfWeights(const TensorSet &set,
                                       std::span<const size_t> order,
                                       const HfWriteOptions &options,
                                       const fs::path &folder,
                                       Progress &progress, unsigned threads) {
  HfWriteResult result;
  std::vector<Shard> shards;
  bool keepLayout = !options.layout.empty();
  if (keepLayout) {
    std::string conflict = layoutConflict(set, order, options.layout);
    if (!conflict.empty()) {
      result.notes.push_back(fmt::format(
          "the source's division into files is not kept: {}", conflict));
      keepLayout = false;
    }
  }
  if (keepLayout) {
    MBC_ASSIGN(shards, followLayout(set, options, result));
  } else {
    shards = cutBySize(set, order, options);
  }

  for (const Shard &shard : shards) {
    result.files.push_back(shard.file);
    result.dataBytes += shard.header.dataBytes();
  }
  MBC_TRY(createFiles(shards, folder, options.sparse));
  progress.setTotal(result.dataBytes);
  if (!options.sparse)
    MBC_TRY(Copier(set, shards, folder, progress, threads).run());

  bool keepIndex = keepLayout && !options.rawIndex.empty() &&
                   indexAgrees(options.rawIndex, shards);
  if (shards.size() > 1 || keepIndex) {
    result.indexName = options.indexName;
    MBC_TRY(writeWholeFile(folder / options.indexName,
                           keepIndex ? options.rawIndex
                                     : indexText(shards, result.dataBytes)));
  }
  return result;
}

} // namespace mbc
