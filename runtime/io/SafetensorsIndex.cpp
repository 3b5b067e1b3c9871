//===- SafetensorsIndex.cpp - Which shard holds which tensor --------------===//

#include "runtime/io/SafetensorsIndex.h"
#include "runtime/core/JsonReader.h"
#include "runtime/core/Text.h"

#include <algorithm>
#include <fmt/format.h>
#include <set>

namespace mbc {

static bool isPlainName(std::string_view file) {
  return !file.empty() && file != "." && file != ".." &&
         file.find('/') == file.npos && file.find('\\') == file.npos &&
         file.find('\0') == file.npos;
}

namespace {

class IndexParser {
public:
  IndexParser(std::string_view text, std::string_view name)
      : name(name), reader(text, name) {}

  Expected<SafetensorsIndex> parse() {
    MBC_TRY(expectObject("the index"));
    MBC_TRY(reader.readObject([&](std::string_view key) -> Status {
      if (!topKeys.emplace(key).second)
        return reader.fail(fmt::format("duplicate key {}", quote(key)));
      if (key != "weight_map")
        return reader.skip();
      MBC_TRY(expectObject("'weight_map'"));
      return reader.readObject(
          [&](std::string_view tensor) { return readEntry(tensor); });
    }));
    MBC_TRY(reader.finish());
    if (!topKeys.contains("weight_map"))
      return inputError(fmt::format("{}: has no 'weight_map'", name));
    if (entries.empty())
      return inputError(fmt::format("{}: 'weight_map' is empty", name));
    return sorted();
  }

private:
  Status expectObject(std::string_view what) {
    MBC_ASSIGN(auto kind, reader.peek());
    if (kind != JsonReader::Kind::Object)
      return reader.fail(fmt::format("{} is not an object", what));
    return {};
  }

  Status readEntry(std::string_view key) {
    std::string tensor(key);
    MBC_ASSIGN(auto kind, reader.peek());
    if (kind != JsonReader::Kind::String)
      return reader.fail(
          fmt::format("the file of {} is not a string", quote(tensor)));
    MBC_ASSIGN(auto file, reader.readString());
    if (!isPlainName(file))
      return reader.fail(
          fmt::format("tensor {} is mapped to {}, which is not a "
                      "file name in this folder",
                      quote(tensor), quote(file)));
    auto it = files.find(file);
    if (it == files.end())
      it = files.emplace(file).first;
    entries.emplace_back(std::move(tensor), &*it);
    return {};
  }

  Expected<SafetensorsIndex> sorted() {
    SafetensorsIndex index;
    index.files.assign(files.begin(), files.end());
    index.tensors.reserve(entries.size());
    for (auto &[tensor, file] : entries)
      index.tensors.emplace_back(std::move(tensor),
                                 std::ranges::lower_bound(index.files, *file) -
                                     index.files.begin());
    std::ranges::sort(index.tensors);
    auto twice = std::ranges::adjacent_find(
        index.tensors, {}, &decltype(index.tensors)::value_type::first);
    if (twice != index.tensors.end())
      return inputError(fmt::format("{}: tensor {} is in 'weight_map' twice "
                                    "(duplicate key)",
                                    name, quote(twice->first)));
    return index;
  }

  std::string_view name;
  JsonReader reader;
  std::set<std::string, std::less<>> files, topKeys;
  /// Until all files are known and sorted, entries refer to the set.
  std::vector<std::pair<std::string, const std::string *>> entries;
};

} // namespace

Expected<SafetensorsIndex> parseSafetensorsIndex(std::string_view text,
                                                 std::string_view name) {
  return IndexParser(text, name).parse();
}

} // namespace mbc
