#include "runtime/io/SafetensorsWriter.h"
#include "runtime/core/Json.h"
#include "test/Unit/IO/HfFixture.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <sys/stat.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MBC_SANITIZED
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define MBC_SANITIZED
#endif
#endif

using namespace mbc;
using namespace mbc::test;
namespace fs = std::filesystem;

namespace {
/// Tensors without data, for what does not read them.
class Shapes : public TensorSet {
public:
  explicit Shapes(std::vector<TensorInfo> tensors) {
    infos = std::move(tensors);
    indexNames();
  }
  void locate(size_t, int64_t, int64_t, int64_t,
              std::vector<Extent> &) const override {}
};

std::vector<size_t> allOf(const TensorSet &set) {
  std::vector<size_t> order(set.tensors().size());
  std::iota(order.begin(), order.end(), size_t(0));
  return order;
}

Expected<HfWriteResult> write(const TensorSet &set, const fs::path &folder,
                              const HfWriteOptions &options = {},
                              unsigned threads = 2) {
  fs::create_directories(folder);
  Progress progress("writing", 0, Progress::Mode::Quiet);
  auto order = allOf(set);
  auto result = writeHfWeights(set, order, options, folder, progress, threads);
  if (result && !options.sparse)
    EXPECT_EQ(progress.doneBytes(), result->dataBytes);
  return result;
}

std::vector<HfShardLayout> layoutOf(const HfFolder &hf) {
  std::vector<HfShardLayout> layout;
  for (const HfShard &shard : hf.shards()) {
    auto &out = layout.emplace_back();
    out.file = shard.file;
    out.rawHeader = shard.rawHeader;
    for (size_t i = 0; i < shard.tensorCount; ++i)
      out.tensors.push_back(hf.tensors()[shard.firstTensor + i].name);
  }
  return layout;
}

TestTensor tensor(std::string name, int64_t bytes) {
  return {std::move(name), DType::U8, {bytes}};
}
} // namespace

TEST(SplitIntoShards, AsHuggingfaceHub) {
  using Groups = std::vector<std::vector<size_t>>;
  auto split = [](std::vector<int64_t> sizes, uint64_t limit) {
    std::vector<TensorInfo> infos;
    for (int64_t size : sizes)
      infos.push_back({"t", DType::U8, {size}});
    std::vector<size_t> order(sizes.size());
    std::iota(order.begin(), order.end(), size_t(0));
    return splitIntoShards(infos, order, limit);
  };
  EXPECT_EQ(split({4, 4, 4}, 12), (Groups{{0, 1, 2}}));
  EXPECT_EQ(split({4, 4, 5}, 12), (Groups{{0, 1}, {2}}));
  // The large one comes first: the open file goes on behind it.
  EXPECT_EQ(split({4, 13, 4, 5}, 12), (Groups{{1}, {0, 2}, {3}}));
  EXPECT_EQ(split({13}, 12), (Groups{{0}}));
  EXPECT_EQ(split({12, 12}, 12), (Groups{{0}, {1}}));
  EXPECT_EQ(split({}, 12), (Groups{{}}));
}

TEST(SafetensorsWriter, ShardNames) {
  EXPECT_EQ(shardFileName(0, 1), "model.safetensors");
  EXPECT_EQ(shardFileName(3, 163), "model-00004-of-00163.safetensors");
}

TEST(SafetensorsWriter, WritesASingleFile) {
  TempFolder folder;
  makeSharded(folder / "in");
  auto in = HfFolder::open(folder / "in");
  ASSERT_TRUE(in);
  auto result = write(**in, folder / "out");
  ASSERT_TRUE(result) << messageOf(result);
  EXPECT_EQ(result->files, std::vector<std::string>{"model.safetensors"});
  EXPECT_EQ(result->indexName, "");
  auto out = HfFolder::open(folder / "out");
  ASSERT_TRUE(out) << messageOf(out);
  ASSERT_EQ((*out)->tensors().size(), 5u);
  // The official order: F32 before BF16 before F8 before I8, then by name.
  std::string names;
  for (const TensorInfo &info : (*out)->tensors())
    names += info.name;
  EXPECT_EQ(names, "bcaed");
  for (const TestTensor &t : {tensorA, tensorB, tensorC, tensorD, tensorE}) {
    EXPECT_EQ(readTensor(**out, t.name), t.data());
    auto index = static_cast<size_t>((*out)->find(t.name));
    EXPECT_EQ((*out)->tensors()[index].shape, t.shape);
    EXPECT_EQ((*out)->tensors()[index].dtype, t.dtype);
  }
  EXPECT_EQ((*out)->shards()[0].metadata,
            (SafetensorsMetadata{{"format", "pt"}}));
  EXPECT_EQ((*out)->shards()[0].dataStart % 8, 0u);
}

