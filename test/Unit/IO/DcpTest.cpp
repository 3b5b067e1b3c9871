#include "runtime/io/DcpMetadata.h"
#include "runtime/io/PickleWriter.h"
#include "runtime/io/TorchDist.h"
#include "runtime/io/TorchDistWriter.h"
#include "runtime/io/TorchRecord.h"
#include "runtime/io/TrainState.h"
#include "test/Unit/TempFolder.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <random>

using namespace mbc;
using namespace mbc::test;
using namespace std::string_literals;
namespace fs = std::filesystem;

namespace {

//===----------------------------------------------------------------------===//
// Tilings
//===----------------------------------------------------------------------===//

struct Box {
  std::vector<int64_t> offsets, sizes;
};

struct Tiling {
  std::vector<int64_t> shape, numbers;
  BoxList list;
  Tiling(std::vector<int64_t> shapeOf, std::vector<Box> boxes)
      : shape(std::move(shapeOf)) {
    std::ranges::sort(boxes, {}, &Box::offsets);
    for (const Box &box : boxes) {
      numbers.insert(numbers.end(), box.offsets.begin(), box.offsets.end());
      numbers.insert(numbers.end(), box.sizes.begin(), box.sizes.end());
    }
    list.shape = shape;
    list.numbers = numbers;
    list.count = boxes.size();
  }
};

/// Every element is found once, at its place in its box.
void checkTiling(std::vector<int64_t> shape, std::vector<Box> boxes) {
  Tiling tiling(std::move(shape), std::move(boxes));
  auto built = BoxTiling::build(tiling.list);
  ASSERT_TRUE(built) << built.error().message;
  int64_t total = checkedVolume(tiling.shape), next = 0;
  built->forEachRun(
      tiling.list, 0, total,
      [&](size_t box, int64_t local, int64_t at, int64_t count) {
        ASSERT_EQ(at, next);
        ASSERT_GT(count, 0);
        next += count;
        for (int64_t i = 0; i < count; ++i) {
          // Element `local + i` of the box, as a position in the tensor.
          int64_t rest = local + i, position = 0, stride = 1;
          for (size_t axis = tiling.shape.size(); axis-- > 0;) {
            int64_t size = tiling.list.sizes(box)[axis];
            position += (tiling.list.offsets(box)[axis] + rest % size) * stride;
            rest /= size;
            stride *= tiling.shape[axis];
          }
          ASSERT_EQ(rest, 0);
          ASSERT_EQ(position, at + i);
        }
      });
  EXPECT_EQ(next, total);
}

std::string tilingError(std::vector<int64_t> shape, std::vector<Box> boxes) {
  Tiling tiling(std::move(shape), std::move(boxes));
  auto built = BoxTiling::build(tiling.list);
  return built ? "none" : built.error().message;
}

TEST(BoxTiling, FindsEveryElement) {
  checkTiling({}, {{{}, {}}});
  checkTiling({7}, {{{0}, {3}}, {{3}, {4}}});
  checkTiling({3, 4}, {{{0, 0}, {3, 4}}});
  checkTiling({3, 4}, {{{0, 0}, {1, 4}}, {{1, 0}, {2, 4}}});
  checkTiling(
      {2, 6, 3},
      {{{0, 0, 0}, {1, 4, 3}}, {{0, 4, 0}, {1, 2, 3}}, {{1, 0, 0}, {1, 6, 3}}});
  checkTiling({3, 4}, {{{0, 0}, {3, 1}}, {{0, 1}, {3, 3}}});
  checkTiling(
      {4, 6},
      {{{0, 0}, {2, 3}}, {{0, 3}, {2, 3}}, {{2, 0}, {2, 5}}, {{2, 5}, {2, 1}}});
  // A middle axis cut, the others whole.
  checkTiling({2, 4, 3}, {{{0, 0, 0}, {2, 1, 3}}, {{0, 1, 0}, {2, 3, 3}}});
  // A pinwheel: no plane separates the five.
  checkTiling({3, 3}, {{{0, 0}, {1, 2}},
                       {{0, 2}, {2, 1}},
                       {{2, 1}, {1, 2}},
                       {{1, 0}, {2, 1}},
                       {{1, 1}, {1, 1}}});
  // With a box without elements, and without any element.
  checkTiling({4}, {{{0}, {4}}, {{4}, {0}}});
  checkTiling({0, 3}, {{{0, 0}, {0, 3}}});
}

TEST(BoxTiling, RefusesByName) {
  EXPECT_EQ(tilingError({4, 4}, {}), "no chunks");
  EXPECT_EQ(tilingError({4}, {{{0}, {2}}}),
            "1 chunks have 2 elements in all, the shape [4] has 4");
  EXPECT_EQ(tilingError({4}, {{{0}, {1}}, {{2}, {2}}}),
            "a gap before the chunk at [2] of size [2]");
  EXPECT_EQ(tilingError({4}, {{{0}, {3}}, {{2}, {2}}}),
            "chunk at [0] of size [3] overlaps chunk at [2] of size [2]");
  EXPECT_EQ(tilingError({4}, {{{0}, {4}}, {{0}, {4}}}),
            "chunk at [0] of size [4] overlaps chunk at [0] of size [4]");
  EXPECT_EQ(tilingError({4}, {{{0}, {5}}}),
            "chunk at [0] of size [5] is out of bounds of the shape [4]");
  EXPECT_EQ(tilingError({4}, {{{-1}, {2}}}),
            "chunk at [-1] of size [2] is out of bounds of the shape [4]");
  EXPECT_EQ(tilingError({4, 4}, {{{0, 0}, {4, 2}}, {{0, 1}, {4, 2}}}),
            "chunk at [0, 0] of size [4, 2] overlaps chunk at [0, 1] of size "
            "[4, 2]");
  EXPECT_EQ(tilingError({4, 4}, {{{0, 0}, {4, 2}}, {{0, 3}, {4, 1}}}),
            "2 chunks have 12 elements in all, the shape [4, 4] has 16");
  // As many elements as there should be, two of them twice.
  EXPECT_EQ(tilingError({2, 4}, {{{0, 0}, {2, 3}}, {{0, 2}, {2, 1}}}),
            "chunk at [0, 0] of size [2, 3] overlaps chunk at [0, 2] of size "
            "[2, 1]");
}

TEST(BoxTiling, ManyBoxesAreQuick) {
  // 300 x 300 columns and rows: 90000 boxes; squared would take minutes.
  std::vector<Box> boxes;
  for (int64_t i = 0; i < 300; ++i)
    for (int64_t j = 0; j < 300; ++j)
      boxes.push_back({{i, 2 * j}, {1, 2}});
  checkTiling({300, 600}, boxes);
  for (Box &box : boxes)
    std::swap(box.offsets[0], box.offsets[1]),
        std::swap(box.sizes[0], box.sizes[1]);
  checkTiling({600, 300}, boxes);
}

//===----------------------------------------------------------------------===//
// Metadata
//===----------------------------------------------------------------------===//

DcpMetadata smallMetadata() {
  DcpMetadata metadata;
  metadata.files = {"__0_0.distcp", "__1_0.distcp"};
  metadata.addTensor({"a", DType::BF16, {2, 4}});
  metadata.addChunk(std::vector<int64_t>{0, 0}, std::vector<int64_t>{2, 1},
                    {0, 0, 10});
  metadata.addChunk(std::vector<int64_t>{0, 1}, std::vector<int64_t>{2, 3},
                    {1, 5, 20});
  metadata.addTensor({"b", DType::F32, {}});
  metadata.addChunk({}, {}, {1, 30, uint64_t(5) << 32});
  metadata.blobs = {{"x/shard_0_1", {0, 10, 7}}, {"y/shard_0_1", {0, 10, 7}}};
  return metadata;
}

TEST(DcpMetadata, RoundTrip) {
  std::string bytes = smallMetadata().encode();
  EXPECT_EQ(bytes, smallMetadata().encode());
  auto copy = DcpMetadata::parse(bytes, "m");
  ASSERT_TRUE(copy) << copy.error().message;
  EXPECT_EQ(copy->encode(), bytes);
  EXPECT_FALSE(copy->hasPlannerData);
  ASSERT_EQ(copy->tensors.size(), 2u);
  EXPECT_EQ(copy->tensors[0].chunkCount, 2u);
  EXPECT_EQ(copy->slices[2].length, uint64_t(5) << 32);
  EXPECT_EQ(copy->blobs[1].slice.length, 7u);
}

TEST(DcpMetadata, TruncationAnywhereIsAnError) {
  std::string bytes = smallMetadata().encode();
  for (size_t length = 0; length < bytes.size(); ++length)
    EXPECT_FALSE(DcpMetadata::parse(bytes.substr(0, length), "m")) << length;
}

TEST(DcpMetadata, SurvivesDamage) {
  std::string good = smallMetadata().encode();
  std::mt19937 random(1);
  for (int round = 0; round < 30000; ++round) {
    std::string bytes = good;
    for (unsigned i = 0; i <= random() % 3; ++i)
      bytes[random() % bytes.size()] = char(random());
    (void)DcpMetadata::parse(bytes, "m");
  }
}

TEST(DcpMetadata, RefusesByName) {
  auto refused = [](const std::function<void(DcpMetadata &)> &damage,
                    const char *part) {
    DcpMetadata metadata = smallMetadata();
    damage(metadata);
    EXPECT_REFUSED(DcpMetadata::parse(metadata.encode(), "m"), part);
  };
  refused([](DcpMetadata &m) { m.numbers[3] = 2; },
          "m: tensor 'a': chunk at [0, 0] of size [2, 2] overlaps chunk at "
          "[0, 1] of size [2, 3]");
  refused([](DcpMetadata &m) { m.numbers[7] = 2; },
          "m: tensor 'a': 2 chunks have 6 elements in all, the shape [2, 4] "
          "has 8");
  refused([](DcpMetadata &m) { m.numbers[2] = 3; },
          "m: tensor 'a': chunk at [0, 0] of size [3, 1] is out of bounds");
  refused([](DcpMetadata &m) { m.tensors[1].info.name = "a"; },
          "m: two entries are named 'a'");
  refused([](DcpMetadata &m) { m.blobs[1].name = "a"; },
          "m: two entries are named 'a'");
  refused([](DcpMetadata &m) { m.tensors[1].chunkCount = 0; },
          "m: tensor 'b': has no chunks");
  refused([](DcpMetadata &m) { m.files[1] = "../__0_0.distcp"; },
          "data file '../__0_0.distcp' is not in the folder");
  refused([](DcpMetadata &m) { m.files[1] = ".."; }, "data file '..'");
  refused([](DcpMetadata &m) { m.files[1] = "a/b"; }, "data file 'a/b'");
  refused([](DcpMetadata &m) { m.files[1] = ""; }, "data file ''");
  refused([](DcpMetadata &m) { m.slices[1].offset = ~uint64_t(0); },
          "m: storage of 'a': malformed file, offset or length");
  std::string other = smallMetadata().encode();
  other.replace(other.find("bfloat16"), 8, "quint2x4");
  EXPECT_REFUSED(DcpMetadata::parse(other, "m"),
                 "m: tensor 'a': unsupported dtype torch.quint2x4");
  EXPECT_REFUSED(DcpMetadata::parse("\x80\x02}."s, "m"),
                 "m: not the metadata of a distributed checkpoint: found a "
                 "dict");
}

TEST(DcpMetadata, ChunkWithoutStorage) {
  // The key of storage_data says another tensor: rename 'b' there by hand.
  DcpMetadata metadata = smallMetadata();
  metadata.blobs[0].name = "c"; // as long as "b"
  std::string bytes = metadata.encode();
  // Names are in the memo; the key of blob "c" is the last fetch of its number.
  size_t blob = bytes.find("X\x01\0\0\0cq"s);
  size_t tensor = bytes.find("X\x01\0\0\0bq"s);
  ASSERT_NE(blob, bytes.npos);
  ASSERT_NE(tensor, bytes.npos);
  std::string fetchTensor = "h"s + bytes[tensor + 7],
              fetchBlob = "h"s + bytes[blob + 7];
  size_t at = bytes.rfind(fetchTensor);
  ASSERT_NE(at, bytes.npos);
  EXPECT_REFUSED(DcpMetadata::parse(bytes.replace(at, 2, fetchBlob), "m"),
                 "m: ");
}

//===----------------------------------------------------------------------===//
// Checkpoints
//===----------------------------------------------------------------------===//

/// Tensors in one raw file, whose bytes are random.
class RawSet : public TensorSet {
public:
  RawSet(const fs::path &path, std::vector<TensorInfo> tensors) {
    infos = std::move(tensors);
    paths.push_back(path.string());
    uint64_t end = 3;
    for (const TensorInfo &info : infos) {
      begins.push_back(end);
      end += info.bytes();
    }
    std::mt19937_64 random(7);
    bytes.resize(end);
    for (char &c : bytes)
      c = char(random());
    writeText(path, bytes);
    indexNames();
  }
  void locate(size_t index, int64_t begin, int64_t count, int64_t dest,
              std::vector<Extent> &out) const override {
    DType dtype = infos[index].dtype;
    out.push_back(
        {0, begins[index] + bytesOf(dtype, begin), count, dest, dtype});
  }
  std::string_view data(size_t index) const {
    return std::string_view(bytes).substr(begins[index], infos[index].bytes());
  }

private:
  std::vector<uint64_t> begins;
  std::string bytes;
};

/// Cuts axes of a shape into parts as even as possible.
std::vector<TorchDistSpec::Chunk> grid(const std::vector<int64_t> &shape,
                                       std::vector<int64_t> parts) {
  std::vector<TorchDistSpec::Chunk> chunks = {
      {std::vector<int64_t>(shape.size()), shape, 0}};
  for (size_t axis = 0; axis < parts.size() && axis < shape.size(); ++axis) {
    std::vector<TorchDistSpec::Chunk> cut;
    for (const TorchDistSpec::Chunk &chunk : chunks)
      for (int64_t i = 0; i < parts[axis]; ++i) {
        int64_t begin = shape[axis] * i / parts[axis],
                end = shape[axis] * (i + 1) / parts[axis];
        TorchDistSpec::Chunk piece = chunk;
        piece.offsets[axis] = begin;
        piece.sizes[axis] = end - begin;
        if (end > begin)
          cut.push_back(piece);
      }
    if (!cut.empty())
      chunks = std::move(cut);
  }
  return chunks;
}

class TorchDistTest : public testing::Test {
protected:
  TorchDistTest()
      : set(temp / "raw", {{"layers", DType::BF16, {4, 33, 70}},
                           {"scalar", DType::F32, {}},
                           {"odd", DType::U8, {13}},
                           {"empty", DType::F32, {0, 5}},
                           {"large", DType::F32, {1500, 1100}},
                           {"fp8", DType::F8E4M3, {2, 3, 4, 5}}}) {}

