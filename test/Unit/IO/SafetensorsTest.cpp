#include "runtime/io/Safetensors.h"
#include "test/Unit/IO/HfFixture.h"

#include <sys/stat.h>

using namespace mbc;
using namespace mbc::test;
namespace fs = std::filesystem;

/// The header of a file with these parts.
static Expected<SafetensorsHeader> read(std::string_view header,
                                        std::string_view data) {
  TempFolder folder;
  writeText(folder / "x.safetensors", safetensorsBytes(header, data));
  return readSafetensorsHeader(folder / "x.safetensors");
}

TEST(Safetensors, ReadsAHeader) {
  auto header =
      read(R"({"b":{"shape":[2,1],"data_offsets":[4,12],"dtype":"F32"},)"
           R"("__metadata__":{"format":"pt","k\n":"v\u00e9"},)"
           R"("empty":{"dtype":"I64","shape":[3,0],"data_offsets":[4,4]},)"
           R"("a":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]},)"
           R"("s":{"dtype":"U8","shape":[],"data_offsets":[12,13]}}    )",
           "0123456789abc");
  ASSERT_TRUE(header) << messageOf(header);
  ASSERT_EQ(header->tensors.size(), 4u);
  EXPECT_EQ(header->tensors[0].info.name, "a");
  EXPECT_EQ(header->tensors[1].info.name, "empty");
  EXPECT_EQ(header->tensors[2].info.name, "b");
  EXPECT_EQ(header->tensors[2].info.shape, (std::vector<int64_t>{2, 1}));
  EXPECT_EQ(header->tensors[2].info.dtype, DType::F32);
  EXPECT_EQ(header->tensors[3].info.elements(), 1);
  EXPECT_EQ(header->tensors[3].begin, 12u);
  EXPECT_EQ(*header->metadata,
            (SafetensorsMetadata{{"format", "pt"}, {"k\n", "v\xc3\xa9"}}));
  EXPECT_EQ(header->dataBytes(), 13u);
}

TEST(Safetensors, AcceptsNoTensorsAndNoMetadata) {
  auto header = read("{}", "");
  ASSERT_TRUE(header) << messageOf(header);
  EXPECT_TRUE(header->tensors.empty());
  EXPECT_FALSE(header->metadata);
}

TEST(Safetensors, RefusesDamagedHeaders) {
  struct Case {
    std::string_view header, message;
  };
  const Case cases[] = {
      {R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,12]}})",
       "tensor 'a' ends at byte 12, beyond the data (8 bytes); the file is "
       "truncated?"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
       "4 bytes follow the last tensor, which ends at byte 4"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
       "tensor 'a' begins at byte 4, but the data before it ends at byte 0"},
      {R"({"a":{"dtype":"U8","shape":[5],"data_offsets":[0,5]},)"
       R"("b":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}})",
       "tensor 'b' begins at byte 4, inside tensor 'a' that ends at byte 5"},
      {R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})",
       "tensor 'a' of shape [3] and dtype F32 needs 12 bytes, but its "
       "data_offsets [0, 8] hold 8"},
      {R"({"a":{"dtype":"F4","shape":[3],"data_offsets":[0,8]}})",
       "does not fill whole bytes"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})",
       "tensor 'a' ends at byte 0, before it begins at 8"},
      {R"({"a":{"dtype":"F33","shape":[2],"data_offsets":[0,8]}})",
       "unknown dtype 'F33'"},
      {R"({"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})",
       "a dimension of tensor 'a' is -2; expected an integer, not negative"},
      {R"({"a":{"dtype":"F32","shape":[2.0],"data_offsets":[0,8]}})",
       "a dimension of tensor 'a' is 2.0"},
      {R"({"a":{"dtype":"F32","shape":["2"],"data_offsets":[0,8]}})",
       "a dimension of tensor 'a' is not an integer"},
      {R"({"a":{"dtype":"F32","shape":[9223372036854775808],"data_offsets":[0,8]}})",
       "beyond 2^63 - 1"},
      {R"({"a":{"dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,0]}})",
       "more than 2^63 bytes"},
      {R"({"a":{"dtype":"U8","shape":[4294967296,4294967296,0],"data_offsets":[0,0]}})",
       "more than 2^63 bytes"},
      {R"({"a":{"dtype":"F32","shape":[9223372036854775807],"data_offsets":[0,8]}})",
       "more than 2^63 bytes"},
      {R"({"a":{"dtype":"F32","shape":2,"data_offsets":[0,8]}})",
       "expected an array"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0]}})",
       "tensor 'a' has fewer than two data_offsets"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8,8]}})",
       "tensor 'a' has more than two data_offsets"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[-1,8]}})",
       "a data offset of tensor 'a' is -1"},
      {R"({"a":{"dtype":"F32","data_offsets":[0,8]}})",
       "tensor 'a' has no 'shape'"},
      {R"({"a":{"shape":[2],"data_offsets":[0,8]}})",
       "tensor 'a' has no 'dtype'"},
      {R"({"a":{"dtype":"F32","shape":[2]}})",
       "tensor 'a' has no 'data_offsets'"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"x":1}})",
       "tensor 'a' has an unknown key 'x'"},
      {R"({"a":{"dtype":"F32","dtype":"I32","shape":[2],"data_offsets":[0,8]}})",
       "tensor 'a' has a duplicate key 'dtype'"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
       R"("\u0061":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})",
       "tensor 'a' is in the header twice"},
      {R"({"a":[]})", "expected an object, found '['"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]})",
       "the JSON text ends"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}x)",
       "expected the end of the text, found 'x'"},
      {R"({"__metadata__":{"a":1}})",
       "the value of 'a' in '__metadata__' is not a string"},
      {R"({"__metadata__":{"a":"1","a":"2"}})",
       "duplicate key 'a' in '__metadata__'"},
      {R"({"__metadata__":{},"__metadata__":{}})",
       "duplicate key '__metadata__'"},
      {R"( {"a":1})", "does not start with '{'"},
      {R"([])", "does not start with '{'"},
      {"", "does not start with '{'"},
      {"{\"a\xff\":1}", "not valid UTF-8"},
  };
  for (const Case &c : cases)
    EXPECT_REFUSED(read(c.header, "12345678"), c.message);
}