TEST(SafetensorsWriter, WritesShardsAndIndex) {
  TempFolder folder;
  makeSharded(folder / "in");
  auto in = HfFolder::open(folder / "in");
  ASSERT_TRUE(in);
  HfWriteOptions options;
  options.maxShardBytes = 24;
  auto result = write(**in, folder / "out", options);
  ASSERT_TRUE(result) << messageOf(result);
  // In order: b 20 | a 24 | c 4, d 0, e 9
  EXPECT_EQ(result->files.size(), 3u);
  EXPECT_EQ(readText(folder / "out" / result->indexName), R"({
  "metadata": {
    "total_size": 57
  },
  "weight_map": {
    "a": "model-00002-of-00003.safetensors",
    "b": "model-00001-of-00003.safetensors",
    "c": "model-00003-of-00003.safetensors",
    "d": "model-00003-of-00003.safetensors",
    "e": "model-00003-of-00003.safetensors"
  }
}
)");
  auto out = HfFolder::open(folder / "out");
  ASSERT_TRUE(out) << messageOf(out);
  EXPECT_EQ(readTensor(**out, "e"), tensorE.data());
}

// Every file comes back to the byte: odd header, odd order, odd index.
TEST(SafetensorsWriter, KeepsTheSourceLayoutToTheByte) {
  TempFolder folder;
  makeSharded(folder / "in");
  writeText(
      folder / "in" / shard1,
      safetensorsBytes(
          R"({ "b":{"shape":[5],"dtype":"F32", "data_offsets":[24,44]},)"
          R"("a":{"dtype":"BF16","shape":[4, 3],"data_offsets":[0,24]}} )",
          tensorA.data() + tensorB.data()));
  auto in = HfFolder::open(folder / "in");
  ASSERT_TRUE(in) << messageOf(in);
  HfWriteOptions options;
  options.layout = layoutOf(**in);
  options.rawIndex = readText((*in)->indexPath());
  auto result = write(**in, folder / "out", options);
  ASSERT_TRUE(result) << messageOf(result);
  EXPECT_TRUE(result->notes.empty());
  for (const char *name : {shard1, shard2, indexFile})
    EXPECT_EQ(readText(folder / "out" / name), readText(folder / "in" / name))
        << name;
}

TEST(SafetensorsWriter, RebuildsAHeaderThatDoesNotFit) {
  TempFolder folder;
  makeSharded(folder / "in");
  auto in = HfFolder::open(folder / "in");
  ASSERT_TRUE(in);
  HfWriteOptions options;
  options.layout = layoutOf(**in);
  std::string &raw = options.layout[0].rawHeader;
  raw.replace(raw.find("[4,3]"), 5, "[3,4]");
  options.rawIndex = readText((*in)->indexPath());
  auto result = write(**in, folder / "out", options);
  ASSERT_TRUE(result) << messageOf(result);
  ASSERT_EQ(result->notes.size(), 1u);
  EXPECT_NE(result->notes[0].find("tensor 'a' was BF16 [3, 4] and is BF16 "
                                  "[4, 3]"),
            std::string::npos)
      << result->notes[0];
  auto out = HfFolder::open(folder / "out");
  ASSERT_TRUE(out) << messageOf(out);
  EXPECT_EQ(readTensor(**out, "a"), tensorA.data());
  EXPECT_EQ(readText(folder / "out" / shard2),
            readText(folder / "in" / shard2));
  EXPECT_EQ(readText(folder / "out" / indexFile), options.rawIndex);
}

TEST(SafetensorsWriter, GivesUpALayoutOfOtherTensors) {
  TempFolder folder;
  makeSharded(folder / "in");
  auto in = HfFolder::open(folder / "in");
  ASSERT_TRUE(in);
  HfWriteOptions options;
  options.layout = layoutOf(**in);
  options.layout[1].tensors.push_back("ghost");
  auto result = write(**in, folder / "more", options);
  ASSERT_TRUE(result) << messageOf(result);
  EXPECT_EQ(result->files, std::vector<std::string>{"model.safetensors"});
  ASSERT_EQ(result->notes.size(), 1u);
  EXPECT_NE(result->notes[0].find("'ghost', which is not written"),
            std::string::npos);
  options.layout[1].tensors = {"c", "d"};
  result = write(**in, folder / "less", options);
  ASSERT_TRUE(result) << messageOf(result);
  EXPECT_NE(result->notes[0].find("it lacks 'e'"), std::string::npos);
  EXPECT_EQ(HfFolder::open(folder / "less").value()->tensors().size(), 5u);
}

TEST(SafetensorsWriter, RefusesALayoutThatLeavesTheFolder) {
  TempFolder folder;
  makeSharded(folder / "in");
  auto in = HfFolder::open(folder / "in");
  ASSERT_TRUE(in);
  HfWriteOptions options;
  options.layout = layoutOf(**in);
  options.layout[0].file = "../evil.safetensors";
  EXPECT_REFUSED(write(**in, folder / "out", options), "is not a file name");
}

