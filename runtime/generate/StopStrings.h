//===- StopStrings.h - Texts that end a text --------------------*- C++ -*-===//
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace mbc::generate {

/// Watches a growing text for strings that end it. What could still be the
/// beginning of one is held back, wherever tokens cut it.
class StopStrings {
public:
  /// Empty strings are left out.
  explicit StopStrings(std::vector<std::string> strings);

  /// Adds text; returns what is certain not to be of a stop string. Once
  /// `found`, nothing any more.
  std::string push(std::string_view text);
  /// What was held back, once no more text comes.
  std::string finish();
  bool found() const { return stopped; }

private:
  std::vector<std::string> strings;
  std::string held;
  bool stopped = false;
};

} // namespace mbc::generate