TEST(Safetensors, RefusesDamagedFiles) {
  TempFolder folder;
  fs::path path = folder / "model.safetensors";
  auto refused = [&](std::string_view content, std::string_view message) {
    writeText(path, content);
    EXPECT_REFUSED(readSafetensorsHeader(path), path.string() + ": ");
    EXPECT_REFUSED(readSafetensorsHeader(path), message);
  };
  refused("", "has 0 bytes, too few");
  refused("1234567", "has 7 bytes, too few");
  std::string huge(8, '\0');
  huge[7] = 0x40; // 2^62
  refused(huge, "is said to have 4611686018427387904 bytes");
  huge = std::string(8, '\xff');
  refused(huge, "is said to have 18446744073709551615 bytes");
  refused(std::string("\x01\xe1\xf5\x05\0\0\0\0{}", 10),
          "is said to have 100000001 bytes, of at most 100000000");
  refused(std::string("\x09\0\0\0\0\0\0\0{}", 10),
          "is said to have 9 bytes, but 2 follow; the file is truncated?");
  refused("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
          "is a git-lfs pointer, not the weights; run 'git lfs pull'");
  std::string good = fileOf({tensorA, tensorB});
  writeText(path, good);
  ASSERT_TRUE(readSafetensorsHeader(path));
  refused(good + "x", "1 bytes follow the last tensor");
  for (size_t n = 0; n < good.size(); ++n) {
    writeText(path, good.substr(0, n));
    EXPECT_FALSE(readSafetensorsHeader(path)) << "truncated to " << n;
  }
}

TEST(Safetensors, BuildsWhatTheOfficialWriterWrites) {
  auto header = buildSafetensorsHeader(
      {{"a", DType::F32, {2}}, {"b\"", DType::BF16, {1, 3}}},
      SafetensorsMetadata{{"format", "pt"}});
  std::string expected =
      R"({"__metadata__":{"format":"pt"},)"
      R"("a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
      R"("b\"":{"dtype":"BF16","shape":[1,3],"data_offsets":[8,14]}})";
  EXPECT_EQ(header.raw.size() % 8, 0u);
  EXPECT_TRUE(header.raw.starts_with(expected));
  EXPECT_EQ(header.raw.find_last_not_of(' ') + 1, expected.size());
  EXPECT_EQ(buildSafetensorsHeader({}, std::nullopt).raw, "{}      ");
  EXPECT_EQ(buildSafetensorsHeader({}, SafetensorsMetadata{}).raw,
            "{\"__metadata__\":{}}     ");
  // What is built is read back.
  auto again = parseSafetensorsHeader(header.raw, "x", header.dataBytes());
  ASSERT_TRUE(again) << messageOf(again);
  EXPECT_EQ(again->tensors[1].info.name, "b\"");
  EXPECT_EQ(again->metadata, header.metadata);
}

TEST(Safetensors, SparseFilesReadBackAndTakeNoSpace) {
  TempFolder folder;
  auto header = buildSafetensorsHeader(
      {{"big", DType::BF16, {1 << 20, 1 << 12}}}, std::nullopt);
  fs::path path = folder / "model.safetensors";
  ASSERT_TRUE(createSparse(path, header));
  auto back = readSafetensorsHeader(path);
  ASSERT_TRUE(back) << messageOf(back);
  EXPECT_EQ(back->dataBytes(), uint64_t(1) << 33);
  struct stat info;
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_LT(info.st_blocks, 100);
}

// A damaged byte is refused, or gives a header that is sound in itself.
TEST(Safetensors, EveryByteMayBeDamaged) {
  std::string raw = buildSafetensorsHeader(
                        {{"a", DType::BF16, {2, 3}}, {"b", DType::F32, {}}},
                        SafetensorsMetadata{{"format", "pt"}})
                        .raw;
  int accepted = 0;
  for (size_t i = 0; i < raw.size(); ++i)
    for (int value = 0; value < 256; ++value) {
      std::string damaged = raw;
      damaged[i] = static_cast<char>(value);
      auto header = parseSafetensorsHeader(damaged, "x", 16);
      if (!header)
        continue;
      ++accepted;
      uint64_t end = 0;
      for (const SafetensorsEntry &entry : header->tensors) {
        ASSERT_EQ(entry.begin, end);
        end = entry.end;
        ASSERT_EQ(end - entry.begin, entry.info.bytes());
      }
      ASSERT_EQ(end, 16u);
    }
  // Other names and metadata, at least.
  EXPECT_GT(accepted, 1000);
}
