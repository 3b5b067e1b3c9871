//===- ExtentReader.cpp - Many small pieces in few large reads ------------===//

#include "runtime/core/Fp8.h"
#include "runtime/io/TensorSet.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fmt/format.h>

namespace mbc {

/// An extent of at least this size is read straight into its place: the system
/// call is small beside it, and the copy out of the staging buffer is saved.
static constexpr uint64_t directBytes = 256u << 10;

/// A gap up to a page is read along whatever the share of useful bytes: the
/// device reads the page in any case, and the copy costs less than a call.
static constexpr uint64_t freeGapBytes = 4096;

ExtentReader::ExtentReader(const TensorSet &set) : set(set) {}
ExtentReader::~ExtentReader() = default;

static uint64_t endOf(const Extent &extent) {
  return extent.offset + bytesOf(extent.dtype, extent.count);
}

/// Fuses extents that continue each other both in the file and in the buffer.
static void coalesce(std::vector<Extent> &extents) {
  size_t kept = 0;
  for (size_t i = 1; i < extents.size(); ++i) {
    Extent &last = extents[kept];
    const Extent &next = extents[i];
    if (next.file == last.file && next.dtype == last.dtype &&
        next.offset == endOf(last) && next.dest == last.dest + last.count &&
        next.scale == last.scale &&
        (last.scale < 0 || next.element == last.element + last.count))
      last.count += next.count;
    else
      extents[++kept] = next;
  }
  if (!extents.empty())
    extents.resize(kept + 1);
}

Expected<const File *> ExtentReader::open(uint32_t file) {
  if (auto it = opened.find(file); it != opened.end())
    return &it->second;
  // Many readers over hundreds of shards must stay below the usual limit of
  // 1024 open files.
  if (opened.size() == maxOpenFiles) {
    opened.erase(openOrder.front());
    openOrder.pop_front();
  }
  MBC_ASSIGN(File handle, File::openRead(set.files()[file]));
  openOrder.push_back(file);
  return &opened.emplace(file, std::move(handle)).first->second;
}

Status ExtentReader::readDirect(const File &file, const Extent &extent,
                                std::span<std::byte> buffer) {
  return file.readAt(extent.offset,
                     buffer.subspan(bytesOf(extent.dtype, extent.dest),
                                    bytesOf(extent.dtype, extent.count)));
}

/// F8E8M0 is the exponent of a power of two, and nothing else.
static float powerOfTwo(uint8_t byte) {
  return byte == 0xff ? std::nanf("") : std::ldexp(1.0f, byte - 127);
}

Expected<const float *> ExtentReader::scaleGrid(size_t scale) {
  if (auto it = grids.find(scale); it != grids.end())
    return it->second.data();
  const BlockScale &info = set.scales()[scale];
  auto count = static_cast<size_t>(info.count());
  MBC_ASSIGN(const File *file, open(info.file));
  std::vector<std::byte> stored(bytesOf(info.dtype, info.count()));
  MBC_TRY(file->readAt(info.offset, stored));
  std::vector<float> grid(count);
  if (info.dtype == DType::F8E8M0)
    for (size_t i = 0; i < count; ++i)
      grid[i] = powerOfTwo(static_cast<uint8_t>(stored[i]));
  else
    convertElements(info.dtype, stored.data(), DType::F32, grid.data(),
                    info.count());
  for (size_t i = 0; i < count; ++i)
    if (!std::isfinite(grid[i]))
      return inputError(fmt::format(
          "{}: block scale '{}' holds {} for block [{}, {}], at byte {}; "
          "expected a finite number",
          set.files()[info.file], info.name, grid[i],
          i / info.gridCols() % info.gridRows(), i % info.gridCols(),
          info.offset + i * bytesOf(info.dtype, 1)));
  if (gridBytes + count * sizeof(float) > stagingBytes) {
    grids.clear();
    gridBytes = 0;
  }
  gridBytes += count * sizeof(float);
  return grids.emplace(scale, std::move(grid)).first->second.data();
}

/// Elements [first, first + count) of an extent, which lie at `from`.
Status ExtentReader::convert(const Extent &extent, int64_t first, int64_t count,
                             const std::byte *from, DType dtype,
                             std::span<std::byte> buffer) {
  std::byte *to = buffer.data() + bytesOf(dtype, extent.dest + first);
  if (extent.scale < 0) {
    convertElements(extent.dtype, from, dtype, to, count);
    return {};
  }
  MBC_ASSIGN(const float *grid, scaleGrid(extent.scale));
  const BlockScale &scale = set.scales()[extent.scale];
  bool dequantize = extent.dtype == DType::F8E4M3;
  int64_t lost = 0;
  scale.forEachRun(extent.element + first, count,
                   [&](int64_t block, int64_t at, int64_t length) {
                     const std::byte *in = from + bytesOf(extent.dtype, at);
                     std::byte *out = to + bytesOf(dtype, at);
                     if (dequantize)
                       dequantizeFp8(reinterpret_cast<const uint8_t *>(in),
                                     grid[block], dtype, out, length);
                     else
                       lost += quantizeFp8(extent.dtype, in, grid[block],
                                           reinterpret_cast<uint8_t *>(out),
                                           length);
                   });
  if (lost && scale.lost)
    scale.lost->fetch_add(lost, std::memory_order_relaxed);
  return {};
}

/// One extent of any size, through the staging buffer.
Status ExtentReader::readConverted(const File &file, const Extent &extent,
                                   DType dtype, std::span<std::byte> buffer) {
  staging.resize(stagingBytes);
  auto step = static_cast<int64_t>(stagingBytes / bytesOf(extent.dtype, 1));
  for (int64_t i = 0; i < extent.count; i += step) {
    int64_t count = std::min(step, extent.count - i);
    MBC_TRY(
        file.readAt(extent.offset + bytesOf(extent.dtype, i),
                    std::span(staging).first(bytesOf(extent.dtype, count))));
    MBC_TRY(convert(extent, i, count, staging.data(), dtype, buffer));
  }
  return {};
}

/// Extents that lie in [first offset, end) of the file, by one read.
Status ExtentReader::readMerged(const File &file,
                                std::span<const Extent> extents, uint64_t end,
                                DType dtype, std::span<std::byte> buffer) {
  uint64_t begin = extents.front().offset;
  staging.resize(stagingBytes);
  MBC_TRY(file.readAt(begin, std::span(staging).first(end - begin)));
  for (const Extent &extent : extents) {
    const std::byte *from = staging.data() + (extent.offset - begin);
    MBC_TRY(convert(extent, 0, extent.count, from, dtype, buffer));
  }
  return {};
}

/// A wrong extent must not become a wild write, so they are checked even
/// though they come from code and not from files.
static Status checkExtents(std::span<const Extent> extents, DType dtype,
                           const TensorSet &set, int64_t elements) {
  for (const Extent &e : extents) {
    bool convertible = e.dtype == dtype || smallestCommonFloat(e.dtype, dtype);
    if (e.scale >= 0) {
      bool fromFp8 = e.dtype == DType::F8E4M3, toFp8 = dtype == DType::F8E4M3;
      DType other = fromFp8 ? dtype : e.dtype;
      convertible = fromFp8 != toFp8 && smallestCommonFloat(other, other) &&
                    e.element >= 0 &&
                    static_cast<size_t>(e.scale) < set.scales().size();
    }
    if (e.file >= set.files().size() || e.count < 0 || e.dest < 0 ||
        e.dest > elements || e.count > elements - e.dest || !convertible)
      return systemError(fmt::format(
          "internal error: extent of {} {} elements at element {} does not fit "
          "a buffer of {} {} elements",
          e.count, safetensorsName(e.dtype), e.dest, elements,
          safetensorsName(dtype)));
  }
  return {};
}

Status ExtentReader::gather(std::vector<Extent> &extents, DType dtype,
                            std::span<std::byte> buffer) {
  auto elements = static_cast<int64_t>(buffer.size() * 8 / bitsOf(dtype));
  MBC_TRY(checkExtents(extents, dtype, set, elements));
  std::erase_if(extents, [](const Extent &e) { return e.count == 0; });
  auto before = [](const Extent &a, const Extent &b) {
    return a.file != b.file ? a.file < b.file : a.offset < b.offset;
  };
  if (!std::ranges::is_sorted(extents, before))
    std::ranges::sort(extents, before);
  coalesce(extents);

  int64_t covered = 0;
  for (const Extent &extent : extents)
    covered += extent.count;
  if (covered < elements)
    std::memset(buffer.data(), 0, buffer.size());

  for (size_t i = 0; i < extents.size();) {
    const Extent &first = extents[i];
    MBC_ASSIGN(const File *file, open(first.file));
    uint64_t bytes = bytesOf(first.dtype, first.count);
    if (first.dtype == dtype && bytes >= directBytes) {
      MBC_TRY(readDirect(*file, first, buffer));
      ++i;
      continue;
    }
    // The longest run of neighbours that is worth one read.
    uint64_t end = endOf(first), useful = bytes;
    size_t last = i + 1;
    for (; last < extents.size(); ++last) {
      const Extent &next = extents[last];
      uint64_t nextBytes = bytesOf(next.dtype, next.count);
      uint64_t nextEnd = std::max(end, endOf(next));
      bool near = next.offset <= end + freeGapBytes ||
                  (useful + nextBytes) * 2 >= nextEnd - first.offset;
      if (next.file != first.file || nextEnd - first.offset > stagingBytes ||
          (next.dtype == dtype && nextBytes >= directBytes) || !near)
        break;
      end = nextEnd;
      useful += nextBytes;
    }
    if (last > i + 1)
      MBC_TRY(readMerged(*file, std::span(extents).subspan(i, last - i), end,
                         dtype, buffer));
    else if (first.dtype == dtype)
      MBC_TRY(readDirect(*file, first, buffer));
    else
      MBC_TRY(readConverted(*file, first, dtype, buffer));
    i = last;
  }
  return {};
}

Status ExtentReader::read(size_t index, int64_t begin, int64_t count,
                          std::span<std::byte> buffer) {
  DType dtype = set.tensors()[index].dtype;
  // A transposed tensor has an extent for each element: so many at a time.
  constexpr int64_t most = 1 << 18;
  int64_t step = count;
  if (count > most) {
    scratch.clear();
    set.locate(index, begin, most, 0, scratch);
    if (scratch.size() > most / 64)
      step = most;
  }
  for (int64_t done = 0; done < count; done += step) {
    int64_t part = std::min(step, count - done);
    scratch.clear();
    set.locate(index, begin + done, part, 0, scratch);
    MBC_TRY(gather(scratch, dtype,
                   buffer.subspan(bytesOf(dtype, done), bytesOf(dtype, part))));
  }
  return {};
}

} // namespace mbc
