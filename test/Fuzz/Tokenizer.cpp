//===- Tokenizer.cpp - tokenizer.json, read and used ----------------------===//
//
// The input is a tokenizer.json; a text to take apart may follow behind a zero
// byte, which no JSON has.

#include "runtime/text/Tokenizer.h"
#include "test/Fuzz/FuzzTarget.h"

#include <algorithm>

using namespace mbc;

// A vocabulary by text and by id, a table of merges, patterns that are
// compiled; ids may be sparse, up to a million beyond the tokens.
const fuzz::MemoryLimit fuzz::memoryLimit{4000, 256 << 20};

static bool isUtf8(std::string_view text) {
  // Reading malformed text gives U+FFFD where there was none.
  for (size_t i = 0; i < text.size();) {
    auto byte = static_cast<unsigned char>(text[i]);
    size_t more = byte < 0x80   ? 0
                  : byte < 0xc2 ? 9
                  : byte < 0xe0 ? 1
                  : byte < 0xf0 ? 2
                  : byte < 0xf5 ? 3
                                : 9;
    if (more > 3 || i + more >= text.size())
      return false;
    for (size_t k = 1; k <= more; ++k)
      if ((static_cast<unsigned char>(text[i + k]) & 0xc0) != 0x80)
        return false;
    i += more + 1;
  }
  return true;
}

void fuzz::fuzz(std::string_view input) {
  size_t end = std::min(input.find('\0'), input.size());
  std::string_view given = input.substr(std::min(end + 1, input.size()));
  auto made = text::Tokenizer::parse(input.substr(0, end), "input");
  if (!made) {
    MBC_FUZZ_REQUIRE(made.error().message.starts_with("input"));
    return;
  }
  const text::Tokenizer &tokenizer = **made;
  constexpr std::string_view usual =
      " It's 12345 caf\xc3\xa9s,\r\n\n <a> \xe4\xb8\xad\xe6\x96\x87 \xf0\x9f"
      "\x99\x82\xff\xc3 </s>ab  ";
  for (std::string_view text : {usual, given})
    for (bool special : {false, true}) {
      auto ids = tokenizer.encode(text, special);
      auto again = tokenizer.encode(text, special);
      MBC_FUZZ_REQUIRE(ids.has_value() == again.has_value());
      if (!ids)
        continue;
      MBC_FUZZ_REQUIRE(*ids == *again);
      for (int32_t id : *ids)
        MBC_FUZZ_REQUIRE(id >= 0 && static_cast<size_t>(id) < tokenizer.size());
      std::string whole = tokenizer.decode(*ids, special), parts;
      MBC_FUZZ_REQUIRE(isUtf8(whole));
      text::StreamDecoder decoder(tokenizer, special);
      for (int32_t id : *ids) {
        std::string part = decoder.push(id);
        MBC_FUZZ_REQUIRE(isUtf8(part));
        parts += part;
      }
      MBC_FUZZ_REQUIRE(parts + decoder.finish() == whole);
    }
}
