//===- ProgramCache.h - Programs kept between runs --------------*- C++ -*-===//
#pragma once

#include "runtime/core/Error.h"
#include "runtime/schema/program_generated.h"

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace mbc {

/// A folder of programs, KEY.mbcp each, KEY being the digest of everything that
/// decides the program; and of plans, KEY.plan each: what was found by trying
/// how a device's libraries are best called. It saves time and nothing else:
/// whatever is wrong with the folder or a file in it, a caller finds nothing
/// there, and makes it.
///
/// Programs are trusted as executables are: only files that this user alone may
/// write to are taken. A program appears whole or not at all, so any number of
/// processes may share the folder.
class ProgramCache {
public:
  struct Entry {
    std::filesystem::path path;
    uint64_t bytes;
    std::chrono::system_clock::time_point used; ///< last found or stored
    bool isPlan = false;
  };

  /// MBC_CACHE_DIR, else $XDG_CACHE_HOME/mbc, else $HOME/.cache/mbc; of at most
  /// MBC_CACHE_LIMIT bytes (2 GiB). An Input error for a limit that is none.
  static Expected<ProgramCache> fromEnvironment();
  /// Whether MBC_CACHE is "off", or there is no place for a folder.
  bool isOff() const { return off; }
  /// May not exist; empty where the environment names none.
  const std::filesystem::path &folder() const { return root; }
  uint64_t limit() const { return most; }

  /// The program of a key, which then counts as just used; null when there is
  /// none. What is damaged is removed.
  std::unique_ptr<program::ProgramT> find(const std::string &key) const;
  /// Keeps a program's bytes, and removes others, least recently used first,
  /// until all are within the limit. A failure is no matter.
  void store(const std::string &key, std::span<const uint8_t> bytes) const;

  /// The plan that was stored under a name: one line that says all that decides
  /// it. None where there is none, or where it is damaged.
  std::optional<std::string> findPlan(std::string_view name) const;
  /// As `store`.
  void storePlan(std::string_view name, std::string_view plan) const;

  /// What it holds, last used first. Files of other names are not its own.
  std::vector<Entry> entries() const;
  /// Removes all of it; a System error names what stays.
  Status clear() const;

private:
  ProgramCache() = default;
  std::filesystem::path pathOf(const std::string &key,
                               std::string_view suffix) const;
  void write(const std::string &key, std::string_view suffix,
             std::span<const std::byte> bytes) const;
  void removeLeftovers() const;

  std::filesystem::path root;
  uint64_t most = uint64_t(2) << 30;
  bool off = false;
};

} // namespace mbc
