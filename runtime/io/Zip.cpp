//===- Zip.cpp - Stored zip archives inside files -------------------------===//
#include "runtime/io/Zip.h"

#include "runtime/core/Text.h"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>
#include <libdeflate.h>
#include <zlib.h>

using namespace mbc;

namespace {

constexpr uint32_t localMagic = 0x04034b50, centralMagic = 0x02014b50,
                   descriptorMagic = 0x08074b50, endMagic = 0x06054b50,
                   end64Magic = 0x06064b50, locatorMagic = 0x07064b50;
constexpr uint64_t localSize = 30, centralSize = 46, endSize = 22,
                   end64Size = 56, locatorSize = 20;
constexpr uint64_t max16 = 0xffff, max32 = 0xffffffff;

/// Sizes in a descriptor; names in UTF-8: the flags that torch sets.
// Encrypted, patched data, strong encryption, masked headers.
constexpr uint16_t flagEncrypted = 0x2061, flagDescriptor = 8, flagUtf8 = 0x800;

uint64_t little(std::string_view bytes, uint64_t at, unsigned width) {
  uint64_t value = 0;
  for (unsigned i = 0; i < width; ++i)
    value |= uint64_t(uint8_t(bytes[at + i])) << 8 * i;
  return value;
}

void put(std::string &out, uint64_t value, unsigned width) {
  for (unsigned i = 0; i < width; ++i)
    out.push_back(char(value >> 8 * i));
}

} // namespace

uint32_t mbc::crc32Of(std::span<const std::byte> bytes, uint32_t crc) {
  return libdeflate_crc32(crc, bytes.data(), bytes.size());
}

uint32_t mbc::crc32Combine(uint32_t a, uint32_t b, uint64_t lengthOfB) {
  return uint32_t(crc32_combine(a, b, z_off_t(lengthOfB)));
}

//===----------------------------------------------------------------------===//
// Reading
//===----------------------------------------------------------------------===//

Failure ZipArchive::bad(std::string text) const {
  return inputError(fmt::format("{}: zip archive at byte {} ({} bytes): {}",
                                file->path(), base, length, text));
}

Expected<std::string_view> ZipArchive::bytes(uint64_t at,
                                             uint64_t count) const {
  if (at > length || count > length - at)
    return bad(fmt::format("{} bytes at {} lie outside", count, at));
  if (at + count <= head.size())
    return std::string_view(head).substr(at, count);
  if (at >= tailAt)
    return std::string_view(tail).substr(at - tailAt, count);
  scratch.resize(count);
  MBC_TRY(file->readAt(base + at,
                       std::as_writable_bytes(std::span<char>(scratch))));
  return std::string_view(scratch);
}

Expected<ZipArchive> ZipArchive::open(const File &file, uint64_t offset,
                                      uint64_t length) {
  ZipArchive archive(file, offset, length);
  MBC_TRY(archive.parse());
  return archive;
}

