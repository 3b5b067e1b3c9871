#include "runtime/io/LegacyTorch.h"
#include "runtime/io/LegacyTorchWriter.h"
#include "runtime/io/PickleWriter.h"
#include "runtime/io/TorchRecord.h"
#include "test/Unit/TempFolder.h"

#include <gtest/gtest.h>

namespace fs = std::filesystem;
using namespace mbc;
using namespace mbc::test;

namespace {

/// Tensors whose bytes lie one behind the other in one file.
class Stored : public TensorSet {
public:
  Stored(const fs::path &path, std::vector<TensorInfo> tensors) : offsets{0} {
    infos = std::move(tensors);
    std::string text;
    for (const TensorInfo &info : infos) {
      for (uint64_t i = 0; i < info.bytes(); ++i)
        text.push_back(static_cast<char>((i * 7 + offsets.size()) % 251));
      offsets.push_back(text.size());
    }
    writeText(path, text);
    paths.push_back(path.string());
    bytes = std::move(text);
    indexNames();
  }
  void locate(size_t index, int64_t begin, int64_t count, int64_t dest,
              std::vector<Extent> &out) const override {
    DType dtype = infos[index].dtype;
    out.push_back(
        {0, offsets[index] + bytesOf(dtype, begin), count, dest, dtype});
  }
  std::string bytesOfTensor(size_t index) const {
    return bytes.substr(offsets[index], offsets[index + 1] - offsets[index]);
  }

private:
  std::vector<uint64_t> offsets;
  std::string bytes;
};

class LegacyTorchTest : public ::testing::Test {
protected:
  LegacyTorchTest()
      : set(temp / "weights",
            {{"a", DType::BF16, {3, 4}},
             {"big", DType::F32, {1100, 1024}}, // more than one part
             {"none", DType::F32, {0, 4}}}) {}

  LegacyTorchSpec spec(std::string key = "model") const {
    LegacyTorchSpec spec;
    spec.head = {{"args", PickleValue::argparseNamespace(
                              {{"num_layers", PickleValue::integral(2)}})},
                 {"checkpoint_version", PickleValue::floating(3.0)},
                 {"iteration", PickleValue::integral(0)}};
    spec.models = {{std::move(key),
                    {{"first.weight", 0},
                     {"first._extra_state", -1},
                     {"second.weight", 1},
                     {"empty.weight", 2}}}};
    return spec;
  }
  Status write(const LegacyTorchSpec &spec, const std::string &rank,
               unsigned threads = 2) {
    Progress progress("writing", 0, Progress::Mode::Quiet);
    fs::create_directories(temp / "iter" / rank);
    fs::path path = temp / "iter" / rank / "model_optim_rng.pt";
    fs::remove(path);
    return writeLegacyTorch(set, spec, path, progress, threads);
  }

