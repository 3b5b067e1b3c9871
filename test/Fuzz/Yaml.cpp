//===- Yaml.cpp - run_config.yaml -----------------------------------------===//

#include "compiler/Bridge/YamlFile.h"
#include "test/Fuzz/FuzzTarget.h"

using namespace mbc;

const fuzz::MemoryLimit fuzz::memoryLimit{4096, 1 << 20};

void fuzz::fuzz(std::string_view input) {
  auto json = parseYaml(std::string(input), "input");
  if (!json)
    return;
  // What was read is a value that JSON can say.
  std::string written = json->dump();
  auto again = Json::parse(written, "written");
  MBC_FUZZ_REQUIRE(again);
  MBC_FUZZ_REQUIRE(again->dump() == written);
}
