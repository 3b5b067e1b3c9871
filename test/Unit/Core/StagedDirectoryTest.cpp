#include "runtime/core/File.h"
#include "test/Unit/TempFolder.h"

#include <csignal>
#include <sys/resource.h>
#include <unistd.h>

using namespace mbc;
using namespace mbc::test;
namespace fs = std::filesystem;

static size_t entriesIn(const fs::path &folder) {
  return static_cast<size_t>(
      std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

static void makeOld(const fs::path &target) {
  fs::create_directories(target / "sub");
  writeText(target / "config.json", "old");
  writeText(target / "sub" / "x", "old too");
}

TEST(StagedDirectory, AppearsOnlyAtCommit) {
  TempFolder folder;
  auto staged = StagedDirectory::create(folder / "out", false);
  ASSERT_TRUE(staged) << messageOf(staged);
  EXPECT_TRUE(staged->path().filename().string().starts_with(".out.mbc-"));
  EXPECT_EQ(staged->path().parent_path(), fs::canonical(folder.path()));
  writeText(staged->path() / "a", "new");
  fs::create_directory(staged->path() / "sub");
  writeText(staged->path() / "sub" / "b", "new");
  EXPECT_FALSE(fs::exists(folder / "out"));
  ASSERT_TRUE(staged->commit());
  EXPECT_EQ(readText(folder / "out" / "a"), "new");
  EXPECT_EQ(readText(folder / "out" / "sub" / "b"), "new");
  EXPECT_EQ(entriesIn(folder.path()), 1u);
}

TEST(StagedDirectory, WithoutCommitNothingRemains) {
  TempFolder folder;
  {
    auto staged = StagedDirectory::create(folder / "out", false);
    ASSERT_TRUE(staged);
    writeText(staged->path() / "a", "new");
  }
  EXPECT_EQ(entriesIn(folder.path()), 0u);
}

TEST(StagedDirectory, OverwriteReplacesAsAWhole) {
  TempFolder folder;
  makeOld(folder / "out");
  auto staged = StagedDirectory::create(folder / "out", true);
  ASSERT_TRUE(staged) << messageOf(staged);
  writeText(staged->path() / "a", "new");
  EXPECT_EQ(readText(folder / "out" / "config.json"), "old");
  ASSERT_TRUE(staged->commit());
  EXPECT_EQ(readText(folder / "out" / "a"), "new");
  EXPECT_EQ(entriesIn(folder / "out"), 1u);
  EXPECT_EQ(entriesIn(folder.path()), 1u);
}

// The disk is full (here: files have a size limit) half way.
TEST(StagedDirectory, FailingWriteLeavesTheOldTarget) {
  TempFolder folder;
  makeOld(folder / "out");
  auto handler = ::signal(SIGXFSZ, SIG_IGN);
  rlimit old, small;
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &old), 0);
  small = old;
  small.rlim_cur = 1000;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  auto work = [&]() -> Status {
    MBC_ASSIGN(auto staged, StagedDirectory::create(folder / "out", true));
    MBC_ASSIGN(auto file, File::create(staged.path() / "weights"));
    std::string data(4000, 'x');
    MBC_TRY(file.writeAt(0, std::as_bytes(std::span(data))));
    return staged.commit();
  };
  Status status = work();
  ::setrlimit(RLIMIT_FSIZE, &old);
  ::signal(SIGXFSZ, handler);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().kind, ErrorKind::System);
  EXPECT_EQ(readText(folder / "out" / "config.json"), "old");
  EXPECT_EQ(readText(folder / "out" / "sub" / "x"), "old too");
  EXPECT_EQ(entriesIn(folder / "out"), 2u);
  EXPECT_EQ(entriesIn(folder.path()), 1u);
}

TEST(StagedDirectory, RefusesAnExistingTarget) {
  TempFolder folder;
  makeOld(folder / "out");
  EXPECT_REFUSED(StagedDirectory::create(folder / "out", false),
                 "/out: already exists; pass --overwrite to replace it");
  writeText(folder / "file", "x");
  EXPECT_REFUSED(StagedDirectory::create(folder / "file", true),
                 "exists and is not a folder");
}

TEST(StagedDirectory, RefusesATargetThatAppearsMeanwhile) {
  TempFolder folder;
  auto staged = StagedDirectory::create(folder / "out", false);
  ASSERT_TRUE(staged);
  makeOld(folder / "out");
  EXPECT_REFUSED(staged->commit(), "already exists");
  EXPECT_EQ(readText(folder / "out" / "config.json"), "old");
}

TEST(StagedDirectory, RefusesBadPlaces) {
  TempFolder folder;
  EXPECT_REFUSED(StagedDirectory::create(folder / "no" / "out", false),
                 "the parent folder");
  writeText(folder / "file", "x");
  EXPECT_REFUSED(StagedDirectory::create(folder / "file" / "out", false),
                 "/file' ");
  for (const char *bad : {"/", ".", "..", ""})
    EXPECT_REFUSED(StagedDirectory::create(bad, true),
                   "cannot be written as a new folder");
  EXPECT_REFUSED(StagedDirectory::create("/proc", true), "is a mount point");
}

