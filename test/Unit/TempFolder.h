//===- TempFolder.h - A folder that lives as long as a test -----*- C++ -*-===//
#pragma once

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <iterator>
#include <stdlib.h>
#include <string>
#include <string_view>

namespace mbc::test {

/// An empty folder, removed with all it holds at the end.
class TempFolder {
public:
  TempFolder() {
    std::string name =
        (std::filesystem::temp_directory_path() / "mbc-test-XXXXXX").string();
    if (!::mkdtemp(name.data()))
      throw std::runtime_error("cannot create " + name);
    root = name;
  }
  ~TempFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(root, ignored);
  }
  TempFolder(const TempFolder &) = delete;
  TempFolder &operator=(const TempFolder &) = delete;

  const std::filesystem::path &path() const { return root; }
  std::filesystem::path operator/(std::string_view name) const {
    return root / name;
  }

private:
  std::filesystem::path root;
};

inline void writeText(const std::filesystem::path &path,
                      std::string_view text) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out << text;
  out.close();
  ASSERT_TRUE(out.good()) << path;
}

inline std::string readText(const std::filesystem::path &path) {
  std::ifstream in(path, std::ios::binary);
  EXPECT_TRUE(in.good()) << path;
  return {std::istreambuf_iterator<char>(in), {}};
}

/// The message of an error, and "" for a success, so that one EXPECT_EQ tells
/// both.
template <typename E> std::string messageOf(const E &expected) {
  return expected ? std::string() : expected.error().message;
}

/// Expects an Input error whose message contains `part`.
#define EXPECT_REFUSED(expression, part)                                       \
  do {                                                                         \
    auto refused = (expression);                                               \
    ASSERT_FALSE(refused.has_value()) << "accepted: " #expression;             \
    EXPECT_EQ(refused.error().kind, ::mbc::ErrorKind::Input);                  \
    EXPECT_NE(refused.error().message.find(part), std::string::npos)           \
        << "message: " << refused.error().message << "\nlacks:   " << (part);  \
  } while (false)

} // namespace mbc::test