Status ZipArchive::parse() {
  if (base > file->size() || length > file->size() - base)
    return bad(fmt::format("the file ends at byte {}", file->size()));
  if (length < endSize)
    return bad("too short");

  // All that torch writes around one tensor is within these two windows.
  constexpr uint64_t whole = 4096, headBytes = 1024, tailBytes = 2048;
  auto load = [&](std::string &window, uint64_t at, uint64_t count) -> Status {
    window.resize(count);
    return file->readAt(base + at,
                        std::as_writable_bytes(std::span<char>(window)));
  };
  if (length <= whole) {
    MBC_TRY(load(head, 0, length));
    tailAt = length;
  } else {
    MBC_TRY(load(head, 0, headBytes));
    tailAt = length - tailBytes;
    MBC_TRY(load(tail, tailAt, tailBytes));
  }
  if (little(head, 0, 4) != localMagic)
    return bad("does not begin with a local header (PK\\x03\\x04)");

  // The end record is the last thing, unless a comment follows it.
  uint64_t end = length - endSize;
  for (uint64_t limit = end > max16 ? end - max16 : 0;; --end) {
    MBC_ASSIGN(std::string_view record, bytes(end, endSize));
    if (little(record, 0, 4) == endMagic &&
        little(record, 20, 2) == length - end - endSize)
      break;
    if (end == limit)
      return bad("no end-of-directory record: truncated or not an archive");
    if (end == tailAt && tailAt > limit) {
      // Look for it in the largest comment that there can be, read at once.
      tailAt = limit;
      MBC_TRY(load(tail, tailAt, length - tailAt));
    }
  }
  MBC_ASSIGN(std::string_view record, bytes(end, endSize));
  uint64_t disks = little(record, 4, 2) | little(record, 6, 2);
  uint64_t countHere = little(record, 8, 2), count = little(record, 10, 2);
  uint64_t size = little(record, 12, 4), directory = little(record, 16, 4);
  bool saturated = count == max16 || size == max32 || directory == max32;
  uint64_t limit = end;
  bool hasLocator = false;
  if (end >= locatorSize) {
    MBC_ASSIGN(record, bytes(end - locatorSize, locatorSize));
    hasLocator = little(record, 0, 4) == locatorMagic;
  }
  if (hasLocator) {
    uint64_t end64 = little(record, 8, 8);
    if (little(record, 4, 4) != 0 || little(record, 16, 4) > 1)
      return bad("an archive of several parts");
    if (end - locatorSize < end64Size || end64 > end - locatorSize - end64Size)
      return bad(fmt::format("zip64 end record at {} lies outside", end64));
    MBC_ASSIGN(record, bytes(end64, end64Size));
    if (little(record, 0, 4) != end64Magic)
      return bad(fmt::format("no zip64 end record at {}", end64));
    uint64_t disks64 = little(record, 16, 4) | little(record, 20, 4);
    uint64_t count64 = little(record, 32, 8), size64 = little(record, 40, 8),
             directory64 = little(record, 48, 8);
    if ((count != max16 && count != count64) ||
        (size != max32 && size != size64) ||
        (directory != max32 && directory != directory64))
      return bad("the two end-of-directory records disagree");
    if (countHere != max16)
      countHere = count64;
    if (little(record, 24, 8) != count64 || disks64 != 0)
      return bad("an archive of several parts");
    count = count64, size = size64, directory = directory64;
    limit = end64;
  } else if (saturated) {
    return bad("the zip64 locator is missing");
  } else if (disks != 0 || countHere != count) {
    return bad("an archive of several parts");
  }
  if (directory > limit || size > limit - directory)
    return bad(fmt::format("directory of {} bytes at {} lies outside", size,
                           directory));
  return parseDirectory(directory, size, count);
}

Status ZipArchive::parseDirectory(uint64_t directory, uint64_t size,
                                  uint64_t count) {
  if (size > 256u << 20)
    return bad(
        fmt::format("directory of {} bytes, the limit is 256 MiB", size));
  if (count > size / centralSize)
    return bad(
        fmt::format("{} entries in a directory of {} bytes", count, size));
  // A copy: local headers are read while it is walked.
  MBC_ASSIGN(std::string_view view, bytes(directory, size));
  std::string table(view);
  std::vector<std::pair<uint64_t, size_t>> order; // header offset, entry
  uint64_t at = 0;
  for (uint64_t i = 0; i < count; ++i) {
    if (size - at < centralSize || little(table, at, 4) != centralMagic)
      return bad(fmt::format("no directory entry at {}", directory + at));
    uint64_t flags = little(table, at + 8, 2),
             method = little(table, at + 10, 2);
    uint64_t packed = little(table, at + 20, 4),
             unpacked = little(table, at + 24, 4),
             header = little(table, at + 42, 4);
    uint64_t nameSize = little(table, at + 28, 2),
             extraSize = little(table, at + 30, 2),
             commentSize = little(table, at + 32, 2);
    if (nameSize + extraSize + commentSize > size - at - centralSize)
      return bad(
          fmt::format("directory entry at {} is cut off", directory + at));
    Entry entry;
    entry.name = table.substr(at + centralSize, nameSize);
    entry.crc = uint32_t(little(table, at + 16, 4));
    if (flags & flagEncrypted)
      return bad(fmt::format("entry {} is encrypted", quote(entry.name)));
    if (method != 0)
      return bad(fmt::format("entry {} is compressed (method {}), expected "
                             "a stored one",
                             quote(entry.name), method));

    // The zip64 block has those fields that did not fit, in this order.
    uint64_t extra = at + centralSize + nameSize, extraEnd = extra + extraSize;
    while (extraEnd - extra >= 4) {
      uint64_t id = little(table, extra, 2),
               length = little(table, extra + 2, 2);
      extra += 4;
      if (length > extraEnd - extra)
        return bad(fmt::format("extra field of entry {} is cut off",
                               quote(entry.name)));
      if (id == 1) {
        uint64_t field = extra, fieldsEnd = extra + length;
        for (uint64_t *value : {&unpacked, &packed, &header}) {
          if (*value != max32)
            continue;
          if (fieldsEnd - field < 8)
            return bad(fmt::format("zip64 field of entry {} is cut off",
                                   quote(entry.name)));
          *value = little(table, field, 8);
          field += 8;
        }
      }
      extra += length;
    }
    if (packed != unpacked)
      return bad(fmt::format("entry {} is stored, yet has {} bytes packed "
                             "and {} unpacked",
                             quote(entry.name), packed, unpacked));
    entry.size = unpacked;
    MBC_TRY(checkLocalHeader(entry, header, directory));
    order.emplace_back(header, list.size());
    list.push_back(std::move(entry));
    at += centralSize + nameSize + extraSize + commentSize;
  }

  std::ranges::sort(order);
  for (size_t i = 1; i < order.size(); ++i) {
    const Entry &previous = list[order[i - 1].second];
    if (previous.offset - base + previous.size > order[i].first)
      return bad(fmt::format("entries {} and {} overlap", quote(previous.name),
                             quote(list[order[i].second].name)));
  }
  std::vector<std::string_view> names;
  for (const Entry &entry : list)
    names.push_back(entry.name);
  std::ranges::sort(names);
  if (auto it = std::ranges::adjacent_find(names); it != names.end())
    return bad(fmt::format("two entries are named {}", quote(*it)));
  return {};
}

