//===- HfFixture.h - Small Hugging Face folders for tests -------*- C++ -*-===//
#pragma once

#include "runtime/io/HfFolder.h"
#include "test/Unit/TempFolder.h"

#include <cstring>
#include <fmt/format.h>
#include <map>

namespace mbc::test {

/// A safetensors file from its parts, right or wrong.
inline std::string safetensorsBytes(std::string_view header,
                                    std::string_view data) {
  uint64_t length = header.size();
  std::string out(8, '\0');
  std::memcpy(out.data(), &length, 8);
  out += header;
  out += data;
  return out;
}

/// A tensor with bytes that depend on its name.
struct TestTensor {
  std::string name;
  DType dtype;
  std::vector<int64_t> shape;

  TensorInfo info() const { return {name, dtype, shape}; }
  std::string data() const {
    std::string out(info().bytes(), '\0');
    size_t seed = std::hash<std::string>{}(name);
    for (size_t i = 0; i < out.size(); ++i)
      out[i] = static_cast<char>((seed >> (i % 8 * 8)) + i * 31);
    return out;
  }
};

inline std::string fileOf(const std::vector<TestTensor> &tensors) {
  std::vector<TensorInfo> infos;
  std::string data;
  for (const TestTensor &tensor : tensors) {
    infos.push_back(tensor.info());
    data += tensor.data();
  }
  auto header =
      buildSafetensorsHeader(infos, SafetensorsMetadata{{"format", "pt"}});
  return safetensorsPrefix(header) + data;
}

inline std::string
indexOf(const std::vector<std::pair<std::string, std::string>> &entries) {
  std::string out = "{\"metadata\":{\"total_size\":1},\"weight_map\":{";
  for (const auto &[name, file] : entries)
    out += fmt::format("\"{}\":\"{}\",", name, file);
  if (!entries.empty())
    out.pop_back();
  return out + "}}";
}

inline const TestTensor tensorA{"a", DType::BF16, {4, 3}};
inline const TestTensor tensorB{"b", DType::F32, {5}};
inline const TestTensor tensorC{"c", DType::F32, {}};
inline const TestTensor tensorD{"d", DType::I8, {0, 7}};
inline const TestTensor tensorE{"e", DType::F8E4M3, {3, 3}};

inline constexpr const char *shard1 = "model-00001-of-00002.safetensors";
inline constexpr const char *shard2 = "model-00002-of-00002.safetensors";
inline constexpr const char *indexFile = "model.safetensors.index.json";

/// A good folder of two shards, for tests to damage.
inline void makeSharded(const std::filesystem::path &folder) {
  std::filesystem::create_directories(folder);
  writeText(folder / "config.json", "{}");
  writeText(folder / "tokenizer.json", "{}");
  writeText(folder / shard1, fileOf({tensorB, tensorA}));
  writeText(folder / shard2, fileOf({tensorC, tensorD, tensorE}));
  writeText(folder / indexFile, indexOf({{"a", shard1},
                                         {"c", shard2},
                                         {"b", shard1},
                                         {"e", shard2},
                                         {"d", shard2}}));
}

inline std::string readTensor(const TensorSet &set, std::string_view name) {
  int64_t index = set.find(name);
  if (index < 0)
    return "absent";
  const TensorInfo &info = set.tensors()[static_cast<size_t>(index)];
  std::string out(info.bytes(), '?');
  Status status =
      ExtentReader(set).read(static_cast<size_t>(index), 0, info.elements(),
                             std::as_writable_bytes(std::span(out)));
  EXPECT_TRUE(status) << messageOf(status);
  return out;
}

} // namespace mbc::test
