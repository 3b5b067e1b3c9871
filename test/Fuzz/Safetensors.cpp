//===- Safetensors.cpp - Headers of safetensors files ---------------------===//
//
// An input that begins with a brace is a header's JSON; any other is a file.

#include "runtime/io/Safetensors.h"
#include "test/Fuzz/FuzzTarget.h"

#include <set>

using namespace mbc;

const fuzz::MemoryLimit fuzz::memoryLimit{200, 1 << 16};

static void checkAccepted(const SafetensorsHeader &header) {
  std::set<std::string_view> names;
  uint64_t end = 0;
  for (const SafetensorsEntry &entry : header.tensors) {
    MBC_FUZZ_REQUIRE(entry.begin == end);
    MBC_FUZZ_REQUIRE(entry.end >= entry.begin);
    MBC_FUZZ_REQUIRE(entry.info.bytes() == entry.end - entry.begin);
    MBC_FUZZ_REQUIRE(names.insert(entry.info.name).second);
    for (int64_t size : entry.info.shape)
      MBC_FUZZ_REQUIRE(size >= 0);
    end = entry.end;
  }
  MBC_FUZZ_REQUIRE(header.dataBytes() == end);
}

static bool sameTensors(const SafetensorsHeader &a,
                        const SafetensorsHeader &b) {
  auto same = [](const SafetensorsEntry &x, const SafetensorsEntry &y) {
    return x.info.name == y.info.name && x.info.dtype == y.info.dtype &&
           x.info.shape == y.info.shape && x.begin == y.begin && x.end == y.end;
  };
  return std::equal(a.tensors.begin(), a.tensors.end(), b.tensors.begin(),
                    b.tensors.end(), same) &&
         a.metadata == b.metadata;
}

void fuzz::fuzz(std::string_view input) {
  static MemoryFile file;
  if (!input.starts_with('{')) {
    file.set(input);
    if (auto header = readSafetensorsHeader(file.path())) {
      checkAccepted(*header);
      MBC_FUZZ_REQUIRE(header->dataStart() + header->dataBytes() ==
                       input.size());
    }
    return;
  }
  auto header = parseSafetensorsHeader(std::string(input), "input");
  if (!header)
    return;
  checkAccepted(*header);
  uint64_t bytes = header->dataBytes();
  MBC_FUZZ_REQUIRE(header->raw == input);
  MBC_FUZZ_REQUIRE(
      parseSafetensorsHeader(header->raw, "input", bytes).has_value());
  MBC_FUZZ_REQUIRE(!parseSafetensorsHeader(header->raw, "input", bytes + 1));
  if (bytes > 0)
    MBC_FUZZ_REQUIRE(!parseSafetensorsHeader(header->raw, "input", bytes - 1));

  // The official spelling of the same header says the same.
  std::vector<TensorInfo> tensors;
  for (const SafetensorsEntry &entry : header->tensors)
    tensors.push_back(entry.info);
  SafetensorsHeader built =
      buildSafetensorsHeader(std::move(tensors), header->metadata);
  auto again = parseSafetensorsHeader(built.raw, "built", bytes);
  MBC_FUZZ_REQUIRE(again && sameTensors(*header, *again));

  // So does the file.
  if (bytes > 1 << 30)
    return;
  file.set(safetensorsPrefix(*header), header->dataStart() + bytes);
  auto read = readSafetensorsHeader(file.path());
  MBC_FUZZ_REQUIRE(read && sameTensors(*header, *read));
}
