//===- HubCacheTest.cpp ---------------------------------------------------===//
#include "runtime/io/HubCache.h"

#include "test/Unit/TempFolder.h"

#include <cstdlib>
#include <gtest/gtest.h>
#include <map>
#include <string>

using namespace mbc;
namespace fs = std::filesystem;

namespace {

/// A cache with one model: main and a tag lead to different snapshots.
class HubCacheTest : public ::testing::Test {
protected:
  void SetUp() override {
    fs::path model = temp.path() / "models--org--Some-Model.1";
    fs::create_directories(model / "refs" / "pr");
    fs::create_directories(model / "snapshots" / "abc123");
    fs::create_directories(model / "snapshots" / "def456");
    test::writeText(model / "refs" / "main", "abc123\n");
    test::writeText(model / "refs" / "pr" / "7", "def456");
    ::setenv("HF_HUB_CACHE", temp.path().c_str(), 1);
  }
  void TearDown() override { ::unsetenv("HF_HUB_CACHE"); }

  fs::path snapshot(const char *commit) {
    return temp.path() / "models--org--Some-Model.1" / "snapshots" / commit;
  }
  test::TempFolder temp;
};

TEST_F(HubCacheTest, IdsLeadToSnapshots) {
  EXPECT_EQ(*resolveModel("org/Some-Model.1"), snapshot("abc123"));
  EXPECT_EQ(*resolveModel("org/Some-Model.1@main"), snapshot("abc123"));
  EXPECT_EQ(*resolveModel("org/Some-Model.1@pr/7"), snapshot("def456"));
  EXPECT_EQ(*resolveModel("org/Some-Model.1@def456"), snapshot("def456"));
}

TEST_F(HubCacheTest, FoldersComeFirst) {
  fs::create_directories(temp.path() / "here" / "org" / "Some-Model.1");
  fs::path before = fs::current_path();
  fs::current_path(temp.path() / "here");
  EXPECT_EQ(*resolveModel("org/Some-Model.1"), fs::path("org/Some-Model.1"));
  fs::current_path(before);
}

TEST_F(HubCacheTest, TheEnvironmentSaysWhereTheCacheIs) {
  const char *names[] = {"HOME", "XDG_CACHE_HOME", "HF_HOME",
                         "HUGGINGFACE_HUB_CACHE", "HF_HUB_CACHE"};
  std::map<std::string, std::string> before;
  for (const char *name : names) {
    if (const char *value = std::getenv(name))
      before[name] = value;
    ::unsetenv(name);
  }
  auto set = [](const char *name, const char *value) {
    ::setenv(name, value, 1);
    return hubCache();
  };
  EXPECT_EQ(set("HOME", "/home/a"), "/home/a/.cache/huggingface/hub");
  EXPECT_EQ(set("XDG_CACHE_HOME", "/cache"), "/cache/huggingface/hub");
  EXPECT_EQ(set("HF_HOME", "~/hf"), "/home/a/hf/hub");
  EXPECT_EQ(set("HUGGINGFACE_HUB_CACHE", "/old"), "/old");
  EXPECT_EQ(set("HF_HUB_CACHE", "~"), "/home/a");
  EXPECT_EQ(set("HF_HUB_CACHE", ""), "/old");
  for (const char *name : names)
    ::unsetenv(name);
  for (const auto &[name, value] : before)
    ::setenv(name.c_str(), value.c_str(), 1);
}

TEST_F(HubCacheTest, WhatIsNotCachedSaysHowToGetIt) {
  auto missing = resolveModel("org/Other@v1");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().kind, ErrorKind::Input);
  EXPECT_NE(missing.error().message.find("hf download org/Other --revision v1"),
            std::string::npos)
      << missing.error().message;
  EXPECT_FALSE(resolveModel("org/Some-Model.1@v9").has_value());
}

TEST_F(HubCacheTest, PathsAreNoIds) {
  for (const char *path : {"folder", "./org/name", "a/b/c", "../a", "/a/b",
                           "org/..", "org/name@../../x", "~/models"})
    EXPECT_EQ(*resolveModel(path), fs::path(path)) << path;
}

TEST_F(HubCacheTest, ADamagedRefLeadsNowhere) {
  test::writeText(temp.path() / "models--org--Some-Model.1" / "refs" / "main",
                  "../../elsewhere");
  EXPECT_FALSE(resolveModel("org/Some-Model.1").has_value());
}

TEST_F(HubCacheTest, ModelId) {
  EXPECT_EQ(modelId("/c/models--org--a-name/snapshots/0123"), "org/a-name");
  EXPECT_EQ(modelId("/c/models--org--a-name/snapshots/0123/"), "org/a-name");
  EXPECT_EQ(modelId("/c/models--gpt2/snapshots/0123"), "gpt2");
  EXPECT_EQ(modelId("./models/a/"), "models/a");
  EXPECT_EQ(modelId("/models/a"), "/models/a");
}

} // namespace
