#include "runtime/io/Zip.h"
#include "test/Unit/TempFolder.h"

#include <gtest/gtest.h>
#include <random>
#include <zlib.h>

using namespace mbc;
using namespace mbc::test;
using namespace std::string_literals;

namespace {

std::span<const std::byte> bytesOfText(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

struct Payload {
  std::string name, bytes;
};

std::string zip(const std::vector<Payload> &payloads) {
  ZipPlan plan;
  std::string out;
  std::vector<uint32_t> crcs;
  for (const Payload &payload : payloads) {
    size_t index = plan.add(payload.name, payload.bytes.size());
    out += plan.before(index, crcs.empty() ? 0 : crcs.back());
    EXPECT_EQ(out.size(), plan.payloadOffset(index));
    EXPECT_EQ(out.size() % 64, 0u);
    out += payload.bytes;
    crcs.push_back(crc32Of(bytesOfText(payload.bytes)));
  }
  out += plan.end(crcs);
  EXPECT_EQ(out.size(), plan.totalSize());
  return out;
}

const std::vector<Payload> three = {{"archive/data.pkl", "hello"},
                                    {"archive/empty", ""},
                                    {"archive/data/0", std::string(5000, 'x')}};

class ZipTest : public testing::Test {
protected:
  /// Opens bytes that lie at `offset` of a file with junk around them.
  Expected<ZipArchive> open(const std::string &bytes, uint64_t offset = 100) {
    auto path = folder.path() / "a.distcp";
    writeText(path, std::string(offset, 'J') + bytes + std::string(100, 'J'));
    auto opened = File::openRead(path);
    EXPECT_TRUE(opened);
    file.emplace(std::move(*opened));
    return ZipArchive::open(*file, offset, bytes.size());
  }
  std::string errorOf(const std::string &bytes) {
    auto archive = open(bytes, 0);
    if (archive)
      return "none";
    EXPECT_EQ(archive.error().kind, ErrorKind::Input);
    std::string text = archive.error().message;
    EXPECT_TRUE(text.starts_with(file->path() + ": zip archive at byte 0 ("));
    return text.substr(text.find("bytes): ") + 8);
  }

  TempFolder folder;
  std::optional<File> file;
};

TEST_F(ZipTest, Checksums) {
  std::string text = "The quick brown fox";
  uint32_t whole = crc32Of(bytesOfText(text));
  EXPECT_EQ(whole, ::crc32(0, reinterpret_cast<const Bytef *>(text.data()),
                           uInt(text.size())));
  for (size_t cut = 0; cut <= text.size(); ++cut) {
    uint32_t a = crc32Of(bytesOfText(text.substr(0, cut)));
    uint32_t b = crc32Of(bytesOfText(text.substr(cut)));
    EXPECT_EQ(crc32Combine(a, b, text.size() - cut), whole);
  }
}

TEST_F(ZipTest, RoundTrip) {
  std::string bytes = zip(three);
  auto archive = open(bytes);
  ASSERT_TRUE(archive) << archive.error().message;
  ASSERT_EQ(archive->entries().size(), 3u);
  for (const Payload &payload : three) {
    const ZipArchive::Entry *entry = archive->find(payload.name);
    ASSERT_TRUE(entry);
    EXPECT_EQ(entry->size, payload.bytes.size());
    EXPECT_EQ((entry->offset - 100) % 64, 0u);
    EXPECT_EQ(*archive->read(*entry), payload.bytes);
    EXPECT_EQ(*archive->verify(*entry), true);
  }
  EXPECT_FALSE(archive->find("archive/none"));
  EXPECT_FALSE(archive->read(archive->entries()[2], 4999));
}

TEST_F(ZipTest, TruncationAnywhereIsAnError) {
  // With a window for head and tail, and without.
  for (size_t size : {10u, 5000u}) {
    std::string bytes =
        zip({{"a/data.pkl", "p"}, {"a/0", std::string(size, 'x')}});
    auto path = folder.path() / "cut";
    writeText(path, bytes);
    auto opened = File::openRead(path);
    ASSERT_TRUE(opened);
    for (size_t length = 0; length < bytes.size(); ++length)
      EXPECT_FALSE(ZipArchive::open(*opened, 0, length)) << length;
    EXPECT_TRUE(ZipArchive::open(*opened, 0, bytes.size()));
    EXPECT_FALSE(ZipArchive::open(*opened, 1, bytes.size()));
    EXPECT_FALSE(ZipArchive::open(*opened, ~uint64_t(0) - 5, 100));
  }
}

TEST_F(ZipTest, RefusesByName) {
  std::string good = zip({{"a/data.pkl", "hello"}, {"a/0", "world"}});
  size_t central = good.find("PK\x01\x02");
  auto damaged = [&](size_t at, std::string_view with) {
    std::string bytes = good;
    bytes.replace(at, with.size(), with);
    return errorOf(bytes);
  };
  EXPECT_EQ(errorOf(good), "none");
  EXPECT_EQ(errorOf(std::string(100, 'x')),
            "does not begin with a local header (PK\\x03\\x04)");
  EXPECT_EQ(errorOf("PK\x03\x04"s + std::string(100, 'x')),
            "no end-of-directory record: truncated or not an archive");
  EXPECT_EQ(damaged(central + 10, "\x08"),
            "entry 'a/data.pkl' is compressed (method 8), expected a stored "
            "one");
  EXPECT_EQ(damaged(central + 8, "\x01"), "entry 'a/data.pkl' is encrypted");
  EXPECT_EQ(damaged(central + 20, "\x06"),
            "entry 'a/data.pkl' is stored, yet has 6 bytes packed and 5 "
            "unpacked");
  EXPECT_EQ(damaged(central + 20, "\xff\xff\0\0\xff\xff\0\0"s),
            "entry 'a/data.pkl' of 65535 bytes at 64 runs into the directory "
            "at " +
                std::to_string(central));
  EXPECT_EQ(damaged(central + 42, "\x01"), "no local header of 'a/data.pkl' at "
                                           "1");
  EXPECT_EQ(damaged(30, "b"),
            "the local header at 0 does not name 'a/data.pkl'");
  EXPECT_EQ(damaged(22, "\x07"), "entry 'a/data.pkl' has 7 bytes by its local "
                                 "header, 5 by the directory");
  EXPECT_EQ(damaged(central + 20, "\x50\0\0\0\x50"s),
            "entries 'a/data.pkl' and 'a/0' overlap");
}

TEST_F(ZipTest, ChecksumsAreCompared) {
  std::string bytes = zip(three);
  bytes[bytes.find("hello")] = 'J';
  auto archive = open(bytes);
  ASSERT_TRUE(archive);
  auto text = archive->read(archive->entries()[0]);
  ASSERT_FALSE(text);
  EXPECT_NE(text.error().message.find("entry 'archive/data.pkl' has CRC "),
            std::string::npos);
  EXPECT_FALSE(archive->verify(archive->entries()[0]));
  EXPECT_TRUE(archive->verify(archive->entries()[2]));
}

TEST_F(ZipTest, SurvivesDamage) {
  std::string good = zip({{"a/data.pkl", "hello"}, {"a/0", "world"}});
  std::mt19937 random(1);
  auto path = folder.path() / "damaged";
  for (int round = 0; round < 3000; ++round) {
    std::string bytes = good;
    for (unsigned i = 0; i <= random() % 4; ++i)
      bytes[random() % bytes.size()] = char(random());
    // A new file: replacing the contents of an old one waits for the disk.
    std::filesystem::remove(path);
    writeText(path, bytes);
    auto opened = File::openRead(path);
    ASSERT_TRUE(opened);
    auto archive = ZipArchive::open(*opened, 0, bytes.size());
    if (!archive)
      continue;
    for (const ZipArchive::Entry &entry : archive->entries()) {
      EXPECT_LE(entry.offset + entry.size, bytes.size());
      (void)archive->verify(entry);
    }
  }
}

TEST_F(ZipTest, MoreThanFourGigabytes) {
  uint64_t size = (uint64_t(5) << 30) + 3;
  ZipPlan plan;
  plan.add("a/big", size);
  plan.add("a/after", 2); // its header lies beyond 4 GiB
  std::string first = plan.before(0, 0), second = plan.before(1, 7) + "xy",
              end = plan.end(
                  std::vector<uint32_t>{7, crc32Of(bytesOfText("xy"))});
  auto path = folder.path() / "sparse";
  {
    auto created = File::createSparse(path, plan.totalSize());
    ASSERT_TRUE(created) << created.error().message;
    ASSERT_TRUE(created->writeAt(0, bytesOfText(first)));
    uint64_t at = plan.payloadOffset(0) + size;
    EXPECT_EQ(at + second.size() + end.size(), plan.totalSize());
    ASSERT_TRUE(created->writeAt(at, bytesOfText(second)));
    ASSERT_TRUE(created->writeAt(at + second.size(), bytesOfText(end)));
  }
  auto opened = File::openRead(path);
  ASSERT_TRUE(opened);
  auto archive = ZipArchive::open(*opened, 0, opened->size());
  ASSERT_TRUE(archive) << archive.error().message;
  EXPECT_EQ(archive->find("a/big")->size, size);
  EXPECT_EQ(archive->find("a/big")->crc, 7u);
  EXPECT_EQ(*archive->read(*archive->find("a/after")), "xy");
}

} // namespace