  TempFolder temp;
  Stored set;
};

TEST_F(LegacyTorchTest, WritesWhatTorchSaves) {
  ASSERT_TRUE(write(spec(), "mp_rank_00"));
  // The same dict, pickled call by call.
  PickleWriter out;
  out.emptyDict();
  out.mark();
  for (const auto &[key, value] : spec().head) {
    out.string(key);
    out.value(value);
  }
  out.string("model");
  out.global("collections", "OrderedDict");
  out.emptyTuple();
  out.reduce();
  out.mark();
  out.string("first.weight");
  writeTorchTensor(out, DType::BF16, set.tensors()[0].shape, "0");
  out.string("first._extra_state");
  out.none();
  out.string("second.weight");
  writeTorchTensor(out, DType::F32, set.tensors()[1].shape, "1");
  out.string("empty.weight");
  writeTorchTensor(out, DType::F32, set.tensors()[2].shape, "2");
  out.setItems();
  out.setItems();
  std::vector<std::string> storages;
  for (size_t i = 0; i < 3; ++i)
    storages.push_back(set.bytesOfTensor(i));
  std::string expected =
      torchSavePickle(out.finish(), storages, "model_optim_rng");
  fs::path path = temp / "iter" / "mp_rank_00" / "model_optim_rng.pt";
  EXPECT_TRUE(readText(path) == expected);
  ASSERT_TRUE(write(spec(), "mp_rank_00", 1));
  EXPECT_TRUE(readText(path) == expected) << "with another number of threads";
}

TEST_F(LegacyTorchTest, ReadsItInPlace) {
  for (const char *rank : {"mp_rank_00_000", "mp_rank_00_001"}) {
    LegacyTorchSpec two = spec("model0");
    two.models.push_back({"model1", {{"first.weight", 0}}});
    ASSERT_TRUE(write(two, rank));
  }
  writeText(temp / "iter" / "mp_rank_00_001" / "distrib_optim.pt", "x");
  auto files = LegacyTorchFiles::open(temp / "iter");
  ASSERT_TRUE(files) << messageOf(files);
  ASSERT_EQ((*files)->ranks().size(), 2u);
  EXPECT_EQ((*files)->ranks()[1].numbers, (std::vector<uint32_t>{0, 1}));
  EXPECT_EQ((*files)->ranks()[1].chunks, 2u);
  EXPECT_EQ((*files)->argument("num_layers"), 2);
  EXPECT_EQ((*files)->argument("seed"), std::nullopt);
  EXPECT_EQ((*files)->skipped().at("distrib_optim.pt"), 1u);
  ASSERT_EQ((*files)->tensors().size(), 8u);

  int64_t big = (*files)->find("mp_rank_00_001/model0/second.weight");
  ASSERT_GE(big, 0);
  EXPECT_EQ((*files)->tensors()[big].shape, set.tensors()[1].shape);
  ExtentReader reader(**files);
  std::vector<std::byte> read((*files)->tensors()[big].bytes());
  ASSERT_TRUE(reader.read(big, 0, (*files)->tensors()[big].elements(), read));
  EXPECT_TRUE(std::string(reinterpret_cast<char *>(read.data()), read.size()) ==
              set.bytesOfTensor(1));
  EXPECT_EQ((*files)->verifyCrc(2), 0u);

  int64_t small = (*files)->find("mp_rank_00_000/model1/first.weight"),
          copy = (*files)->find("mp_rank_00_001/model0/first.weight");
  EXPECT_TRUE((*files)->checkEqual(small, copy));
  EXPECT_REFUSED((*files)->checkEqual(small, big), "ranks disagree");
}

TEST_F(LegacyTorchTest, ABitTooMuchIsSeen) {
  ASSERT_TRUE(write(spec(), "mp_rank_00"));
  fs::path path = temp / "iter" / "mp_rank_00" / "model_optim_rng.pt";
  std::string text = readText(path);
  text[text.find(set.bytesOfTensor(0))] ^= 1;
  writeText(path, text);
  auto files = LegacyTorchFiles::open(temp / "iter");
  ASSERT_TRUE(files);
  EXPECT_REFUSED((*files)->verifyCrc(1), "CRC");
}

TEST_F(LegacyTorchTest, RanksOfDifferentRunsAreRefused) {
  ASSERT_TRUE(write(spec(), "mp_rank_00"));
  LegacyTorchSpec other = spec();
  other.head[2].second = PickleValue::integral(5);
  ASSERT_TRUE(write(other, "mp_rank_01"));
  EXPECT_REFUSED(LegacyTorchFiles::open(temp / "iter"),
                 "mp_rank_01 has iteration 5, mp_rank_00 has 0");
  other = spec();
  other.head[0].second =
      PickleValue::argparseNamespace({{"num_layers", PickleValue::none()}});
  ASSERT_TRUE(write(other, "mp_rank_01"));
  EXPECT_REFUSED(LegacyTorchFiles::open(temp / "iter"), "num_layers");
  ASSERT_TRUE(write(spec("model0"), "mp_rank_01"));
  EXPECT_TRUE(LegacyTorchFiles::open(temp / "iter"));

  fs::rename(temp / "iter" / "mp_rank_01", temp / "iter" / "mp_rank_02");
  EXPECT_REFUSED(LegacyTorchFiles::open(temp / "iter"),
                 "there is no folder 'mp_rank_01'");
  fs::rename(temp / "iter" / "mp_rank_02", temp / "iter" / "mp_rank_01_000");
  EXPECT_REFUSED(LegacyTorchFiles::open(temp / "iter"), "different layouts");
  fs::rename(temp / "iter" / "mp_rank_01_000", temp / "iter" / "mp_rank_x");
  EXPECT_REFUSED(LegacyTorchFiles::open(temp / "iter"), "'mp_rank_x'");
  fs::remove_all(temp / "iter" / "mp_rank_x");

  other = spec();
  other.head.erase(other.head.begin() + 1);
  ASSERT_TRUE(write(other, "mp_rank_00"));
  EXPECT_REFUSED(LegacyTorchFiles::open(temp / "iter"),
                 "checkpoint_version is not stated");
  ASSERT_TRUE(write(spec("model1"), "mp_rank_00"));
  EXPECT_REFUSED(LegacyTorchFiles::open(temp / "iter"), "1 of 2");
  ASSERT_TRUE(write(spec("weights"), "mp_rank_00"));
  EXPECT_REFUSED(LegacyTorchFiles::open(temp / "iter"), "no 'model'");
}

} // namespace
