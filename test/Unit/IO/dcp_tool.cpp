//===- dcp_tool.cpp - Drives the torch_dist reader and writer by hand -----===//
//
//   dcp_tool dump FOLDER OUT            every tensor as OUT/N.bin, and a list
//   dcp_tool copy FOLDER OUT CUT FILES  the same tensors, cut anew
//   dcp_tool import HF OUT CUT FILES    the tensors of a Hugging Face folder
//   dcp_tool read FOLDER                reads everything, for timing
//   dcp_tool verify FOLDER              compares checksums
//   dcp_tool common FOLDER              prints the common state
//   dcp_tool metadata N OUT             encodes metadata of N tensors, timed
//   dcp_tool parse FILE                 parses such a file, timed
//   dcp_tool trainstate OUT STEP        writes a train_state.pt
//
// CUT: whole; rows (one step of axis 0 each); columns (last axis in three);
// grid (axis 0 and the last axis, in two and three).
//
//===----------------------------------------------------------------------===//
#include "runtime/core/File.h"
#include "runtime/core/Parallel.h"
#include "runtime/io/HfFolder.h"
#include "runtime/io/TorchDist.h"
#include "runtime/io/TorchDistWriter.h"
#include "runtime/io/TrainState.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fmt/format.h>
#include <memory>
#include <sys/resource.h>

using namespace mbc;

