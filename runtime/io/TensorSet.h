//===- TensorSet.h - Named tensors that can be read piecewise ---*- C++ -*-===//
//
// Everything that holds weights is a TensorSet: a Hugging Face folder, a
// Megatron checkpoint, and a view of either through a copy plan. Conversion is
// then "write this set in that format" and verification "compare two sets";
// both work in blocks, so memory never depends on the size of a tensor.
//
//===----------------------------------------------------------------------===//
#pragma once

#include "mbc/TensorInfo.h"
#include "runtime/core/DType.h"
#include "runtime/core/Error.h"
#include "runtime/core/File.h"
#include "runtime/core/SharedVector.h"
#include "runtime/io/BlockScale.h"

#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace mbc {

/// "[2, 3]", for messages.
std::string shapeText(std::span<const int64_t> shape);

/// A run of elements that lies contiguously in one file.
struct Extent {
  uint32_t file;   ///< index into TensorSet::files()
  uint64_t offset; ///< byte offset in that file
  int64_t count;   ///< elements
  int64_t dest;    ///< element position in the destination buffer
  DType dtype;     ///< type in the file; converted when the buffer's differs
  /// Index into TensorSet::scales(): FP8 in the file is multiplied on the way
  /// into a buffer of floats, floats are divided on the way into one of FP8.
  int32_t scale = -1;
  /// With a scale: position of the first element in the scaled tensor.
  int64_t element = 0;
};

/// Read-only, thread-safe after construction.
class TensorSet {
public:
  virtual ~TensorSet() = default;

  const std::vector<TensorInfo> &tensors() const { return infos; }
  /// Index of a tensor by name, or -1.
  int64_t find(std::string_view name) const;
  /// The files that extents refer to, by absolute or given path.
  const std::vector<std::string> &files() const { return paths.get(); }
  /// The block scales that extents refer to.
  const std::vector<BlockScale> &scales() const { return scaleList.get(); }

  /// Appends where elements [begin, begin + count) of row-major tensor `index`
  /// lie; the k-th of them goes to `dest + k`. Elements in no extent are zero.
  virtual void locate(size_t index, int64_t begin, int64_t count, int64_t dest,
                      std::vector<Extent> &out) const = 0;

protected:
  /// Derived constructors fill these; call `indexNames` when done.
  void indexNames();
  /// Extents refer to the files and the scales of `set`, as its own do.
  void sharePlaces(const TensorSet &set) {
    paths = set.paths;
    scaleList = set.scaleList;
  }
  std::vector<TensorInfo> infos;
  SharedVector<std::string> paths;
  SharedVector<BlockScale> scaleList;

private:
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view s) const {
      return std::hash<std::string_view>{}(s);
    }
  };
  std::unordered_map<std::string, size_t, Hash, std::equal_to<>> byName;
};

/// Reads extents of one TensorSet into buffers: keeps files open, sorts and
/// merges neighbours into large preads, converts dtypes, applies block scales.
/// One reader a thread; it holds at most `stagingBytes` of memory, as much
/// again of scales (or those of one tensor), and `maxOpenFiles` files.
class ExtentReader {
public:
  static constexpr size_t stagingBytes = 2u << 20;
  static constexpr size_t maxOpenFiles = 32;

  explicit ExtentReader(const TensorSet &set);
  ~ExtentReader();

  /// Fills `buffer` (elements of `dtype`): zero where no extent says otherwise.
  /// `extents` is reordered and may shrink; no two may share a destination.
  /// Errors name the file and the offset.
  Status gather(std::vector<Extent> &extents, DType dtype,
                std::span<std::byte> buffer);
  /// `locate` + `gather` of elements [begin, begin + count) of one tensor, in
  /// the tensor's own dtype.
  Status read(size_t index, int64_t begin, int64_t count,
              std::span<std::byte> buffer);
  /// The scales of `set.scales()[scale]` as floats, row by row of the grids;
  /// valid until the next call of any kind. An Input error names one that is
  /// no finite number.
  Expected<const float *> scaleGrid(size_t scale);

private:
  Expected<const File *> open(uint32_t file);
  Status convert(const Extent &extent, int64_t first, int64_t count,
                 const std::byte *from, DType dtype,
                 std::span<std::byte> buffer);
  Status readDirect(const File &file, const Extent &extent,
                    std::span<std::byte> buffer);
  Status readConverted(const File &file, const Extent &extent, DType dtype,
                       std::span<std::byte> buffer);
  Status readMerged(const File &file, std::span<const Extent> extents,
                    uint64_t end, DType dtype, std::span<std::byte> buffer);

  const TensorSet &set;
  std::unordered_map<uint32_t, File> opened;
  /// Keys of `opened`, the one opened first in front.
  std::deque<uint32_t> openOrder;
  std::vector<std::byte> staging;
  std::vector<Extent> scratch;
  std::unordered_map<size_t, std::vector<float>> grids;
  size_t gridBytes = 0;
};

} // namespace mbc