Status ZipArchive::checkLocalHeader(Entry &entry, uint64_t header,
                                    uint64_t directory) {
  if (header > directory || directory - header < localSize + entry.name.size())
    return bad(fmt::format("local header of {} at {} lies outside",
                           quote(entry.name), header));
  MBC_ASSIGN(std::string_view local,
             bytes(header, localSize + entry.name.size()));
  if (little(local, 0, 4) != localMagic)
    return bad(
        fmt::format("no local header of {} at {}", quote(entry.name), header));
  uint64_t nameSize = little(local, 26, 2), extraSize = little(local, 28, 2);
  if (nameSize != entry.name.size() || local.substr(localSize) != entry.name)
    return bad(fmt::format("the local header at {} does not name {}", header,
                           quote(entry.name)));
  if (little(local, 8, 2) != 0)
    return bad(fmt::format("the local header of {} says it is compressed",
                           quote(entry.name)));
  uint64_t data = header + localSize + nameSize + extraSize;
  if (data > directory || entry.size > directory - data)
    return bad(fmt::format("entry {} of {} bytes at {} runs into the "
                           "directory at {}",
                           quote(entry.name), entry.size, data, directory));
  // With a descriptor the header has zeros, or all ones for zip64.
  bool later = little(local, 6, 2) & flagDescriptor;
  uint64_t size = little(local, 22, 4);
  if (size != max32 && size != entry.size && !(later && size == 0))
    return bad(fmt::format("entry {} has {} bytes by its local header, {} by "
                           "the directory",
                           quote(entry.name), size, entry.size));
  if (uint64_t crc = little(local, 14, 4); !later && crc != entry.crc)
    return bad(fmt::format("entry {} has CRC {:08x} by its local header, "
                           "{:08x} by the directory",
                           quote(entry.name), crc, entry.crc));
  entry.offset = base + data;
  return {};
}

const ZipArchive::Entry *ZipArchive::find(std::string_view name) const {
  auto it = std::ranges::find(list, name, &Entry::name);
  return it == list.end() ? nullptr : &*it;
}

Expected<std::string> ZipArchive::read(const Entry &entry,
                                       uint64_t limit) const {
  if (entry.size > limit)
    return bad(fmt::format("entry {} has {} bytes, the limit is {}",
                           quote(entry.name), entry.size, limit));
  MBC_ASSIGN(std::string_view view, bytes(entry.offset - base, entry.size));
  uint32_t crc = crc32Of(std::as_bytes(std::span(view.data(), view.size())));
  // Writers may skip the CRC (torch.serialization.set_crc32_options): zero.
  if (entry.crc != 0 && crc != entry.crc)
    return bad(fmt::format("entry {} has CRC {:08x}, expected {:08x}",
                           quote(entry.name), crc, entry.crc));
  return std::string(view);
}

Expected<bool> ZipArchive::verify(const Entry &entry) const {
  std::vector<std::byte> block(std::min<uint64_t>(entry.size, 4u << 20));
  uint32_t crc = 0;
  for (uint64_t at = 0; at < entry.size; at += block.size()) {
    std::span<std::byte> part(
        block.data(), std::min<uint64_t>(block.size(), entry.size - at));
    MBC_TRY(file->readAt(entry.offset + at, part));
    crc = crc32Of(part, crc);
  }
  if (entry.crc != 0 && crc != entry.crc)
    return bad(fmt::format("entry {} has CRC {:08x}, expected {:08x}",
                           quote(entry.name), crc, entry.crc));
  return crc == entry.crc;
}

//===----------------------------------------------------------------------===//
// Writing
//===----------------------------------------------------------------------===//

