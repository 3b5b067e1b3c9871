//===- WeightStream.h - Weights, piece by piece -----------------*- C++ -*-===//
#pragma once

#include "mbc/Api.h"
#include "mbc/Error.h"
#include "mbc/TensorInfo.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace mbc {

/// A run of consecutive elements of one tensor, in row-major order. Everything
/// that it points to is valid until the next call of the stream.
struct WeightChunk {
  std::string_view name;
  DType dtype;
  std::span<const int64_t> shape;   ///< of the whole tensor, outermost first
  int64_t begin;                    ///< first element; 0: a tensor starts here
  int64_t count;                    ///< elements
  std::span<const std::byte> bytes; ///< little-endian, `count` elements
  bool last;                        ///< the tensor ends here
};

/// The weights of a checkpoint in one of its two namings, converted while they
/// are read. Holds one chunk in memory, whatever the size of the tensors; keeps
/// the checkpoint open, also after its AutoBridge is gone.
///
///   while (true) {
///     auto chunk = stream.next();
///     if (!chunk)
///       return fail(chunk.error().message);
///     if (!*chunk)
///       break; // all were read
///     use((*chunk)->name, (*chunk)->bytes);
///   }
///
/// A stream belongs to one thread; several streams may run at once.
class MBC_API WeightStream {
public:
  /// Every tensor of the stream, in its order. No weights are read for it.
  const std::vector<TensorInfo> &weights() const noexcept;

  /// The next chunk; none after the last one. A tensor comes in one piece or in
  /// several, without gaps; one of no elements as an empty chunk. After an
  /// error the stream is at an undefined place.
  Expected<std::optional<WeightChunk>> next() noexcept;

  /// Reads elements [begin, begin + count) of weights()[weight] into `bytes`,
  /// which has exactly their size. Does not move the stream.
  Status read(size_t weight, int64_t begin, int64_t count,
              std::span<std::byte> bytes) noexcept;

  WeightStream(WeightStream &&) noexcept;
  WeightStream &operator=(WeightStream &&) noexcept;
  ~WeightStream();

private:
  friend class AutoBridge;
  struct Impl;
  explicit WeightStream(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl;
};

} // namespace mbc
