#include "runtime/io/HfFolder.h"
#include "test/Unit/IO/HfFixture.h"

using namespace mbc;
using namespace mbc::test;
namespace fs = std::filesystem;

static bool hasNote(const HfFolder &folder, std::string_view part) {
  for (const std::string &note : folder.notes())
    if (note.find(part) != std::string::npos)
      return true;
  return false;
}

TEST(HfFolder, OpensASingleFile) {
  TempFolder folder;
  writeText(folder / "config.json", "{}");
  writeText(folder / "model.safetensors", fileOf({tensorA, tensorB}));
  auto hf = HfFolder::open(folder.path());
  ASSERT_TRUE(hf) << messageOf(hf);
  EXPECT_EQ((*hf)->tensors().size(), 2u);
  EXPECT_EQ((*hf)->shards().size(), 1u);
  EXPECT_EQ((*hf)->indexPath(), "");
  EXPECT_EQ((*hf)->configPath(), folder / "config.json");
  EXPECT_EQ(readTensor(**hf, "a"), tensorA.data());
  EXPECT_EQ(readTensor(**hf, "b"), tensorB.data());
  EXPECT_EQ((*hf)->find("none"), -1);
  EXPECT_TRUE((*hf)->notes().empty());
}

TEST(HfFolder, OpensShards) {
  TempFolder folder;
  makeSharded(folder.path());
  auto opened = HfFolder::open(folder.path());
  ASSERT_TRUE(opened) << messageOf(opened);
  const HfFolder &hf = **opened;
  ASSERT_EQ(hf.shards().size(), 2u);
  EXPECT_EQ(hf.shards()[0].file, shard1);
  EXPECT_EQ(hf.shards()[1].firstTensor, 2u);
  EXPECT_EQ(hf.shards()[1].tensorCount, 3u);
  EXPECT_EQ(hf.shards()[0].metadata, (SafetensorsMetadata{{"format", "pt"}}));
  EXPECT_EQ(safetensorsBytes(hf.shards()[0].rawHeader, ""),
            readText(folder / shard1).substr(0, hf.shards()[0].dataStart));
  EXPECT_EQ(hf.indexPath(), folder / indexFile);
  for (const TestTensor &t : {tensorA, tensorB, tensorC, tensorD, tensorE})
    EXPECT_EQ(readTensor(hf, t.name), t.data()) << t.name;
  EXPECT_EQ(hf.shardOf(static_cast<size_t>(hf.find("c"))), 1u);
  EXPECT_EQ(hf.sideFiles(),
            (std::vector<std::string>{"config.json", "tokenizer.json"}));
}

TEST(HfFolder, LocatesParts) {
  TempFolder folder;
  makeSharded(folder.path());
  auto hf = HfFolder::open(folder.path());
  ASSERT_TRUE(hf);
  auto index = static_cast<size_t>((*hf)->find("a"));
  std::vector<Extent> extents;
  (*hf)->locate(index, 5, 4, 100, extents);
  ASSERT_EQ(extents.size(), 1u);
  EXPECT_EQ(extents[0].offset,
            (*hf)->shards()[0].dataStart + tensorB.info().bytes() + 10);
  EXPECT_EQ(extents[0].count, 4);
  EXPECT_EQ(extents[0].dest, 100);
  std::string part(8, '?');
  ExtentReader reader(**hf);
  ASSERT_TRUE(
      reader.read(index, 5, 4, std::as_writable_bytes(std::span(part))));
  EXPECT_EQ(part, tensorA.data().substr(10, 8));
}

TEST(HfFolder, AcceptsLegalOddities) {
  TempFolder folder;
  fs::create_directories(folder / "original");
  writeText(folder / ".gitattributes", "x");
  writeText(folder / "weird name.txt", "x");
  writeText(folder / "pytorch_model.bin", "x");
  writeText(folder / "consolidated.safetensors", "not even read");
  writeText(folder / "model-1-of-27.safetensors", fileOf({tensorA}));
  writeText(folder / "x.safetensors.index.json",
            R"({"weight_map":{"a":"model-1-of-27.safetensors"}})");
  auto hf = HfFolder::open(folder.path());
  ASSERT_TRUE(hf) << messageOf(hf);
  EXPECT_EQ(readTensor(**hf, "a"), tensorA.data());
  EXPECT_EQ((*hf)->sideFiles(), (std::vector<std::string>{"weird name.txt"}));
  EXPECT_TRUE(hasNote(**hf, "'consolidated.safetensors' is not a part"));
  EXPECT_TRUE(hasNote(**hf, "original"));
  EXPECT_TRUE(hasNote(**hf, "pytorch_model.bin"));
}