  TorchDistSpec spec(std::vector<int64_t> parts, uint32_t files) {
    TorchDistSpec result;
    uint32_t next = 0;
    for (size_t i = 0; i < set.tensors().size(); ++i) {
      result.tensors.push_back({i, grid(set.tensors()[i].shape, parts)});
      for (TorchDistSpec::Chunk &chunk : result.tensors.back().chunks)
        chunk.file = next++ % files;
    }
    std::ranges::reverse(result.tensors);
    result.objects = {"a._extra_state/shard_0_1", "b._extra_state/shard_0_1"};
    result.common =
        PickleValue::dict({{"iteration", PickleValue::integral(3)}});
    return result;
  }
  Status write(const TorchDistSpec &spec, const fs::path &to,
               unsigned threads = 3) {
    fs::remove_all(to);
    fs::create_directories(to);
    Progress progress("writing", 0, Progress::Mode::Quiet);
    return writeTorchDist(set, spec, to, progress, threads);
  }
  void checkEqual(const TorchDistCheckpoint &copy) {
    std::mt19937 random(3);
    ExtentReader reader(copy);
    for (size_t i = 0; i < set.tensors().size(); ++i) {
      const TensorInfo &info = set.tensors()[i];
      int64_t found = copy.find(info.name);
      ASSERT_GE(found, 0);
      EXPECT_EQ(copy.tensors()[size_t(found)].shape, info.shape);
      EXPECT_EQ(copy.tensors()[size_t(found)].dtype, info.dtype);
      for (int round = 0; round < 20; ++round) {
        int64_t total = info.elements(), begin = 0, count = total;
        if (round > 0 && total > 0) {
          begin = int64_t(random()) % total;
          count = int64_t(random()) % (total - begin) + 1;
        }
        std::vector<std::byte> buffer(bytesOf(info.dtype, count));
        auto status = reader.read(size_t(found), begin, count, buffer);
        ASSERT_TRUE(status) << status.error().message;
        EXPECT_EQ(
            std::string_view(reinterpret_cast<const char *>(buffer.data()),
                             buffer.size()),
            set.data(i).substr(bytesOf(info.dtype, begin), buffer.size()));
      }
    }
  }
  std::string openError(const fs::path &path) {
    auto opened = TorchDistCheckpoint::open(path);
    return opened ? "none" : opened.error().message;
  }
  /// Replaces bytes of a file.
  void patch(const fs::path &path, size_t at, std::string_view with) {
    std::string bytes = readText(path);
    bytes.replace(at, with.size(), with);
    fs::remove(path);
    writeText(path, bytes);
  }

