//===- TorchRecord.cpp - What torch.save writes: zip archives -------------===//

#include "runtime/io/TorchRecord.h"
#include "runtime/io/TensorSet.h"
#include "runtime/io/TrainState.h"
#include "test/Fuzz/FuzzTarget.h"

#include <set>

using namespace mbc;

const fuzz::MemoryLimit fuzz::memoryLimit{8192, 8 << 20};

static void checkArchive(const ZipArchive &archive, uint64_t begin,
                         uint64_t end) {
  std::set<std::string_view> names;
  for (const ZipArchive::Entry &entry : archive.entries()) {
    MBC_FUZZ_REQUIRE(entry.offset >= begin && entry.offset <= end);
    MBC_FUZZ_REQUIRE(entry.size <= end - entry.offset);
    MBC_FUZZ_REQUIRE(names.insert(entry.name).second);
    MBC_FUZZ_REQUIRE(archive.find(entry.name) == &entry);
    auto bytes = archive.read(entry);
    MBC_FUZZ_REQUIRE(!bytes || bytes->size() == entry.size);
    auto verified = archive.verify(entry);
    MBC_FUZZ_REQUIRE(!verified || !*verified || bytes);
  }
}

void fuzz::fuzz(std::string_view input) {
  static MemoryFile memory;
  // A record lies somewhere in its file; what surrounds it is not its own.
  constexpr std::string_view before = "PK\x03\x04 another record";
  std::string bytes = std::string(before).append(input).append(before);
  memory.set(bytes);
  auto file = File::openRead(memory.path());
  MBC_FUZZ_REQUIRE(file);
  uint64_t begin = before.size(), end = begin + input.size();
  auto archive = ZipArchive::open(*file, begin, input.size());
  if (!archive)
    return;
  checkArchive(*archive, begin, end);

  (void)readTorchObject(*file, begin, input.size(), commonPickleGlobal);
  auto tensor = locateTorchTensor(*file, begin, input.size());
  if (tensor) {
    TensorInfo info{"tensor", tensor->dtype, tensor->shape};
    MBC_FUZZ_REQUIRE(info.elements() >= 0);
    MBC_FUZZ_REQUIRE(tensor->offset >= begin && tensor->offset <= end);
    MBC_FUZZ_REQUIRE(info.bytes() <= end - tensor->offset);
  }
  memory.set(input);
  (void)readTrainState(memory.path());
}
