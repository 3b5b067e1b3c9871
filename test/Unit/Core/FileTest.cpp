#include "runtime/core/File.h"
#include "test/Unit/TempFolder.h"

#include <csignal>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>

using namespace mbc;
using namespace mbc::test;
namespace fs = std::filesystem;

static std::span<const std::byte> bytes(std::string_view text) {
  return std::as_bytes(std::span(text));
}

TEST(File, WritesAndReadsAtOffsets) {
  TempFolder folder;
  {
    auto file = File::create(folder / "a", 10);
    ASSERT_TRUE(file) << messageOf(file);
    EXPECT_EQ(file->size(), 10u);
    EXPECT_TRUE(file->writeAt(4, bytes("xyz")));
    EXPECT_TRUE(file->writeAt(9, bytes("end")));
    EXPECT_EQ(file->size(), 12u);
    EXPECT_TRUE(file->sync());
  }
  EXPECT_EQ(readText(folder / "a"), std::string("\0\0\0\0xyz\0\0end", 12));
  auto file = File::openRead(folder / "a");
  ASSERT_TRUE(file);
  std::string part(3, ' ');
  EXPECT_TRUE(file->readAt(4, std::as_writable_bytes(std::span(part))));
  EXPECT_EQ(part, "xyz");
}

TEST(File, ShortFileIsAnInputErrorWithTheOffset) {
  TempFolder folder;
  writeText(folder / "a", "12345");
  auto file = File::openRead(folder / "a");
  std::string part(4, ' ');
  EXPECT_REFUSED(file->readAt(3, std::as_writable_bytes(std::span(part))),
                 "/a: ends at byte 5, but 4 bytes at byte 3");
}

TEST(File, OpensOnlyRegularFiles) {
  TempFolder folder;
  fs::create_directory(folder / "d");
  ASSERT_EQ(::mkfifo((folder / "fifo").c_str(), 0600), 0);
  EXPECT_REFUSED(File::openRead(folder / "none"), "no such file or folder");
  EXPECT_REFUSED(File::openRead(folder / "d"), "is a folder; expected a file");
  EXPECT_REFUSED(File::openRead(folder / "fifo"), "is not a regular file");
  writeText(folder / "file", "");
  EXPECT_REFUSED(File::openRead(folder / "file" / "x"), "no such file");
}

TEST(File, UnreadableIsASystemError) {
  if (::geteuid() == 0)
    GTEST_SKIP() << "root reads everything";
  TempFolder folder;
  writeText(folder / "a", "x");
  fs::permissions(folder / "a", fs::perms::none);
  auto file = File::openRead(folder / "a");
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().kind, ErrorKind::System);
  EXPECT_NE(file.error().message.find("permission denied"), std::string::npos);
}

TEST(File, CreateRefusesAnExistingFile) {
  TempFolder folder;
  writeText(folder / "a", "old");
  auto file = File::create(folder / "a");
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().kind, ErrorKind::System);
  EXPECT_NE(file.error().message.find("file exists"), std::string::npos);
  EXPECT_EQ(readText(folder / "a"), "old");
}

TEST(File, ReservationThatDoesNotFitLeavesNothing) {
  TempFolder folder;
  fs::space_info space = fs::space(folder.path());
  auto file = File::create(folder / "a", space.capacity + (1u << 30));
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().kind, ErrorKind::System);
  EXPECT_NE(file.error().message.find(
                std::to_string(space.capacity + (1u << 30)) + " bytes"),
            std::string::npos)
      << file.error().message;
  EXPECT_FALSE(fs::exists(folder / "a"));
}

TEST(File, SparseTakesNoSpace) {
  TempFolder folder;
  auto file = File::createSparse(folder / "a", uint64_t(1) << 33);
  ASSERT_TRUE(file) << messageOf(file);
  struct stat info;
  ASSERT_EQ(::stat((folder / "a").c_str(), &info), 0);
  EXPECT_EQ(info.st_size, int64_t(1) << 33);
  EXPECT_LT(info.st_blocks, 100);
}

TEST(File, WriteWholeFileReplacesOrLeavesTheOldOne) {
  TempFolder folder;
  ASSERT_TRUE(writeWholeFile(folder / "a", "first"));
  ASSERT_TRUE(writeWholeFile(folder / "a", "second"));
  EXPECT_EQ(*readWholeFile(folder / "a"), "second");

  // A limit on file sizes stands for a full disk.
  auto handler = ::signal(SIGXFSZ, SIG_IGN);
  rlimit old, small;
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &old), 0);
  small = old;
  small.rlim_cur = 1000;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  Status status = writeWholeFile(folder / "a", std::string(5000, 'x'));
  ::setrlimit(RLIMIT_FSIZE, &old);
  ::signal(SIGXFSZ, handler);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().kind, ErrorKind::System);
  EXPECT_EQ(readText(folder / "a"), "second");
  EXPECT_EQ(std::distance(fs::directory_iterator(folder.path()), {}), 1);
}

TEST(File, WriteWholeFileCleansUpWhenItCannotReplace) {
  TempFolder folder;
  fs::create_directory(folder / "a");
  Status status = writeWholeFile(folder / "a", "text");
  ASSERT_FALSE(status);
  EXPECT_NE(status.error().message.find("/a: cannot replace"),
            std::string::npos);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder.path()), {}), 1);
}

TEST(File, ReadWholeFileHasALimit) {
  TempFolder folder;
  writeText(folder / "a", "12345");
  EXPECT_EQ(*readWholeFile(folder / "a", 5), "12345");
  EXPECT_REFUSED(readWholeFile(folder / "a", 4), "at most 4 are expected");
}