TEST(StagedDirectory, RefusesTheWorkingFolder) {
  TempFolder folder;
  makeOld(folder / "out");
  fs::path before = fs::current_path();
  fs::current_path(folder / "out" / "sub");
  auto staged = StagedDirectory::create(folder / "out", true);
  auto relative = StagedDirectory::create("../../out", true);
  fs::current_path(before);
  EXPECT_REFUSED(std::move(staged), "the working folder");
  EXPECT_REFUSED(std::move(relative), "the working folder");
  EXPECT_EQ(readText(folder / "out" / "config.json"), "old");
}

TEST(StagedDirectory, AcceptsRelativeAndTrailingSlash) {
  TempFolder folder;
  fs::path before = fs::current_path();
  fs::current_path(folder.path());
  auto staged = StagedDirectory::create("out/", false);
  fs::current_path(before);
  ASSERT_TRUE(staged) << messageOf(staged);
  ASSERT_TRUE(staged->commit());
  EXPECT_TRUE(fs::is_directory(folder / "out"));
}

TEST(StagedDirectory, FollowsALinkToTheFolderItStandsFor) {
  TempFolder folder;
  makeOld(folder / "real");
  fs::create_directory_symlink("real", folder / "link");
  fs::create_directory_symlink("nowhere", folder / "dangling");
  EXPECT_REFUSED(StagedDirectory::create(folder / "link", false),
                 "already exists");
  EXPECT_REFUSED(StagedDirectory::create(folder / "dangling", true),
                 "leads nowhere");
  auto staged = StagedDirectory::create(folder / "link", true);
  ASSERT_TRUE(staged) << messageOf(staged);
  writeText(staged->path() / "a", "new");
  ASSERT_TRUE(staged->commit());
  EXPECT_TRUE(fs::is_symlink(folder / "link"));
  EXPECT_EQ(readText(folder / "real" / "a"), "new");
  EXPECT_EQ(readText(folder / "link" / "a"), "new");
}

TEST(StagedDirectory, NeverFollowsLinksWhenItRemoves) {
  TempFolder folder;
  makeOld(folder / "precious");
  makeOld(folder / "out");
  fs::create_directory_symlink(folder / "precious", folder / "out" / "link");
  {
    auto staged = StagedDirectory::create(folder / "other", false);
    fs::create_directory_symlink(folder / "precious", staged->path() / "link");
  }
  auto staged = StagedDirectory::create(folder / "out", true);
  ASSERT_TRUE(staged->commit());
  EXPECT_EQ(readText(folder / "precious" / "config.json"), "old");
}

TEST(StagedDirectory, RemovesWhatAKilledRunLeft) {
  TempFolder temp;
  fs::path left;
  {
    // A live run's folder, which is locked, gives the name.
    auto live = StagedDirectory::create(temp / "out", false);
    ASSERT_TRUE(live);
    auto second = StagedDirectory::create(temp / "out", false);
    ASSERT_TRUE(second);
    EXPECT_TRUE(fs::exists(live->path()));
    ASSERT_EQ(second->notes().size(), 1u);
    EXPECT_NE(second->notes()[0].find("belongs to another run"),
              std::string::npos);
    left = live->path();
  }
  // Nobody holds this one; the others are of another host, and a former target.
  fs::create_directory(left);
  std::string name = left.filename().string();
  size_t host = name.find("mbc-") + 4;
  fs::path other = temp / (name.substr(0, host) + "00000000-1-00000000"),
           old = temp / (name.substr(0, host) + "old-1-00000000");
  fs::create_directory(other);
  fs::create_directory(old);
  auto staged = StagedDirectory::create(temp / "out", false);
  ASSERT_TRUE(staged);
  EXPECT_FALSE(fs::exists(left));
  EXPECT_TRUE(fs::exists(other));
  EXPECT_TRUE(fs::exists(old));
  EXPECT_EQ(staged->notes().size(), 3u);
}

TEST(StagedDirectory, RemoveAllLeavesNothingAndLetsNothingBeMade) {
  TempFolder folder;
  makeOld(folder / "old");
  // In a process of its own, since nothing can be staged afterwards.
  EXPECT_EXIT(
      {
        auto first = StagedDirectory::create(folder / "new", false);
        auto second = StagedDirectory::create(folder / "old", true);
        writeText(first->path() / "a", "a");
        fs::create_directories(second->path() / "sub" / "folder");
        StagedDirectory::removeAll();
        bool refused = !first->commit() && !second->commit() &&
                       !StagedDirectory::create(folder / "new", false);
        std::exit(refused ? 0 : 1);
      },
      testing::ExitedWithCode(0), "");
  size_t left = 0;
  for ([[maybe_unused]] const auto &entry :
       fs::directory_iterator(folder.path()))
    ++left;
  EXPECT_EQ(left, 1u);
  EXPECT_EQ(readText(folder / "old" / "config.json"), "old");
}
