//===- TokenizerConfig.cpp - tokenizer_config.json and what is beside it --===//
//
// The input is a tokenizer_config.json; behind zero bytes may follow a
// special_tokens_map.json, a generation_config.json and a tiktoken.model.

#include "runtime/text/TokenizerConfig.h"
#include "runtime/text/Tokenizer.h"
#include "test/Fuzz/FuzzTarget.h"

#include <cstdlib>
#include <fstream>

using namespace mbc;

const fuzz::MemoryLimit fuzz::memoryLimit{4000, 256 << 20};

namespace {

/// A folder with the files, which goes with the process.
struct Folder {
  Folder() {
    std::string name =
        (std::filesystem::temp_directory_path() / "mbc-fuzz-XXXXXX").string();
    MBC_FUZZ_REQUIRE(mkdtemp(name.data()));
    path = name;
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  std::filesystem::path path;
};

} // namespace

void fuzz::fuzz(std::string_view input) {
  static Folder folder;
  for (const char *name : {"tokenizer_config.json", "special_tokens_map.json",
                           "generation_config.json", "tiktoken.model"}) {
    std::filesystem::path path = folder.path / name;
    size_t end = std::min(input.find('\0'), input.size());
    if (end == 0)
      std::filesystem::remove(path);
    else
      std::ofstream(path, std::ios::binary) << input.substr(0, end);
    input.remove_prefix(std::min(end + 1, input.size()));
  }
  auto config = text::TokenizerConfig::open(folder.path);
  if (!config)
    MBC_FUZZ_REQUIRE(config.error().message.find(folder.path.string()) !=
                     std::string::npos);
  else
    for (const auto &[name, text] : config->specialTokens)
      MBC_FUZZ_REQUIRE(config->specialToken(name) == text);
  auto tokenizer = text::Tokenizer::open(folder.path);
  if (!tokenizer)
    return;
  auto ids = (*tokenizer)->encode("It's <a> 12\xc3\xa9\xff", true);
  if (ids)
    (*tokenizer)->decode(*ids, false);
}
