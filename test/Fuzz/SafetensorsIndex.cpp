//===- SafetensorsIndex.cpp - model.safetensors.index.json ----------------===//

#include "runtime/io/SafetensorsIndex.h"
#include "runtime/core/Json.h"
#include "test/Fuzz/FuzzTarget.h"

#include <algorithm>
#include <vector>

using namespace mbc;

const fuzz::MemoryLimit fuzz::memoryLimit{200, 1 << 16};

void fuzz::fuzz(std::string_view input) {
  auto index = parseSafetensorsIndex(input, "input");
  auto json = Json::parse(input, "input");
  const Json *map = json ? json->find("weight_map") : nullptr;
  if (!index) {
    // What is refused is no JSON, or maps no tensor, or one to no plain name.
    if (map && map->isObject() && !map->members().empty())
      MBC_FUZZ_REQUIRE(
          std::ranges::any_of(map->members(), [](const Json::Member &member) {
            const std::string *file = member.second.asString();
            return !file || file->empty() || *file == "." || *file == ".." ||
                   file->find_first_of(std::string_view("/\\\0", 3)) !=
                       file->npos;
          }));
    return;
  }
  MBC_FUZZ_REQUIRE(std::ranges::is_sorted(index->files, std::less_equal<>()) ||
                   index->files.size() == 1);
  MBC_FUZZ_REQUIRE(std::ranges::is_sorted(index->tensors));
  std::vector<bool> used(index->files.size());
  for (const auto &[tensor, file] : index->tensors) {
    MBC_FUZZ_REQUIRE(file < index->files.size());
    used[file] = true;
  }
  MBC_FUZZ_REQUIRE(std::ranges::find(used, false) == used.end());

  // It says what a reader of any JSON finds, unless that refuses a key twice
  // in a member that the index skips.
  if (!json)
    return;
  MBC_FUZZ_REQUIRE(map && map->members().size() == index->tensors.size());
  for (const auto &[tensor, file] : index->tensors) {
    const Json *mapped = map->find(tensor);
    MBC_FUZZ_REQUIRE(mapped && mapped->asString() &&
                     *mapped->asString() == index->files[file]);
  }
}
