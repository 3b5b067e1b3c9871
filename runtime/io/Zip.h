//===- Zip.h - Stored zip archives inside files -----------------*- C++ -*-===//
//
// torch.save writes a zip archive whose entries are not compressed; a .distcp
// file is many such archives one after another. So archives are read from a
// slice of a file, entries are located rather than extracted, and the writer
// computes every offset before the first payload byte is known.
//
// Format: PKWARE's APPNOTE 6.3, with the habits of PyTorch's miniz: data begins
// at multiples of 64, CRC and sizes follow the data in a descriptor, and the
// zip64 end of directory is always there.
//
//===----------------------------------------------------------------------===//
#pragma once

#include "runtime/core/File.h"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mbc {

/// CRC-32 of zip and gzip, continued from `crc` (0 at the start).
uint32_t crc32Of(std::span<const std::byte> bytes, uint32_t crc = 0);
/// CRC of A followed by B, from the CRCs of both and the length of B.
uint32_t crc32Combine(uint32_t a, uint32_t b, uint64_t lengthOfB);

/// The entries of an archive in bytes [offset, offset + length) of a file.
class ZipArchive {
public:
  struct Entry {
    std::string name;
    uint64_t offset; ///< of the payload, in the file
    uint64_t size;   ///< of the payload, bytes
    uint32_t crc;    ///< as the directory states it
  };

  /// Reads and checks the directory and every local header; costs two small
  /// reads for what torch writes. Anything but a consistent, unencrypted,
  /// uncompressed archive of one part is an Input error that names the file and
  /// the offset. The file must outlive the archive.
  static Expected<ZipArchive> open(const File &file, uint64_t offset,
                                   uint64_t length);

  const std::vector<Entry> &entries() const { return list; }
  /// Null when there is no such entry.
  const Entry *find(std::string_view name) const;

  /// A small payload; its CRC is checked. Larger than `limit`: an error.
  Expected<std::string> read(const Entry &entry,
                             uint64_t limit = 64u << 20) const;
  /// Reads the payload in blocks and compares its CRC: an error when it
  /// differs, false when the archive states none. torch writes zeros for all
  /// CRCs after torch.serialization.set_crc32_options(False).
  Expected<bool> verify(const Entry &entry) const;

private:
  ZipArchive(const File &file, uint64_t offset, uint64_t length)
      : file(&file), base(offset), length(length) {}
  Status parse();
  Status parseDirectory(uint64_t directory, uint64_t bytes, uint64_t count);
  Status checkLocalHeader(Entry &entry, uint64_t header, uint64_t directory);
  Failure bad(std::string text) const;
  /// Bytes of the slice, from `head` or `tail` when they hold them; the view is
  /// valid until the next call.
  Expected<std::string_view> bytes(uint64_t at, uint64_t count) const;

  const File *file;
  uint64_t base, length;
  uint64_t tailAt = 0;
  std::string head, tail;
  mutable std::string scratch;
  std::vector<Entry> list;
};

/// Layout of an archive to be written. Entries are laid out in the order of
/// `add`; the file is before(0), payload 0, before(1), payload 1, ... end().
class ZipPlan {
public:
  /// Returns the index of the entry.
  size_t add(std::string name, uint64_t size);

  /// Of the payload, from the start of the archive; a multiple of 64.
  uint64_t payloadOffset(size_t index) const { return items[index].payload; }
  /// Of the whole archive, with the entries added so far.
  uint64_t totalSize() const;

  /// What lies between the payload of the previous entry (whose CRC is given)
  /// and that of entry `index`.
  std::string before(size_t index, uint32_t previousCrc) const;
  /// What follows the last payload. One CRC for each entry.
  std::string end(std::span<const uint32_t> crcs) const;

private:
  struct Item {
    std::string name;
    uint64_t size, header, payload;
  };
  uint64_t endOfData() const;
  void descriptor(std::string &out, const Item &item, uint32_t crc) const;
  std::vector<Item> items;
};

} // namespace mbc
