#include "runtime/io/TensorSet.h"
#include "test/Unit/TempFolder.h"

#include <algorithm>
#include <fmt/format.h>
#include <numeric>
#include <random>

using namespace mbc;
using namespace mbc::test;
namespace fs = std::filesystem;

namespace {
/// Files, and extents that the tests make themselves.
class Files : public TensorSet {
public:
  explicit Files(std::vector<std::string> files) { paths = std::move(files); }
  void add(TensorInfo info, std::vector<Extent> extents) {
    infos.push_back(std::move(info));
    all.push_back(std::move(extents));
    indexNames();
  }
  void locate(size_t index, int64_t, int64_t, int64_t,
              std::vector<Extent> &out) const override {
    out.insert(out.end(), all[index].begin(), all[index].end());
  }

private:
  std::vector<std::vector<Extent>> all;
};

/// A file whose u16 at element i is i * 7 (mod 2^16).
std::vector<uint16_t> makeFile(const fs::path &path, size_t elements,
                               uint16_t salt = 0) {
  std::vector<uint16_t> values(elements);
  for (size_t i = 0; i < elements; ++i)
    values[i] = static_cast<uint16_t>(i * 7 + salt);
  writeText(path,
            {reinterpret_cast<const char *>(values.data()), values.size() * 2});
  return values;
}
} // namespace

// Random pieces, from single elements to pieces far above the staging buffer,
// in random order, from several files, with gaps of all kinds.
TEST(ExtentReader, GathersRandomPieces) {
  TempFolder folder;
  constexpr size_t elements = 6u << 20;
  std::vector<std::string> paths;
  std::vector<std::vector<uint16_t>> contents;
  for (uint16_t i = 0; i < 3; ++i) {
    paths.push_back((folder / fmt::format("f{}", i)).string());
    contents.push_back(makeFile(paths.back(), elements, i));
  }
  Files files(paths);
  ExtentReader reader(files);
  std::mt19937 random(7);
  for (int round = 0; round < 40; ++round) {
    size_t largest = size_t(1) << (random() % 22);
    size_t gaps = size_t(1) << (random() % 16);
    std::vector<Extent> extents;
    std::vector<uint16_t> expected;
    for (uint32_t file = 0; file < 3; ++file)
      for (size_t at = random() % 100; extents.size() < 5000u * (file + 1);) {
        size_t count = 1 + random() % largest;
        if (at + count > elements)
          break;
        extents.push_back({file, at * 2, int64_t(count), 0, DType::BF16});
        at += count + (random() % 3 ? random() % gaps : 0);
      }
    std::ranges::shuffle(extents, random);
    int64_t dest = 0;
    for (Extent &e : extents) {
      // Some elements of the buffer are in no extent, and become zero.
      int64_t hole = random() % 4 == 0 ? 3 : 0;
      expected.resize(expected.size() + size_t(hole), 0);
      e.dest = dest += hole;
      dest += e.count;
      auto from = contents[e.file].begin() + int64_t(e.offset / 2);
      expected.insert(expected.end(), from, from + e.count);
    }
    std::vector<uint16_t> buffer(expected.size(), 0xDEAD);
    Status status = reader.gather(extents, DType::BF16,
                                  std::as_writable_bytes(std::span(buffer)));
    ASSERT_TRUE(status) << messageOf(status);
    ASSERT_TRUE(buffer == expected) << "round " << round;
  }
}

TEST(ExtentReader, ConvertsDTypes) {
  TempFolder folder;
  std::string path = (folder / "f").string();
  constexpr size_t elements = 3u << 20; // more than the staging buffer
  auto values = makeFile(path, elements);
  Files files({path});
  ExtentReader reader(files);
  for (int64_t piece : {int64_t(1000), int64_t(elements)}) {
    std::vector<Extent> extents;
    for (int64_t at = 0; at < int64_t(elements); at += piece)
      extents.push_back({0, uint64_t(at) * 2,
                         std::min(piece, int64_t(elements) - at), at,
                         DType::BF16});
    std::vector<uint32_t> buffer(elements, 1);
    ASSERT_TRUE(reader.gather(extents, DType::F32,
                              std::as_writable_bytes(std::span(buffer))));
    for (size_t i = 0; i < elements; ++i)
      ASSERT_EQ(buffer[i], uint32_t(values[i]) << 16) << i;
  }
}

