//===- PlanCacheTest.cpp - Plans beside programs --------------------------===//

#include "runtime/program/ProgramCache.h"
#include "test/Unit/TempFolder.h"

#include <cstdlib>
#include <fstream>
#include <gtest/gtest.h>
#include <sys/stat.h>

using namespace mbc;
namespace fs = std::filesystem;

namespace {

class PlanCache : public testing::Test {
protected:
  void SetUp() override {
    ::setenv("MBC_CACHE", "on", 1);
    ::setenv("MBC_CACHE_DIR", (folder.path() / "cache").c_str(), 1);
  }
  void TearDown() override {
    ::unsetenv("MBC_CACHE");
    ::unsetenv("MBC_CACHE_DIR");
  }
  static ProgramCache cache() { return *ProgramCache::fromEnvironment(); }

  test::TempFolder folder;
};

} // namespace

TEST_F(PlanCache, GivesBackWhatWasStored) {
  std::string bytes("\0\n\xff plan\n", 9);
  EXPECT_FALSE(cache().findPlan("a"));
  cache().storePlan("a", bytes);
  cache().storePlan("b", "");
  EXPECT_EQ(cache().findPlan("a"), bytes);
  EXPECT_EQ(cache().findPlan("b"), "");
  EXPECT_FALSE(cache().findPlan("c"));
  auto entries = cache().entries();
  ASSERT_EQ(entries.size(), 2u);
  EXPECT_TRUE(entries[0].isPlan);
  ASSERT_TRUE(cache().clear());
  EXPECT_TRUE(cache().entries().empty());
}

TEST_F(PlanCache, WhatIsDamagedOrForeignIsNotFound) {
  cache().storePlan("a", "plan");
  fs::path path = cache().entries().at(0).path;
  // A bit of the plan.
  std::fstream(path, std::ios::in | std::ios::out).seekp(-1, std::ios::end)
      << 'm';
  EXPECT_FALSE(cache().findPlan("a"));
  EXPECT_FALSE(fs::exists(path));
  // The plan of another name, under this one's.
  cache().storePlan("b", "plan");
  fs::rename(cache().entries().at(0).path, path);
  EXPECT_FALSE(cache().findPlan("a"));
  // An empty file; one that others may write to.
  std::ofstream(path).close();
  EXPECT_FALSE(cache().findPlan("a"));
  cache().storePlan("a", "plan");
  ::chmod(path.c_str(), 0666);
  EXPECT_FALSE(cache().findPlan("a"));
}
