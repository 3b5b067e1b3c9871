//===- TorchRecord.h - What torch.save writes -------------------*- C++ -*-===//
//
// torch.save gives a stored zip archive: `data.pkl` describes the objects, and
// `data/N` holds the elements of storage N. Written here are the entries
// data.pkl, byteorder, version and then data/N, under the folder `archive`, and
// nothing else: `.format_version` would make torch compute offsets instead of
// reading them.
//
// The data of a tensor begins at a multiple of 64 from the start of the record,
// as in torch's own files. Page alignment was considered and left out: the
// source of a copy (a safetensors file) is aligned to 8, so neither a reflink
// nor direct I/O could use it, and it would double the size of small records.
//
//===----------------------------------------------------------------------===//
#pragma once

#include "runtime/core/DType.h"
#include "runtime/io/Pickle.h"
#include "runtime/io/Zip.h"

#include <span>
#include <string>
#include <vector>

namespace mbc {

class PickleWriter;

//===----------------------------------------------------------------------===//
// Reading
//===----------------------------------------------------------------------===//

/// A tensor as data.pkl describes it.
struct TorchTensor {
  DType dtype;
  std::vector<int64_t> shape;
  std::vector<int64_t> strides; ///< in elements, one for each dimension
  int64_t storageOffset;        ///< in elements
  std::string storageKey;       ///< N of `data/N`
  uint64_t storageBytes;

  int64_t elements() const;
  /// Row-major without gaps; strides of dimensions of size 1 do not matter.
  bool isContiguous() const;
};

/// Understands a call of torch._utils._rebuild_tensor_v2 or _v3, also inside
/// _rebuild_parameter or torch._tensor._rebuild_from_type_v2. Checks that the
/// elements lie inside the storage. Errors start with `where`.
Expected<TorchTensor> parseTorchTensor(PickleRef object,
                                       std::string_view where);

/// "torch.bfloat16" of a pickled dtype; none when it is no dtype that `DType`
/// has.
std::optional<DType> torchPickleDType(PickleRef object);

/// The numbers of a pickled tuple or torch.Size; none when one is negative or
/// no integer.
std::optional<std::vector<int64_t>> torchPickleSize(PickleRef object);

/// An archive with its data.pkl.
struct TorchArchive {
  ZipArchive zip;
  std::string folder; ///< "archive/", of every entry
  Pickle pickle;

  /// Bytes [offset, offset + length) of a file. Refuses big-endian archives,
  /// unknown versions, and pickles with globals that `policy` does not allow.
  static Expected<TorchArchive> open(const File &file, uint64_t offset,
                                     uint64_t length,
                                     const PickleGlobalPolicy &policy);
  /// The entry of a storage; checks that it has the stated size.
  Expected<const ZipArchive::Entry *> storage(const TorchTensor &tensor,
                                              std::string_view where) const;
};

/// One stored tensor whose elements lie row-major in a file.
struct TorchTensorLocation {
  DType dtype;
  std::vector<int64_t> shape;
  uint64_t offset; ///< of the first element, bytes from the start of the file
};

/// Locates the tensor that bytes [offset, offset + length) of a file hold.
/// A tensor that is not contiguous is refused.
Expected<TorchTensorLocation>
locateTorchTensor(const File &file, uint64_t offset, uint64_t length);

/// The object of an archive without tensors, such as common.pt.
Expected<PickleValue> readTorchObject(const File &file, uint64_t offset,
                                      uint64_t length,
                                      const PickleGlobalPolicy &policy);

//===----------------------------------------------------------------------===//
// Writing
//===----------------------------------------------------------------------===//

/// The frame around the elements of one row-major tensor. It depends only on
/// dtype and shape, so a file of records is laid out before any is written.
class TorchTensorRecord {
public:
  TorchTensorRecord(DType dtype, std::span<const int64_t> shape);

  /// Bytes before the elements: payloadOffset() of them.
  const std::string &header() const { return head; }
  uint64_t payloadOffset() const { return head.size(); }
  uint64_t payloadSize() const { return bytes; }
  /// Bytes after the elements, whose CRC-32 is given.
  std::string trailer(uint32_t crc) const;
  /// Header, elements and trailer.
  uint64_t totalSize() const { return plan.totalSize(); }

private:
  uint64_t bytes;
  ZipPlan plan;
  std::vector<uint32_t> crcs;
  std::string head;
};

/// An archive of many storages that is written piecewise: where each lies, and
/// what stands around them once their checksums are known.
class TorchArchiveLayout {
public:
  /// `folder`: the top folder in the archive.
  TorchArchiveLayout(std::string pickle, std::string folder);
  /// Storage 0, 1, ..., before anything else is asked for.
  void addStorage(uint64_t bytes);

  uint64_t totalSize() const { return plan.totalSize(); }
  uint64_t storageOffset(size_t storage) const {
    return plan.payloadOffset(firstStorage + storage);
  }
  void setCrc(size_t storage, uint32_t crc) {
    crcs[firstStorage + storage] = crc;
  }
  /// The bytes before storage `storage`, and where they begin; for the number
  /// of storages: what ends the archive.
  std::string before(size_t storage) const;
  uint64_t beforeOffset(size_t storage) const;

private:
  ZipPlan plan;
  std::string folder, head; ///< head: all before storage 0's own header
  size_t firstStorage;
  std::vector<uint32_t> crcs;
  std::vector<uint64_t> ends; ///< of each storage's bytes
};

/// The bytes of torch.save(value). `folder`: the top folder in the archive,
/// the stem of the file name when torch saves to a path.
std::string torchSaveObject(const PickleValue &value,
                            std::string_view folder = "archive");

/// The same for data.pkl as given and the bytes of storages 0, 1, ...
std::string torchSavePickle(std::string pickle,
                            std::span<const std::string> storages,
                            std::string_view folder = "archive");

/// Pushes a contiguous tensor at the start of storage `key`.
void writeTorchTensor(PickleWriter &out, DType dtype,
                      std::span<const int64_t> shape, std::string_view key);

} // namespace mbc