// transformers reads the single file, so mbc must not convert another model.
TEST(HfFolder, SingleFileBesideShards) {
  TempFolder folder;
  makeSharded(folder.path());
  TestTensor other{"other", DType::F32, {2}};
  writeText(folder / "model.safetensors", fileOf({other}));
  auto hf = HfFolder::open(folder.path());
  ASSERT_TRUE(hf) << messageOf(hf);
  EXPECT_EQ(readTensor(**hf, "other"), other.data());
  EXPECT_EQ((*hf)->tensors().size(), 1u);
  EXPECT_EQ((*hf)->indexPath(), "");
  EXPECT_TRUE(hasNote(**hf, "'model.safetensors' is read, as transformers"));
}

TEST(HfFolder, IndexThatNamesTheSingleFile) {
  TempFolder folder;
  writeText(folder / "model.safetensors", fileOf({tensorA}));
  writeText(folder / indexFile, indexOf({{"a", "model.safetensors"}}));
  auto hf = HfFolder::open(folder.path());
  ASSERT_TRUE(hf) << messageOf(hf);
  EXPECT_EQ((*hf)->indexPath(), folder / indexFile);
  EXPECT_TRUE((*hf)->notes().empty());
}

TEST(HfFolder, RefusesFoldersWithoutWeights) {
  TempFolder folder;
  EXPECT_REFUSED(HfFolder::open(folder / "none"), "no such folder");
  writeText(folder / "file", "x");
  EXPECT_REFUSED(HfFolder::open(folder / "file"), "is not a folder");
  EXPECT_REFUSED(HfFolder::open(folder.path()), "has no weights");
  writeText(folder / "model.gguf", "x");
  EXPECT_REFUSED(HfFolder::open(folder.path()),
                 "has no safetensors weights, only 'model.gguf'");
  writeText(folder / "pytorch_model.bin", "x");
  EXPECT_REFUSED(HfFolder::open(folder.path()), "safe_serialization=True");
  writeText(folder / shard1, fileOf({tensorA}));
  EXPECT_REFUSED(HfFolder::open(folder.path()), "nor an index");
}

TEST(HfFolder, RefusesAnAdapterInTheFolder) {
  TempFolder folder;
  makeSharded(folder.path());
  writeText(folder / "adapter_model.safetensors", fileOf({tensorA}));
  EXPECT_REFUSED(HfFolder::open(folder.path()), "is an adapter");
}

TEST(HfFolder, RefusesBadIndexes) {
  TempFolder folder;
  makeSharded(folder.path());
  auto refused = [&](std::string_view index, std::string_view message) {
    writeText(folder / indexFile, index);
    EXPECT_REFUSED(HfFolder::open(folder.path()), message);
  };
  std::string at = (folder / indexFile).string();
  refused("{", at + ": the JSON text ends");
  refused("[]", "the index is not an object");
  refused("{}", "has no 'weight_map'");
  refused(R"({"weight_map":[]})", "'weight_map' is not an object");
  refused(R"({"weight_map":{}})", "'weight_map' is empty");
  refused(R"({"weight_map":{"a":1}})", "the file of 'a' is not a string");
  refused(R"({"weight_map":{},"weight_map":{}})", "duplicate key 'weight_map'");
  refused(indexOf({{"a", shard1}, {"b", shard1}, {"a", shard1}}),
          "tensor 'a' is in 'weight_map' twice");
  for (const char *bad : {"../x.safetensors", "/etc/passwd", "..", ".", "",
                          "sub/x.safetensors", "a\\\\b"})
    refused(indexOf({{"a", bad}}), "is not a file name in this folder");
  refused(
      indexOf({{"a", shard1}, {"b", shard1}, {"c", "model-00003.safetensors"}}),
      "model-00003.safetensors: the index names it, but there is no such "
      "file (1 of 2 shards are missing)");
  refused(indexOf({{"a", shard1},
                   {"b", shard1},
                   {"c", shard2},
                   {"d", shard2},
                   {"e", shard2},
                   {"ghost", shard2}}),
          at + ": tensor 'ghost' is mapped to '" + shard2 +
              "', but no file has it");
  refused(indexOf({{"a", shard2},
                   {"b", shard1},
                   {"c", shard2},
                   {"d", shard2},
                   {"e", shard2}}),
          at + ": tensor 'a' is mapped to '" + shard2 + "', but it is in '" +
              shard1 + "'");
  refused(indexOf({{"a", shard1}, {"b", shard1}, {"c", shard2}, {"d", shard2}}),
          "tensor 'e' is not in the index 'model.safetensors.index.json'");
}

