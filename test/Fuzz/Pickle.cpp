//===- Pickle.cpp - Python pickles ----------------------------------------===//

#include "runtime/io/Pickle.h"
#include "runtime/io/PickleWriter.h"
#include "runtime/io/TorchRecord.h"
#include "test/Fuzz/FuzzTarget.h"

using namespace mbc;

const fuzz::MemoryLimit fuzz::memoryLimit{8192, 8 << 20};

static std::string encode(const PickleValue &value) {
  PickleWriter writer;
  writer.value(value);
  return writer.finish();
}

/// What the reader takes and the writer has no opcode for: integers beyond
/// LONG1, list-like objects with an odd number of items, and names of several
/// lines.
static bool isWritable(const PickleValue &value) {
  if (value.kind == PickleKind::Long && value.text.size() > 255)
    return false;
  if (value.kind == PickleKind::Object && value.items.size() % 2 == 0)
    return false;
  if (value.kind == PickleKind::Global &&
      (value.text + value.name).find('\n') != std::string::npos)
    return false;
  for (const PickleValue &item : value.items)
    if (!isWritable(item))
      return false;
  return true;
}

/// What a pickle of `value` is read as.
static PickleValue writtenAndRead(const PickleValue &value) {
  auto pickle = Pickle::parse(encode(value), "written", anyPickleGlobal);
  MBC_FUZZ_REQUIRE(pickle);
  auto read = pickle->root().toValue();
  MBC_FUZZ_REQUIRE(read);
  return std::move(*read);
}

static void check(const Pickle &pickle) {
  PickleRef root = pickle.root();
  (void)root.describe();
  (void)root.find("args");
  (void)torchPickleSize(root);
  (void)parseTorchTensor(root, "input");
  auto value = root.toValue();
  if (!value || !isWritable(*value))
    return;
  // What is written again says the same; but bytes are written as the call
  // that makes them, so it is read as such.
  PickleValue once = writtenAndRead(*value);
  PickleValue twice = writtenAndRead(once);
  MBC_FUZZ_REQUIRE(encode(once) == encode(twice));
}

void fuzz::fuzz(std::string_view input) {
  auto pickle = Pickle::parse(std::string(input), "input", anyPickleGlobal);
  if (pickle)
    check(*pickle);
  else
    MBC_FUZZ_REQUIRE(pickle.error().message.starts_with("input"));
  // A policy can only refuse more.
  for (PickleGlobalPolicy policy :
       {harmlessPickleGlobal, torchPickleGlobal, commonPickleGlobal}) {
    auto some = Pickle::parse(std::string(input), "input", policy);
    MBC_FUZZ_REQUIRE(pickle || !some);
  }
}