TEST(ExtentReader, MixesDTypesOfTheSameFile) {
  TempFolder folder;
  std::string path = (folder / "f").string();
  float one = 1.5f;
  uint16_t half = 0x4000; // 2.0 in BF16 is 0x4000
  std::string data(reinterpret_cast<char *>(&one), 4);
  data.append(reinterpret_cast<char *>(&half), 2);
  writeText(path, data);
  Files files({path});
  std::vector<Extent> extents = {{0, 4, 1, 0, DType::BF16},
                                 {0, 0, 1, 1, DType::F32}};
  float out[3] = {9, 9, 9};
  ASSERT_TRUE(ExtentReader(files).gather(
      extents, DType::F32, std::as_writable_bytes(std::span(out))));
  EXPECT_EQ(out[0], 2.0f);
  EXPECT_EQ(out[1], 1.5f);
  EXPECT_EQ(out[2], 0.0f);
}

TEST(ExtentReader, NoExtentsAreZeros) {
  Files files({});
  std::vector<Extent> extents;
  std::string buffer(10, 'x');
  ASSERT_TRUE(ExtentReader(files).gather(
      extents, DType::U8, std::as_writable_bytes(std::span(buffer))));
  EXPECT_EQ(buffer, std::string(10, '\0'));
}

TEST(ExtentReader, OpensMoreFilesThanItKeeps) {
  TempFolder folder;
  std::vector<std::string> paths;
  std::vector<Extent> extents;
  size_t count = 3 * ExtentReader::maxOpenFiles;
  for (uint32_t i = 0; i < count; ++i) {
    paths.push_back((folder / std::to_string(i)).string());
    writeText(paths.back(), std::string(1, static_cast<char>(i)));
    extents.push_back({i, 0, 1, i, DType::U8});
  }
  Files files(paths);
  ExtentReader reader(files);
  std::string expected(count, '\0'), buffer(count, 'x');
  std::iota(expected.begin(), expected.end(), 0);
  for (int round = 0; round < 2; ++round) {
    ASSERT_TRUE(reader.gather(extents, DType::U8,
                              std::as_writable_bytes(std::span(buffer))));
    EXPECT_EQ(buffer, expected);
  }
}

TEST(ExtentReader, ErrorsNameFileAndOffset) {
  TempFolder folder;
  std::string path = (folder / "f").string();
  writeText(path, "12345678");
  Files files({path, (folder / "none").string()});
  files.add({"t", DType::U8, {9}}, {{0, 0, 9, 0, DType::U8}});
  files.add({"u", DType::U8, {1}}, {{1, 0, 1, 0, DType::U8}});
  ExtentReader reader(files);
  std::string buffer(9, 'x');
  auto bytes = std::as_writable_bytes(std::span(buffer));
  EXPECT_REFUSED(reader.read(0, 0, 9, bytes), path + ": ends at byte 8");
  EXPECT_REFUSED(reader.read(1, 0, 1, bytes.first(1)), "no such file");
}

// A wrong copy plan must not write beside the buffer.
TEST(ExtentReader, RefusesExtentsOutsideTheBuffer) {
  TempFolder folder;
  std::string path = (folder / "f").string();
  writeText(path, "12345678");
  Files files({path});
  ExtentReader reader(files);
  std::string buffer(4, 'x');
  const Extent bad[] = {
      {0, 0, 5, 0, DType::U8},        {0, 0, 1, 4, DType::U8},
      {0, 0, 1, -1, DType::U8},       {0, 0, -1, 0, DType::U8},
      {1, 0, 1, 0, DType::U8},        {0, 0, 1, 0, DType::I64},
      {0, 0, 1, INT64_MAX, DType::U8}};
  for (const Extent &extent : bad) {
    std::vector<Extent> extents = {extent};
    Status status = reader.gather(extents, DType::U8,
                                  std::as_writable_bytes(std::span(buffer)));
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().kind, ErrorKind::System);
    EXPECT_EQ(buffer, "xxxx");
  }
}