TEST(HfFolder, RefusesATensorInTwoShards) {
  TempFolder folder;
  makeSharded(folder.path());
  writeText(folder / shard2, fileOf({tensorC, tensorA, tensorD, tensorE}));
  EXPECT_REFUSED(HfFolder::open(folder.path()),
                 (folder / shard2).string() + ": tensor 'a' is also in '" +
                     shard1 + "'");
}

TEST(HfFolder, RefusesSeveralIndexes) {
  TempFolder folder;
  makeSharded(folder.path());
  fs::rename(folder / indexFile, folder / "a.safetensors.index.json");
  EXPECT_TRUE(HfFolder::open(folder.path()));
  writeText(folder / "b.safetensors.index.json", "{}");
  EXPECT_REFUSED(HfFolder::open(folder.path()), "has several indexes");
}

TEST(HfFolder, RefusesDamagedShards) {
  TempFolder folder;
  makeSharded(folder.path());
  std::string good = readText(folder / shard2);
  writeText(folder / shard2, good.substr(0, good.size() - 1));
  EXPECT_REFUSED(HfFolder::open(folder.path()),
                 (folder / shard2).string() +
                     ": tensor 'e' ends at byte 13, beyond the data (12 "
                     "bytes); the file is truncated?");
  writeText(folder / shard2,
            "version https://git-lfs.github.com/spec/v1\noid sha256:0\n");
  EXPECT_REFUSED(HfFolder::open(folder.path()), "git lfs pull");
}

TEST(HfFolder, LinksMayLeadIntoTheFolderOrTheHubCache) {
  TempFolder folder;
  fs::path snapshot = folder / "hub/snapshots/0123";
  fs::path blobs = folder / "hub/blobs";
  makeSharded(snapshot);
  fs::create_directories(blobs);
  fs::create_directories(folder / "elsewhere");
  auto linkTo = [&](const char *name, const fs::path &to) {
    if (!fs::exists(to))
      fs::copy_file(snapshot / name, to);
    fs::remove(snapshot / name);
    fs::create_symlink(fs::relative(to, snapshot), snapshot / name);
  };
  linkTo(shard1, blobs / "aa11");
  linkTo(indexFile, blobs / "bb22");
  linkTo("config.json", blobs / "cc33");
  linkTo(shard2, snapshot / "inside.bin");
  auto hf = HfFolder::open(snapshot);
  ASSERT_TRUE(hf) << messageOf(hf);
  EXPECT_EQ(readTensor(**hf, "a"), tensorA.data());
  // The folder itself may be a link.
  fs::create_directory_symlink(snapshot, folder / "model");
  EXPECT_TRUE(HfFolder::open(folder / "model"));

  for (const char *name : {shard1, indexFile, "config.json"}) {
    fs::path before = fs::read_symlink(snapshot / name);
    linkTo(name, folder / "elsewhere" / name);
    EXPECT_REFUSED(HfFolder::open(snapshot), "is a symbolic link out of");
    fs::remove(snapshot / name);
    fs::create_symlink("../../blobs/none", snapshot / name);
    EXPECT_REFUSED(HfFolder::open(snapshot), "that leads nowhere");
    fs::remove(snapshot / name);
    fs::create_symlink(before, snapshot / name);
    EXPECT_TRUE(HfFolder::open(snapshot));
  }
}

TEST(HfFolder, RefusesOddFiles) {
  TempFolder folder;
  writeText(folder / "model.safetensors", fileOf({tensorA}));
  ASSERT_EQ(::mkfifo((folder / "pipe.json").c_str(), 0600), 0);
  EXPECT_REFUSED(HfFolder::open(folder.path()), "is not a regular file");
}

TEST(HfFolder, OpensAHundredThousandTensors) {
  TempFolder folder;
  constexpr int shards = 100, each = 1000;
  std::vector<std::pair<std::string, std::string>> entries;
  for (int s = 0; s < shards; ++s) {
    std::string file = fmt::format("model-{:05}.safetensors", s);
    std::vector<TensorInfo> infos;
    for (int t = 0; t < each; ++t) {
      infos.push_back(
          {fmt::format("model.layers.{}.mlp.experts.{}.down_proj.weight", s, t),
           DType::BF16,
           {7168, 2048}});
      entries.emplace_back(infos.back().name, file);
    }
    ASSERT_TRUE(createSparse(folder / file,
                             buildSafetensorsHeader(infos, std::nullopt)));
  }
  writeText(folder / indexFile, indexOf(entries));
  auto hf = HfFolder::open(folder.path());
  ASSERT_TRUE(hf) << messageOf(hf);
  EXPECT_EQ((*hf)->tensors().size(), size_t(shards * each));
  EXPECT_GE((*hf)->find("model.layers.99.mlp.experts.999.down_proj.weight"), 0);
}