namespace {

using Clock = std::chrono::steady_clock;

double secondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

void report(const char *what, Clock::time_point start, uint64_t bytes) {
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  double seconds = secondsSince(start);
  fmt::print(stderr, "{}: {:.3f} s, {:.2f} GB/s, peak {} MiB\n", what, seconds,
             double(bytes) / seconds / 1e9, usage.ru_maxrss / 1024);
}

/// Cuts axis `axis` of every box into `parts` pieces.
void cut(std::vector<TorchDistSpec::Chunk> &chunks, size_t axis,
         int64_t parts) {
  std::vector<TorchDistSpec::Chunk> result;
  for (const TorchDistSpec::Chunk &chunk : chunks) {
    int64_t size = chunk.sizes[axis];
    for (int64_t i = 0; i < parts; ++i) {
      int64_t begin = size * i / parts, end = size * (i + 1) / parts;
      if (begin == end && size > 0)
        continue;
      TorchDistSpec::Chunk piece = chunk;
      piece.offsets[axis] += begin;
      piece.sizes[axis] = end - begin;
      result.push_back(piece);
      if (size == 0)
        break;
    }
  }
  chunks = std::move(result);
}

Status write(const TensorSet &set, const std::string &out,
             const std::string &how, uint32_t files, PickleValue common) {
  TorchDistSpec spec;
  uint32_t next = 0;
  for (size_t i = 0; i < set.tensors().size(); ++i) {
    const std::vector<int64_t> &shape = set.tensors()[i].shape;
    std::vector<TorchDistSpec::Chunk> chunks = {
        {std::vector<int64_t>(shape.size()), shape, 0}};
    if (!shape.empty() && how == "rows")
      cut(chunks, 0, std::max<int64_t>(shape[0], 1));
    if (!shape.empty() && how == "grid")
      cut(chunks, 0, 2);
    if (!shape.empty() && (how == "columns" || how == "grid"))
      cut(chunks, shape.size() - 1, 3);
    for (TorchDistSpec::Chunk &chunk : chunks)
      chunk.file = next++ % files;
    spec.tensors.push_back({i, std::move(chunks)});
  }
  spec.objects = {"decoder.layers._extra_state/shard_0_2",
                  "decoder.layers._extra_state/shard_1_2"};
  spec.common = std::move(common);
  std::filesystem::create_directories(out);
  Progress progress("writing", 0, Progress::Mode::Quiet);
  auto start = Clock::now();
  MBC_TRY(writeTorchDist(set, spec, out, progress, defaultThreads()));
  report("write", start, progress.doneBytes());
  return {};
}

/// Calls `consume(tensor, bytes)` for blocks of 4 MiB of every tensor.
template <typename Consume>
Status readAll(const TensorSet &set, Consume consume) {
  return parallelFor(
      defaultThreads(), set.tensors().size(),
      [&](size_t index, unsigned) -> Status {
        ExtentReader reader(set);
        const TensorInfo &info = set.tensors()[index];
        int64_t total = info.elements();
        int64_t step = int64_t(4u << 20) * 8 / bitsOf(info.dtype);
        std::vector<std::byte> buffer;
        for (int64_t at = 0; at < total; at += step) {
          int64_t count = std::min(step, total - at);
          buffer.resize(bytesOf(info.dtype, count));
          MBC_TRY(reader.read(index, at, count, buffer));
          MBC_TRY(consume(index, std::span<const std::byte>(buffer)));
        }
        return {};
      });
}

Status dump(const std::string &folder, const std::string &out) {
  MBC_ASSIGN(auto set, TorchDistCheckpoint::open(folder));
  std::filesystem::create_directories(out);
  for (size_t i = 0; i < set->tensors().size(); ++i) {
    const TensorInfo &info = set->tensors()[i];
    fmt::print("{}\t{}\t{}\t{}\n", i, info.name, torchName(info.dtype),
               shapeText(info.shape));
    MBC_TRY(writeWholeFile(fmt::format("{}/{}.bin", out, i), ""));
  }
  for (const DcpMetadata::Blob &blob : set->blobs())
    fmt::print("object\t{}\n", blob.name);
  return readAll(*set, [&](size_t index, std::span<const std::byte> bytes) {
    std::FILE *file =
        std::fopen(fmt::format("{}/{}.bin", out, index).c_str(), "ab");
    bool good =
        std::fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size();
    std::fclose(file);
    return good ? Status() : Status(systemError("cannot write"));
  });
}

void print(const PickleValue &value) {
  switch (value.kind) {
  case PickleKind::Dict:
    fmt::print("{{");
    for (size_t i = 0; i < value.items.size(); i += 2) {
      print(value.items[i]);
      fmt::print(": ");
      print(value.items[i + 1]);
      fmt::print(", ");
    }
    fmt::print("}}");
    return;
  case PickleKind::String:
    fmt::print("'{}'", value.text);
    return;
  case PickleKind::Bool:
    fmt::print("{}", value.integer ? "True" : "False");
    return;
  case PickleKind::Int:
    fmt::print("{}", value.integer);
    return;
  case PickleKind::Double:
    fmt::print("{}", value.real);
    return;
  case PickleKind::None:
    fmt::print("None");
    return;
  default:
    fmt::print("<{}>", int(value.kind));
  }
}

Status metadata(size_t count, const std::string &out) {
  DcpMetadata metadata;
  metadata.files = {"__0_0.distcp"};
  int64_t sizes[] = {1, 4096, 4096}, offsets[] = {0, 0, 0};
  for (size_t i = 0; i < count; ++i) {
    metadata.addTensor({fmt::format("decoder.layers.{}.mlp.experts.experts."
                                    "linear_fc{}.weight",
                                    i / 2, i % 2 + 1),
                        DType::BF16,
                        {1, 4096, 4096}});
    metadata.addChunk(offsets, sizes, {0, i << 25, 1 << 25});
  }
  auto start = Clock::now();
  std::string bytes = metadata.encode();
  report("encode", start, bytes.size());
  return writeWholeFile(out, bytes);
}

Status parse(const std::string &path) {
  auto start = Clock::now();
  MBC_ASSIGN(std::string bytes, readWholeFile(path));
  uint64_t size = bytes.size();
  MBC_ASSIGN(DcpMetadata metadata, DcpMetadata::parse(std::move(bytes), path));
  report("parse", start, size);
  fmt::print("{} tensors, {} bytes\n", metadata.tensors.size(), size);
  return {};
}

Status run(const std::vector<std::string> &args) {
  auto is = [&](const char *name, size_t count) {
    return args.size() == count + 1 && args[0] == name;
  };
  if (is("dump", 2))
    return dump(args[1], args[2]);
  if (is("copy", 4)) {
    MBC_ASSIGN(auto set, TorchDistCheckpoint::open(args[1]));
    MBC_ASSIGN(PickleValue common, set->readCommon());
    if (common.kind != PickleKind::Dict)
      common = PickleValue::dict({});
    return write(*set, args[2], args[3], uint32_t(std::stoul(args[4])),
                 std::move(common));
  }
  if (is("import", 4)) {
    MBC_ASSIGN(auto set, HfFolder::open(args[1]));
    return write(*set, args[2], args[3], uint32_t(std::stoul(args[4])),
                 PickleValue::dict({}));
  }
  if (is("read", 1)) {
    auto start = Clock::now();
    MBC_ASSIGN(auto set, TorchDistCheckpoint::open(args[1]));
    report("open", start, 0);
    start = Clock::now();
    MBC_TRY(readAll(
        *set, [](size_t, std::span<const std::byte>) { return Status(); }));
    report("read", start, set->totalBytes());
    return {};
  }
  if (is("verify", 1)) {
    MBC_ASSIGN(auto set, TorchDistCheckpoint::open(args[1]));
    auto start = Clock::now();
    MBC_ASSIGN(size_t without, set->verifyCrc());
    report("verify", start, set->totalBytes());
    fmt::print("{} records without checksum\n", without);
    return {};
  }
  if (is("common", 1)) {
    MBC_ASSIGN(auto set, TorchDistCheckpoint::open(args[1]));
    MBC_ASSIGN(PickleValue common, set->readCommon());
    print(common);
    fmt::print("\n");
    return {};
  }
  if (is("metadata", 2))
    return metadata(std::stoul(args[1]), args[2]);
  if (is("parse", 1))
    return parse(args[1]);
  if (is("trainstate", 2)) {
    TrainState state;
    state.step = std::stoll(args[2]);
    return writeWholeFile(args[1], encodeTrainState(state));
  }
  return inputError("usage: see the head of dcp_tool.cpp");
}

} // namespace

int main(int argc, char **argv) {
  Status status = run({argv + 1, argv + argc});
  if (status)
    return 0;
  fmt::print(stderr, "error: {}\n", status.error().message);
  return status.error().kind == ErrorKind::System ? 3 : 2;
}
