//===- Json.cpp - The strict JSON reader ----------------------------------===//

#include "runtime/core/Json.h"
#include "runtime/core/JsonReader.h"
#include "test/Fuzz/FuzzTarget.h"

using namespace mbc;

const fuzz::MemoryLimit fuzz::memoryLimit{200, 1 << 16};

void fuzz::fuzz(std::string_view input) {
  auto json = Json::parse(input, "input");
  JsonReader reader(input, "input");
  bool skipped = reader.skip().has_value() && reader.finish().has_value();
  // Only a duplicate key tells the tree from the text.
  if (!json) {
    MBC_FUZZ_REQUIRE(!json.error().message.empty());
    MBC_FUZZ_REQUIRE(!skipped || json.error().message.find("duplicate key") !=
                                     std::string::npos);
    return;
  }
  MBC_FUZZ_REQUIRE(skipped);
  for (const std::string &text :
       {json->dump(), json->dump(0), json->dumpCompact()}) {
    auto again = Json::parse(text, "printed");
    MBC_FUZZ_REQUIRE(again);
    // Numbers too large for a double are equal to nothing but their spelling.
    MBC_FUZZ_REQUIRE(*again == *json);
    MBC_FUZZ_REQUIRE(again->dump() == json->dump());
  }
}
