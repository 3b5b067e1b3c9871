//===- ChatTemplate.cpp - A template, parsed and run ----------------------===//

#include "runtime/text/template/ChatTemplate.h"
#include "test/Fuzz/FuzzTarget.h"

using namespace mbc;

// A rendering may use what Run.h allows it, whatever the template's size.
const fuzz::MemoryLimit fuzz::memoryLimit{4000, 1 << 30};

void fuzz::fuzz(std::string_view input) {
  auto chat = text::ChatTemplate::parse(std::string(input), "input");
  if (!chat) {
    MBC_FUZZ_REQUIRE(chat.error().message.starts_with("input"));
    return;
  }
  static const Json variables = *Json::parse(
      R"({"messages": [{"role": "user", "content": "hi"}, {"role": "a",)"
      R"( "content": null, "n": [1, 2.5, true]}], "s": "a b", "n": 3})",
      "variables");
  auto first = chat->render(variables), second = chat->render(variables);
  MBC_FUZZ_REQUIRE(first.has_value() == second.has_value());
  if (!first)
    MBC_FUZZ_REQUIRE(first.error().message.starts_with("input:"));
  // But for the time of day, a rendering has no memory.
  else if (input.find("strftime_now") == std::string_view::npos)
    MBC_FUZZ_REQUIRE(*first == *second);
}
