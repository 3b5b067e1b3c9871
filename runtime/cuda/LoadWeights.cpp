//===- LoadWeights.cpp - From files to a GPU ------------------------------===//

#include "runtime/core/File.h"
#include "runtime/core/Parallel.h"
#include "runtime/cuda/Session.h"

#include <algorithm>
#include <map>
#include <mutex>

namespace mbc::cuda {

namespace {

/// What is read at a time, into pinned memory, of which each worker has two
/// pieces. Pinning is slow, and one after another: more workers than copy what
/// a GPU takes only wait for it.
constexpr uint64_t pieceBytes = 2 << 20;
constexpr unsigned mostWorkers = 8;
/// Weights that are converted on the way are made on the host first, as many
/// as this at a time.
constexpr uint64_t convertedBytes = 256 << 20;

struct Piece {
  uint32_t file;
  uint64_t offset, bytes;
  std::byte *to;
};

/// A worker's stream, and two buffers: one is read into while the other's
/// bytes leave.
class Lane {
public:
  Status open(const Device &device) {
    api = &device.api();
    MBC_TRY(checked(api->cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING),
                    "making a stream"));
    for (int i = 0; i < 2; ++i) {
      MBC_ASSIGN(buffers[i], device.allocatePinned(pieceBytes));
      MBC_TRY(checked(api->cuEventCreate(&left[i], CU_EVENT_DISABLE_TIMING),
                      "making an event"));
    }
    return {};
  }
  ~Lane() {
    if (!api)
      return;
    if (stream) {
      api->cuStreamSynchronize(stream);
      api->cuStreamDestroy(stream);
    }
    for (CUevent event : left)
      if (event)
        api->cuEventDestroy(event);
  }
  Lane() = default;
  Lane(const Lane &) = delete;

  Status copy(const File &file, const Piece &piece) {
    int at = next;
    next = 1 - next;
    MBC_TRY(checked(api->cuEventSynchronize(left[at]), "copying weights"));
    MBC_TRY(file.readAt(piece.offset, {buffers[at].data(), piece.bytes}));
    MBC_TRY(
        checked(api->cuMemcpyHtoDAsync(reinterpret_cast<CUdeviceptr>(piece.to),
                                       buffers[at].data(), piece.bytes, stream),
                "copying weights"));
    return checked(api->cuEventRecord(left[at], stream), "copying weights");
  }
  Status finish() {
    return api ? checked(api->cuStreamSynchronize(stream), "copying weights")
               : Status{};
  }

private:
  const Driver *api = nullptr;
  CUstream stream = nullptr;
  Memory buffers[2];
  CUevent left[2] = {};
  int next = 0;
};

} // namespace

Status Session::load(const WeightSource &source, Progress &progress) {
  std::vector<Piece> pieces;
  struct Instance {
    size_t weight, instance;
  };
  std::vector<Instance> converted;
  std::map<uint32_t, File> files;
  for (size_t weight = 0; weight < program.weights.size(); ++weight) {
    const program::WeightT &of = *program.weights[weight];
    uint64_t rowBytes = bytesOf(of) / (uint64_t(of.batch) * of.rows);
    for (size_t i = 0; i < instancesOf(of); ++i) {
      std::vector<StoredRows> stored = source.stored(weight, i);
      if (of.dtype == plan::DType::F8E4M3) {
        MBC_ASSIGN(ScaledRows rows, source.scalesOf(weight, stored));
        MBC_TRY(setScales(weight, i, rows));
      } else if (stored.empty()) {
        converted.push_back({weight, i});
      }
      for (const StoredRows &rows : stored) {
        if (!files.contains(rows.file)) {
          MBC_ASSIGN(File file, File::openRead(source.path(rows.file)));
          files.emplace(rows.file, std::move(file));
        }
        std::byte *to = weightAt(weight, i) + rows.first * rowBytes;
        uint64_t bytes = rows.count * rowBytes;
        for (uint64_t at = 0; at < bytes; at += pieceBytes)
          pieces.push_back({rows.file, rows.offset + at,
                            std::min(pieceBytes, bytes - at), to + at});
      }
    }
  }

  unsigned threads = std::clamp(options.threads, 1u, mostWorkers);
  std::vector<Lane> lanes(threads);
  std::vector<char> open(threads);
  MBC_TRY(parallelFor(
      threads, pieces.size(), [&](size_t index, unsigned worker) -> Status {
        if (!open[worker]) {
          MBC_TRY(gpu->enter());
          MBC_TRY(lanes[worker].open(*gpu));
          open[worker] = 1;
        }
        const Piece &piece = pieces[index];
        MBC_TRY(lanes[worker].copy(files.at(piece.file), piece));
        progress.advance(piece.bytes);
        return {};
      }));
  for (Lane &lane : lanes)
    MBC_TRY(lane.finish());

  for (size_t first = 0; first < converted.size();) {
    uint64_t bytes = 0;
    size_t last = first;
    std::map<std::pair<size_t, size_t>, uint64_t> offsets;
    while (last < converted.size() &&
           (last == first || bytes < convertedBytes)) {
      const Instance &of = converted[last++];
      offsets[{of.weight, of.instance}] = bytes;
      bytes += layout.instanceBytes[of.weight];
    }
    std::vector<std::byte> made(bytes);
    MBC_TRY(source.load(
        [&](size_t weight, size_t instance) -> std::byte * {
          auto found = offsets.find({weight, instance});
          return found == offsets.end() ? nullptr : made.data() + found->second;
        },
        threads, progress));
    for (; first < last; ++first) {
      const Instance &of = converted[first];
      MBC_TRY(setWeight(of.weight, of.instance,
                        made.data() + offsets[{of.weight, of.instance}]));
    }
  }
  return {};
}

} // namespace mbc::cuda
