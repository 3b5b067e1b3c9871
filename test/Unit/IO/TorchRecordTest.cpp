#include "runtime/io/TorchRecord.h"
#include "runtime/io/PickleWriter.h"
#include "runtime/io/TrainState.h"
#include "test/Unit/TempFolder.h"

#include <cstring>
#include <gtest/gtest.h>

using namespace mbc;
using namespace mbc::test;
using namespace std::string_literals;

namespace {

std::span<const std::byte> bytesOfText(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

/// What a tensor is rebuilt from, for records that are not like ours.
struct Description {
  std::string storageType = "FloatStorage";
  std::string key = "0";
  int64_t numel = 12;
  int64_t offset = 0;
  std::vector<int64_t> shape = {3, 4};
  std::vector<int64_t> strides = {4, 1};
  std::string function = "_rebuild_tensor_v2";
  bool parameter = false;
};

std::string pickleOf(const Description &d) {
  PickleWriter w;
  if (d.parameter) {
    w.global("torch._utils", "_rebuild_parameter");
    w.mark();
  }
  w.global("torch._utils", d.function);
  w.mark();
  w.mark();
  w.string("storage");
  w.global("torch", d.storageType);
  w.string(d.key);
  w.string("cuda:0");
  w.integer(d.numel);
  w.tuple();
  w.persistentId();
  w.integer(d.offset);
  w.tuple(d.shape);
  w.tuple(d.strides);
  w.boolean(false);
  w.global("collections", "OrderedDict");
  w.emptyTuple();
  w.reduce();
  w.tuple();
  w.reduce();
  if (d.parameter) {
    w.boolean(true);
    w.none();
    w.tuple();
    w.reduce();
  }
  return w.finish();
}

class TorchRecordTest : public testing::Test {
protected:
  void SetUp() override {
    for (int i = 0; i < 12; ++i)
      floats += std::string(reinterpret_cast<const char *>(&i), 4);
  }
  Expected<TorchTensorLocation> locate(const std::string &bytes) {
    auto path = folder / "record";
    std::filesystem::remove(path);
    writeText(path, "junk" + bytes + "junk");
    auto opened = File::openRead(path);
    EXPECT_TRUE(opened);
    file.emplace(std::move(*opened));
    return locateTorchTensor(*file, 4, bytes.size());
  }
  Expected<TorchTensorLocation> locate(const Description &d) {
    return locate(torchSavePickle(pickleOf(d), std::vector{floats}));
  }
  TempFolder folder;
  std::optional<File> file;
  std::string floats;
};

TEST_F(TorchRecordTest, RoundTrip) {
  for (DType dtype : {DType::BF16, DType::F16, DType::F32, DType::F64,
                      DType::I64, DType::I32, DType::I16, DType::I8, DType::U8,
                      DType::Bool, DType::F8E4M3, DType::F8E5M2, DType::U16})
    for (std::vector<int64_t> shape : std::vector<std::vector<int64_t>>{
             {}, {5}, {2, 3}, {1, 7, 300}, {2, 2, 2, 2, 2}, {0}, {3, 0, 2}}) {
      TorchTensorRecord record(dtype, shape);
      std::string payload(record.payloadSize(), 'p');
      std::string bytes = record.header() + payload +
                          record.trailer(crc32Of(bytesOfText(payload)));
      EXPECT_EQ(bytes.size(), record.totalSize());
      EXPECT_EQ(record.payloadOffset() % 64, 0u);
      auto location = locate(bytes);
      ASSERT_TRUE(location) << location.error().message;
      EXPECT_EQ(location->dtype, dtype);
      EXPECT_EQ(location->shape, shape);
      EXPECT_EQ(location->offset, 4 + record.payloadOffset());
      auto zip = ZipArchive::open(*file, 4, bytes.size());
      ASSERT_TRUE(zip);
      for (const ZipArchive::Entry &entry : zip->entries())
        EXPECT_EQ(*zip->verify(entry), true);
    }
}

TEST_F(TorchRecordTest, LayoutNeedsNoPayload) {
  // 8 GiB: sizes of 64 bits in the header, the descriptor and the directory.
  TorchTensorRecord record(DType::BF16, std::vector<int64_t>{4, 1 << 30});
  EXPECT_EQ(record.payloadSize(), uint64_t(8) << 30);
  EXPECT_EQ(record.payloadOffset() + record.payloadSize() +
                record.trailer(1).size(),
            record.totalSize());
}

TEST_F(TorchRecordTest, ForeignTensors) {
  auto location = locate(Description{});
  ASSERT_TRUE(location) << location.error().message;
  uint64_t begin = location->offset;
  location = locate({.parameter = true});
  ASSERT_TRUE(location) << location.error().message;
  // A view: rows 1 and 2, of a storage with three.
  location = locate({.offset = 4, .shape = {2, 4}});
  ASSERT_TRUE(location) << location.error().message;
  EXPECT_EQ(location->offset, begin + 16);
  // Strides of dimensions of size 1 say nothing.
  EXPECT_TRUE(locate({.shape = {1, 4}, .strides = {77, 1}}));
}

TEST_F(TorchRecordTest, RefusesByName) {
  EXPECT_REFUSED(locate({.shape = {4, 3}, .strides = {1, 4}}),
                 "a tensor of shape [4, 3] with strides [1, 4] is not "
                 "contiguous");
  EXPECT_REFUSED(locate({.offset = 1}),
                 "a tensor of shape [3, 4] and dtype float32 does not fit in "
                 "its storage of 48 bytes");
  EXPECT_REFUSED(locate({.numel = 13}), "entry 'archive/data/0' has 48 bytes, "
                                        "its tensor needs 52");
  EXPECT_REFUSED(locate({.key = "1"}), "no entry 'data/1'");
  EXPECT_REFUSED(locate({.storageType = "QInt8Storage"}),
                 "unsupported storage type torch.QInt8Storage");
  EXPECT_REFUSED(locate({.shape = {3, 4, 1}}), "malformed size");
  EXPECT_REFUSED(locate({.shape = {int64_t(1) << 62, int64_t(1) << 62}}),
                 "is too large");
  EXPECT_REFUSED(locate({.function = "_rebuild_sparse_tensor"}),
                 "found a call of torch._utils._rebuild_sparse_tensor");
  EXPECT_REFUSED(locate({.offset = -1}), "malformed size, stride or offset");
  EXPECT_REFUSED(locate(torchSavePickle("\x80\x02"
                                        "cos\nsystem\nX\x02\0\0\0id\x85R."s,
                                        {})),
                 "forbidden global 'os.system'");
  EXPECT_REFUSED(locate(torchSaveObject(PickleValue::integral(3))),
                 "expected a tensor, found an int");
}

TEST_F(TorchRecordTest, TruncationAnywhereIsAnError) {
  std::string bytes = torchSavePickle(pickleOf({}), std::vector{floats});
  auto path = folder / "record";
  writeText(path, bytes);
  auto opened = File::openRead(path);
  ASSERT_TRUE(opened);
  for (size_t length = 0; length < bytes.size(); ++length)
    EXPECT_FALSE(locateTorchTensor(*opened, 0, length)) << length;
  EXPECT_TRUE(locateTorchTensor(*opened, 0, bytes.size()));
}

TEST_F(TorchRecordTest, Objects) {
  PickleValue value = PickleValue::list({PickleValue::none()});
  std::string bytes = torchSaveObject(value, "common");
  auto path = folder / "common.pt";
  writeText(path, bytes);
  auto opened = File::openRead(path);
  ASSERT_TRUE(opened);
  auto copy = readTorchObject(*opened, 0, bytes.size(), commonPickleGlobal);
  ASSERT_TRUE(copy) << copy.error().message;
  ASSERT_EQ(copy->kind, PickleKind::List);
  EXPECT_EQ(copy->items.size(), 1u);
}

TEST_F(TorchRecordTest, TrainState) {
  TrainState state;
  state.step = 1234567890123;
  state.consumedTrainSamples = 7;
  state.floatingPointOperationsSoFar = 1.5e20;
  state.doValid = true;
  auto path = folder / "train_state.pt";
  writeText(path, encodeTrainState(state));
  auto copy = readTrainState(path);
  ASSERT_TRUE(copy) << copy.error().message;
  EXPECT_EQ(copy->step, state.step);
  EXPECT_EQ(copy->consumedTrainSamples, 7);
  EXPECT_EQ(float(copy->floatingPointOperationsSoFar), 1.5e20f);
  EXPECT_FALSE(copy->doTrain);
  EXPECT_TRUE(copy->doValid);

  std::filesystem::remove(path);
  writeText(path, torchSaveObject(PickleValue::dict({})));
  EXPECT_REFUSED(readTrainState(path), "no entry 'step'");
}

} // namespace
