//===- Digest.cpp ---------------------------------------------------------===//
#include "runtime/io/Digest.h"

#include "runtime/core/File.h"
#include "runtime/core/Parallel.h"

#include <algorithm>
#include <fmt/format.h>
#include <memory>
#include <numeric>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace mbc {

namespace {

constexpr uint64_t kBlockBytes = 4u << 20;

/// An XXH3 state; it must be aligned, so it is made by the library.
class Hasher {
public:
  Hasher() { XXH3_128bits_reset(&state); }
  void add(std::span<const std::byte> bytes) {
    XXH3_128bits_update(&state, bytes.data(), bytes.size());
  }
  DigestText finish() const {
    XXH128_hash_t hash = XXH3_128bits_digest(&state);
    return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
  }

private:
  XXH3_state_t state;
};

} // namespace

Expected<std::vector<DigestText>>
digestTensors(const TensorSet &set, unsigned threads, Progress &progress) {
  const std::vector<TensorInfo> &tensors = set.tensors();
  threads = threads ? threads : defaultThreads();
  uint64_t total = 0;
  for (const TensorInfo &info : tensors)
    total += info.bytes();
  progress.setTotal(total);

  std::vector<DigestText> digests(tensors.size());
  std::vector<std::unique_ptr<ExtentReader>> readers(threads);
  std::vector<std::vector<std::byte>> buffers(threads);
  MBC_TRY(parallelFor(
      threads, tensors.size(), [&](size_t index, unsigned worker) -> Status {
        if (!readers[worker])
          readers[worker] = std::make_unique<ExtentReader>(set);
        const TensorInfo &info = tensors[index];
        int64_t block =
            static_cast<int64_t>(kBlockBytes * 8 / bitsOf(info.dtype));
        std::vector<std::byte> &buffer = buffers[worker];
        Hasher hasher;
        for (int64_t at = 0; at < info.elements(); at += block) {
          int64_t count = std::min(block, info.elements() - at);
          buffer.resize(bytesOf(info.dtype, count));
          MBC_TRY(readers[worker]->read(index, at, count, buffer));
          hasher.add(buffer);
          progress.advance(buffer.size());
        }
        digests[index] = hasher.finish();
        return {};
      }));
  return digests;
}

DigestText digestText(std::string_view text) {
  Hasher hasher;
  hasher.add(std::as_bytes(std::span(text.data(), text.size())));
  return hasher.finish();
}

Expected<DigestText> digestFile(const std::filesystem::path &path) {
  MBC_ASSIGN(File file, File::openRead(path));
  std::vector<std::byte> buffer(
      std::min<uint64_t>(kBlockBytes, std::max<uint64_t>(file.size(), 1)));
  Hasher hasher;
  for (uint64_t at = 0; at < file.size(); at += buffer.size()) {
    std::span<std::byte> block(
        buffer.data(), std::min<uint64_t>(buffer.size(), file.size() - at));
    MBC_TRY(file.readAt(at, block));
    hasher.add(block);
  }
  return hasher.finish();
}

} // namespace mbc