  TempFolder temp;
  RawSet set;
};

TEST_F(TorchDistTest, RoundTripOfManyTilings) {
  fs::path out = temp / "out";
  for (const std::vector<int64_t> &parts :
       std::vector<std::vector<int64_t>>{{}, {4}, {1, 3}, {2, 2, 3}, {1, 1, 7}})
    for (uint32_t files : {1u, 3u}) {
      auto status = write(spec(parts, files), out);
      ASSERT_TRUE(status) << status.error().message;
      auto copy = TorchDistCheckpoint::open(out);
      ASSERT_TRUE(copy) << copy.error().message;
      checkEqual(**copy);
      auto crc = (*copy)->verifyCrc(2);
      ASSERT_TRUE(crc) << crc.error().message;
      EXPECT_EQ(*crc, 0u);
      EXPECT_EQ((*copy)->blobs().size(), 2u);
      EXPECT_EQ((*copy)->readBlob((*copy)->blobs()[0])->kind, PickleKind::None);
      EXPECT_EQ((*copy)->readCommon()->find("iteration")->integer, 3);
      EXPECT_EQ((*copy)->folder(), out);
    }
}

TEST_F(TorchDistTest, BytesDoNotDependOnThreads) {
  TorchDistSpec cut = spec({2, 2}, 2);
  ASSERT_TRUE(write(cut, temp / "one", 1));
  ASSERT_TRUE(write(cut, temp / "four", 4));
  size_t files = 0;
  for (const auto &entry : fs::directory_iterator(temp / "one")) {
    ++files;
    EXPECT_EQ(readText(entry.path()),
              readText(temp / "four" / entry.path().filename()));
  }
  EXPECT_EQ(files, 5u);
}

TEST_F(TorchDistTest, KeepsOnlyWhatIsWanted) {
  ASSERT_TRUE(write(spec({}, 1), temp / "out"));
  auto copy = TorchDistCheckpoint::open(
      temp / "out",
      {.keep = [](std::string_view name) { return name != "large"; }});
  ASSERT_TRUE(copy);
  EXPECT_EQ((*copy)->find("large"), -1);
  EXPECT_EQ((*copy)->skipped(), std::vector<std::string>{"large"});
  EXPECT_EQ((*copy)->tensors().size(), 5u);
}

TEST_F(TorchDistTest, WriterRefusesByName) {
  auto refused = [&](const std::function<void(TorchDistSpec &)> &damage,
                     const char *part) {
    TorchDistSpec bad = spec({2}, 1);
    damage(bad);
    EXPECT_REFUSED(write(bad, temp / "out"), part);
    EXPECT_FALSE(fs::exists(temp / "out" / ".metadata"));
  };
  refused([](TorchDistSpec &s) { s.tensors[5].chunks.pop_back(); },
          "tensor 'layers': 1 chunks have 4620 elements in all, the shape [4, "
          "33, 70] has 9240");
  refused([](TorchDistSpec &s) { s.tensors[5].chunks[0].sizes[0] = 3; },
          "overlaps");
  refused([](TorchDistSpec &s) { s.tensors[5].chunks[0].sizes.pop_back(); },
          "does not fit the shape");
  refused([](TorchDistSpec &s) { s.tensors[0] = s.tensors[1]; },
          "two entries are named 'large'");
  refused([](TorchDistSpec &s) { s.objects.push_back(s.objects[0]); },
          "two entries are named 'a._extra_state/shard_0_1'");
  refused([](TorchDistSpec &s) { s.common = PickleValue::none(); },
          "the common state is not a dict");
  refused([](TorchDistSpec &s) { s.tensors[0].chunks[0].file = 1000; },
          "data files, the limit is 512");
}

TEST_F(TorchDistTest, DamagedRecordsAreRefused) {
  fs::path out = temp / "out", data = out / "__0_0.distcp";
  auto reset = [&] { ASSERT_TRUE(write(spec({}, 1), out)); };

  reset();
  fs::resize_file(data, fs::file_size(data) - 1);
  EXPECT_NE(openError(out).find(": truncated?"), std::string::npos);
  fs::remove(data);
  EXPECT_NE(openError(out).find("data file '__0_0.distcp' cannot be read"),
            std::string::npos);

  reset();
  std::string bytes = readText(data);
  patch(data,
        bytes.find("HalfStorage") == bytes.npos ? bytes.rfind("FloatStorage")
                                                : 0,
        "DoubleStorag");
  EXPECT_NE(openError(out), "none");

  // A payload byte: only the checksum tells.
  reset();
  size_t payload = bytes.find(set.data(4));
  ASSERT_NE(payload, bytes.npos);
  patch(data, payload + 1000, bytes[payload + 1000] == 'x' ? "y" : "x");
  auto copy = TorchDistCheckpoint::open(out);
  ASSERT_TRUE(copy) << copy.error().message;
  auto crc = (*copy)->verifyCrc();
  ASSERT_FALSE(crc);
  EXPECT_NE(crc.error().message.find("entry 'archive/data/0' has CRC "),
            std::string::npos);
  EXPECT_NE(crc.error().message.find("(tensor 'large', chunk at [0, 0])"),
            std::string::npos);
}

TEST_F(TorchDistTest, RecordsMustAgreeWithTheMetadata) {
  fs::path out = temp / "out";
  ASSERT_TRUE(write(spec({}, 1), out));
  auto metadata = DcpMetadata::read(out);
  ASSERT_TRUE(metadata);
  for (DcpMetadata::Tensor &tensor : metadata->tensors)
    if (tensor.info.name == "odd")
      tensor.info.dtype = DType::I8;
  fs::remove(out / ".metadata");
  writeText(out / ".metadata", metadata->encode());
  EXPECT_NE(openError(out).find("tensor 'odd', chunk at [0]: the record has "
                                "dtype uint8, the metadata says int8"),
            std::string::npos);
  for (DcpMetadata::Tensor &tensor : metadata->tensors)
    if (tensor.info.name == "odd") {
      tensor.info.dtype = DType::U8;
      tensor.info.shape = {12};
      metadata->numbers[tensor.firstNumber + 1] = 12;
    }
  fs::remove(out / ".metadata");
  writeText(out / ".metadata", metadata->encode());
  EXPECT_NE(openError(out).find("the record has shape [13], the metadata says "
                                "[12]"),
            std::string::npos);
}

TEST_F(TorchDistTest, CommonStateAsRecord) {
  // Megatron-Core 0.19: no common.pt, but an object.
  fs::path out = temp / "out";
  TorchDistSpec cut = spec({}, 1);
  cut.objects = {"common_state/shard_0_1"};
  ASSERT_TRUE(write(cut, out));
  fs::remove(out / "common.pt");
  auto copy = TorchDistCheckpoint::open(out);
  ASSERT_TRUE(copy);
  EXPECT_REFUSED((*copy)->readCommon(), "the common state is not a dict");
  cut.objects = {};
  ASSERT_TRUE(write(cut, out));
  fs::remove(out / "common.pt");
  copy = TorchDistCheckpoint::open(out);
  ASSERT_TRUE(copy);
  EXPECT_EQ((*copy)->readCommon()->kind, PickleKind::None);
  writeText(out / "common.pt", torchSavePickle("\x80\x02"
                                               "cos\nsystem\n."s,
                                               {}));
  EXPECT_REFUSED((*copy)->readCommon(), "forbidden global 'os.system'");
}

TEST_F(TorchDistTest, FindsTheFolder) {
  fs::path root = temp / "root";
  fs::create_directories(root);
  EXPECT_REFUSED(findTorchDistFolder(root), "no Megatron checkpoint");
  EXPECT_REFUSED(findTorchDistFolder(temp / "none"), "none: cannot be read");

  ASSERT_TRUE(write(spec({}, 1), root / "iter_0000002"));
  ASSERT_TRUE(write(spec({}, 1), root / "iter_0000010"));
  EXPECT_EQ(*findTorchDistFolder(root), root / "iter_0000010");
  EXPECT_EQ(*findTorchDistFolder(root / "iter_0000002"), root / "iter_0000002");

  fs::path tracker = root / "latest_checkpointed_iteration.txt";
  writeText(tracker, " 2\n");
  EXPECT_EQ(*findTorchDistFolder(root), root / "iter_0000002");
  writeText(tracker, "3");
  EXPECT_REFUSED(findTorchDistFolder(root),
                 "the tracker names 'iter_0000003', which does not exist");
  writeText(tracker, "lots");
  EXPECT_REFUSED(findTorchDistFolder(root),
                 "found 'lots', expected an iteration or 'release'");
  writeText(tracker, "release");
  fs::create_directory_symlink("iter_0000002", root / "release");
  EXPECT_EQ(*findTorchDistFolder(root), root / "release");
  TrainState state;
  state.step = 10;
  writeText(root / "latest_train_state.pt", encodeTrainState(state));
  EXPECT_EQ(*findTorchDistFolder(root), root / "iter_0000010");
}

TEST_F(TorchDistTest, RefusesOtherFormatsByName) {
  fs::path out = temp / "iter_0000001";
  fs::create_directories(out / "mp_rank_00");
  EXPECT_REFUSED(findTorchDistFolder(out),
                 "a checkpoint of the legacy 'torch' format, expected a "
                 "torch_dist one");
  fs::remove(out / "mp_rank_00");
  writeText(out / "metadata.json", R"({"sharded_backend": "fsdp_dtensor"})");
  EXPECT_REFUSED(findTorchDistFolder(out),
                 "checkpoint format 'fsdp_dtensor' is not supported, expected "
                 "'torch_dist'");
  writeText(
      out / "metadata.json",
      R"({"sharded_backend": "torch_dist", "sharded_backend_version": 2})");
  EXPECT_REFUSED(findTorchDistFolder(out),
                 "sharded_backend_version 2, expected 1");
  writeText(out / "metadata.json", R"({})");
  EXPECT_REFUSED(findTorchDistFolder(out), "no sharded_backend");
  fs::remove(out / "metadata.json");
  writeText(out / "__0_0.distcp", "");
  EXPECT_REFUSED(findTorchDistFolder(out),
                 "an unfinished checkpoint: it has '__0_0.distcp' but no "
                 ".metadata");
}

} // namespace