// Tensors around the size of a block, of several dtypes, by 1 to 5 threads.
TEST(SafetensorsWriter, SameBytesWhateverTheThreads) {
  TempFolder folder;
  std::vector<TestTensor> tensors = {
      {"large", DType::BF16, {3001, 5003}}, // 30 MB
      {"odd", DType::U8, {(8 << 20) + 1}},
      {"exact", DType::F32, {2 << 20}},
      {"bits", DType::F6E2M3, {1 << 20, 13, 4}},
      {"empty", DType::F32, {0}},
      tensorC};
  for (int i = 0; i < 300; ++i)
    tensors.push_back({fmt::format("small.{}", i),
                       i % 7 ? DType::F32 : DType::F16,
                       {i, 100}});
  fs::create_directories(folder / "in");
  writeText(folder / "in/model.safetensors", fileOf(tensors));
  auto in = HfFolder::open(folder / "in");
  ASSERT_TRUE(in) << messageOf(in);
  std::vector<std::string> first;
  for (unsigned threads : {1u, 2u, 5u}) {
    HfWriteOptions options;
    options.maxShardBytes = 20'000'000;
    fs::path path = folder / fmt::format("out{}", threads);
    auto result = write(**in, path, options, threads);
    ASSERT_TRUE(result) << messageOf(result);
    std::vector<std::string> contents;
    for (const std::string &file : result->files)
      contents.push_back(readText(path / file));
    if (first.empty())
      first = contents;
    EXPECT_TRUE(contents == first) << threads;
    auto out = HfFolder::open(path);
    ASSERT_TRUE(out) << messageOf(out);
    for (const TestTensor &t : tensors)
      ASSERT_TRUE(readTensor(**out, t.name) == t.data()) << t.name;
  }
}

TEST(SafetensorsWriter, NothingAtAll) {
  TempFolder folder;
  auto result = write(Shapes({}), folder / "out");
  ASSERT_TRUE(result) << messageOf(result);
  EXPECT_EQ(readText(folder / "out/model.safetensors").substr(8),
            "{\"__metadata__\":{\"format\":\"pt\"}}");
  EXPECT_TRUE(HfFolder::open(folder / "out"));
}

TEST(SafetensorsWriter, Sparse) {
  TempFolder folder;
  Shapes set({{"x", DType::BF16, {1 << 16, 1 << 14}},
              {"y", DType::F32, {1 << 16, 1 << 14}}});
  HfWriteOptions options;
  options.sparse = true;
  options.maxShardBytes = 3'000'000'000;
  auto result = write(set, folder / "out", options);
  ASSERT_TRUE(result) << messageOf(result);
  EXPECT_EQ(result->files.size(), 2u);
  auto out = HfFolder::open(folder / "out");
  ASSERT_TRUE(out) << messageOf(out);
  EXPECT_EQ((*out)->tensors().size(), 2u);
  struct stat info;
  ASSERT_EQ(::stat((folder / "out" / shard1).c_str(), &info), 0);
  EXPECT_LT(info.st_blocks, 100);
}

TEST(SafetensorsWriter, DiskThatIsTooSmallIsKnownBeforeTheCopy) {
  TempFolder folder;
  Shapes set({{"x", DType::U8, {int64_t(1) << 50}}});
  auto result = write(set, folder / "out");
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind, ErrorKind::System);
  EXPECT_NE(result.error().message.find("bytes"), std::string::npos);
}

// The source changes or is damaged while it is read.
TEST(SafetensorsWriter, TruncatedSourceIsAnError) {
  TempFolder folder;
  makeSharded(folder / "in");
  auto in = HfFolder::open(folder / "in");
  ASSERT_TRUE(in);
  fs::resize_file(folder / "in" / shard1,
                  fs::file_size(folder / "in" / shard1) - 1);
  EXPECT_REFUSED(write(**in, folder / "out"),
                 std::string(shard1) + ": ends at");
}

TEST(SafetensorsWriter, MemoryDoesNotDependOnTheTensor) {
#ifdef MBC_SANITIZED
  GTEST_SKIP() << "the sanitizer's own memory would be counted";
#endif
  TempFolder folder;
  constexpr int64_t size = 512 << 20;
  fs::create_directories(folder / "in");
  ASSERT_TRUE(createSparse(
      folder / "in/model.safetensors",
      buildSafetensorsHeader({tensor("x", size).info()}, std::nullopt)));
  auto in = HfFolder::open(folder / "in");
  ASSERT_TRUE(in);
  auto kilobytes = [](const char *what) {
    std::string status = readText("/proc/self/status");
    return std::stol(status.substr(status.find(what) + std::strlen(what)));
  };
  // Forgets the peak of the tests before; what they left in the heap is not
  // the writer's.
  writeText("/proc/self/clear_refs", "5");
  long before = kilobytes("VmRSS:");
  ASSERT_TRUE(write(**in, folder / "out", {}, 8));
  EXPECT_LT(kilobytes("VmHWM:") - before, 80 << 10) << "kB";
  fs::remove_all(folder / "out");
}
