//===- Iteration.cpp ------------------------------------------------------===//
#include "compiler/Bridge/Iteration.h"

#include "llvm/ADT/StringRef.h"

#include <fmt/format.h>
#include <map>

namespace fs = std::filesystem;

namespace mbc {

Expected<fs::path> iterationFolder(const fs::path &root,
                                   std::optional<uint64_t> number) {
  if (!number)
    return root;
  std::map<uint64_t, fs::path> found;
  std::error_code code;
  for (const fs::directory_entry &entry : fs::directory_iterator(root, code)) {
    std::string name = entry.path().filename().string();
    uint64_t value;
    llvm::StringRef digits = name;
    if (digits.consume_front("iter_") && !digits.getAsInteger(10, value) &&
        entry.is_directory(code))
      found.emplace(value, entry.path());
  }
  if (auto it = found.find(*number); it != found.end())
    return it->second;
  std::string list;
  for (const auto &[value, path] : found)
    list += (list.empty() ? "" : ", ") + std::to_string(value);
  return inputError(fmt::format(
      "{}: has no iteration {}; {}", root.string(), *number,
      list.empty() ? "it holds no folders iter_*; give a checkpoint's root"
                   : "there are " + list));
}

} // namespace mbc
