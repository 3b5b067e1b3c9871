//===- TokenizerFiles.cpp -------------------------------------------------===//
#include "compiler/Bridge/TokenizerFiles.h"

#include "runtime/core/File.h"

#include <algorithm>
#include <fmt/format.h>
#include <vector>

namespace fs = std::filesystem;

namespace mbc {

bool isTokenizerFile(std::string_view name) {
  if (name.starts_with("tokenization_") && name.ends_with(".py"))
    return true;
  for (std::string_view known :
       {"tokenizer.json", "tokenizer_config.json", "tokenizer.model",
        "tiktoken.model", "special_tokens_map.json", "added_tokens.json",
        "vocab.json", "merges.txt", "chat_template.jinja",
        "chat_template.json"})
    if (name == known)
      return true;
  return false;
}

Expected<size_t> copyTokenizer(const fs::path &from, const fs::path &to) {
  std::error_code code;
  std::vector<std::string> names;
  for (const fs::directory_entry &entry : fs::directory_iterator(from, code)) {
    std::string name = entry.path().filename().string();
    if (entry.is_regular_file(code) && isTokenizerFile(name))
      names.push_back(std::move(name));
  }
  if (code)
    return inputError(
        fmt::format("{}: cannot be read: {}", from.string(), code.message()));
  std::ranges::sort(names);
  for (const std::string &name : names) {
    MBC_ASSIGN(std::string bytes,
               readWholeFile(from / name, uint64_t(1) << 30));
    MBC_TRY(writeWholeFile(to / name, bytes));
  }
  return names.size();
}

} // namespace mbc
