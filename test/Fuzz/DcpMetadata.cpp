//===- DcpMetadata.cpp - The .metadata of a torch_dist checkpoint ---------===//

#include "runtime/io/DcpMetadata.h"
#include "test/Fuzz/FuzzTarget.h"

using namespace mbc;

const fuzz::MemoryLimit fuzz::memoryLimit{256, 1 << 17};

static bool sameSlice(const DcpMetadata &a, const DcpSlice &x,
                      const DcpMetadata &b, const DcpSlice &y) {
  if (x.file == DcpSlice::nowhere || y.file == DcpSlice::nowhere)
    return x.file == y.file;
  return a.files[x.file] == b.files[y.file] && x.offset == y.offset &&
         x.length == y.length;
}

static void checkAccepted(const DcpMetadata &metadata) {
  for (const DcpMetadata::Tensor &tensor : metadata.tensors) {
    BoxList boxes = metadata.boxes(tensor);
    __int128 covered = 0;
    for (size_t k = 0; k < boxes.count; ++k) {
      __int128 volume = 1;
      for (size_t d = 0; d < boxes.rank(); ++d) {
        int64_t offset = boxes.offsets(k)[d], size = boxes.sizes(k)[d];
        MBC_FUZZ_REQUIRE(offset >= 0 && size >= 0);
        MBC_FUZZ_REQUIRE(offset <= tensor.info.shape[d] &&
                         size <= tensor.info.shape[d] - offset);
        volume *= size;
      }
      const DcpSlice &slice = metadata.slices[tensor.firstChunk + k];
      MBC_FUZZ_REQUIRE(slice.file < metadata.files.size() ||
                       (slice.file == DcpSlice::nowhere && volume == 0));
      covered += volume;
    }
    MBC_FUZZ_REQUIRE(covered == tensor.info.elements());
  }
  for (const std::string &file : metadata.files)
    MBC_FUZZ_REQUIRE(!file.empty() && file.find('/') == file.npos);
}

void fuzz::fuzz(std::string_view input) {
  auto metadata = DcpMetadata::parse(std::string(input), "input");
  if (!metadata)
    return;
  checkAccepted(*metadata);
  // What is written again says the same, and is written the same.
  std::string encoded = metadata->encode();
  auto again = DcpMetadata::parse(encoded, "written");
  MBC_FUZZ_REQUIRE(again);
  checkAccepted(*again);
  MBC_FUZZ_REQUIRE(again->encode() == encoded);
  MBC_FUZZ_REQUIRE(again->numbers == metadata->numbers);
  MBC_FUZZ_REQUIRE(again->tensors.size() == metadata->tensors.size() &&
                   again->blobs.size() == metadata->blobs.size() &&
                   again->slices.size() == metadata->slices.size());
  for (size_t i = 0; i < metadata->tensors.size(); ++i) {
    const TensorInfo &a = metadata->tensors[i].info;
    const TensorInfo &b = again->tensors[i].info;
    MBC_FUZZ_REQUIRE(a.name == b.name && a.dtype == b.dtype &&
                     a.shape == b.shape);
  }
  for (size_t i = 0; i < metadata->slices.size(); ++i)
    MBC_FUZZ_REQUIRE(
        sameSlice(*metadata, metadata->slices[i], *again, again->slices[i]));
  for (size_t i = 0; i < metadata->blobs.size(); ++i)
    MBC_FUZZ_REQUIRE(metadata->blobs[i].name == again->blobs[i].name &&
                     sameSlice(*metadata, metadata->blobs[i].slice, *again,
                               again->blobs[i].slice));
}