size_t ZipPlan::add(std::string name, uint64_t size) {
  uint64_t header = items.empty() ? 0 : endOfData();
  // Four bytes for the head of the padding field, which is always there.
  uint64_t data =
      header + localSize + name.size() + 4 + (size >= max32 ? 20 : 0);
  data = (data + 63) / 64 * 64;
  items.push_back({std::move(name), size, header, data});
  return items.size() - 1;
}

uint64_t ZipPlan::endOfData() const {
  const Item &last = items.back();
  uint64_t descriptor = last.size == 0 ? 0 : last.size >= max32 ? 24 : 16;
  return last.payload + last.size + descriptor;
}

uint64_t ZipPlan::totalSize() const {
  uint64_t total = items.empty() ? 0 : endOfData();
  for (const Item &item : items) {
    total += centralSize + item.name.size();
    if (item.size >= max32 || item.header >= max32)
      total +=
          4 + (item.size >= max32 ? 16 : 0) + (item.header >= max32 ? 8 : 0);
  }
  return total + end64Size + locatorSize + endSize;
}

void ZipPlan::descriptor(std::string &out, const Item &item,
                         uint32_t crc) const {
  if (item.size == 0)
    return;
  unsigned width = item.size >= max32 ? 8 : 4;
  put(out, descriptorMagic, 4);
  put(out, crc, 4);
  put(out, item.size, width);
  put(out, item.size, width);
}

std::string ZipPlan::before(size_t index, uint32_t previousCrc) const {
  std::string out;
  if (index > 0)
    descriptor(out, items[index - 1], previousCrc);
  const Item &item = items[index];
  uint64_t large = item.size >= max32 ? 20 : 0;
  uint64_t padding =
      item.payload - item.header - localSize - item.name.size() - large - 4;
  put(out, localMagic, 4);
  put(out, 0, 2); // version needed
  put(out, item.size == 0 ? flagUtf8 : flagUtf8 | flagDescriptor, 2);
  put(out, 0, 2); // stored
  put(out, 0, 4); // time, date
  put(out, 0, 4); // CRC and sizes: in the descriptor
  put(out, 0, 8);
  put(out, item.name.size(), 2);
  put(out, large + 4 + padding, 2);
  out += item.name;
  if (large) {
    put(out, 1, 2);
    put(out, 16, 2);
    put(out, item.size, 8);
    put(out, item.size, 8);
  }
  out += "FB";
  put(out, padding, 2);
  out.append(padding, 'Z');
  return out;
}

std::string ZipPlan::end(std::span<const uint32_t> crcs) const {
  std::string out;
  descriptor(out, items.back(), crcs[items.size() - 1]);
  uint64_t directory = endOfData(), start = out.size();
  for (size_t i = 0; i < items.size(); ++i) {
    const Item &item = items[i];
    bool largeSize = item.size >= max32, largeOffset = item.header >= max32;
    uint64_t fields = (largeSize ? 16 : 0) + (largeOffset ? 8 : 0);
    put(out, centralMagic, 4);
    put(out, 0, 4); // made by, version needed
    put(out, item.size == 0 ? flagUtf8 : flagUtf8 | flagDescriptor, 2);
    put(out, 0, 2); // stored
    put(out, 0, 4); // time, date
    put(out, crcs[i], 4);
    put(out, std::min(item.size, max32), 4);
    put(out, std::min(item.size, max32), 4);
    put(out, item.name.size(), 2);
    put(out, fields ? fields + 4 : 0, 2);
    put(out, 0, 2); // comment
    put(out, 0, 8); // disk, attributes
    put(out, std::min(item.header, max32), 4);
    out += item.name;
    if (fields) {
      put(out, 1, 2);
      put(out, fields, 2);
      if (largeSize) {
        put(out, item.size, 8);
        put(out, item.size, 8);
      }
      if (largeOffset)
        put(out, item.header, 8);
    }
  }
  uint64_t size = out.size() - start;

  put(out, end64Magic, 4);
  put(out, end64Size - 12, 8);
  put(out, 0x031e, 2); // made by
  put(out, 0x2d, 2);   // version needed
  put(out, 0, 8);      // disks
  put(out, items.size(), 8);
  put(out, items.size(), 8);
  put(out, size, 8);
  put(out, directory, 8);

  put(out, locatorMagic, 4);
  put(out, 0, 4);
  put(out, directory + size, 8);
  put(out, 1, 4);

  put(out, endMagic, 4);
  put(out, 0, 4); // disks
  put(out, std::min<uint64_t>(items.size(), max16), 2);
  put(out, std::min<uint64_t>(items.size(), max16), 2);
  put(out, std::min(size, max32), 4);
  put(out, std::min(directory, max32), 4);
  put(out, 0, 2); // comment
  return out;
}
