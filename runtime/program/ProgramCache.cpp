//===- ProgramCache.cpp ---------------------------------------------------===//
#include "runtime/program/ProgramCache.h"

#include "runtime/core/File.h"
#include "runtime/core/Text.h"
#include "runtime/io/Digest.h"
#include "runtime/program/Program.h"

#include <algorithm>
#include <cstdlib>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

namespace fs = std::filesystem;

namespace mbc {

static constexpr std::string_view programs = ".mbcp", plans = ".plan",
                                  unfinished = ".tmp";
/// Digits of a key: an XXH3-128.
static constexpr size_t keyDigits = 32;

static std::string variable(const char *name) {
  const char *text = std::getenv(name);
  return text ? text : "";
}

Expected<ProgramCache> ProgramCache::fromEnvironment() {
  ProgramCache cache;
  if (std::string limit = variable("MBC_CACHE_LIMIT"); !limit.empty()) {
    auto bytes = parseByteSize(limit);
    if (!bytes)
      return inputError("MBC_CACHE_LIMIT: " + bytes.error().message);
    cache.most = *bytes;
  }
  // A relative XDG_CACHE_HOME is to be ignored, says its specification.
  std::string own = variable("MBC_CACHE_DIR"),
              shared = variable("XDG_CACHE_HOME"), home = variable("HOME");
  if (!own.empty())
    cache.root = own;
  else if (shared.starts_with("/"))
    cache.root = fs::path(shared) / "mbc";
  else if (home.starts_with("/"))
    cache.root = fs::path(home) / ".cache" / "mbc";
  cache.off = cache.root.empty() || variable("MBC_CACHE") == "off";
  return cache;
}

fs::path ProgramCache::pathOf(const std::string &key,
                              std::string_view suffix) const {
  return root / (key + std::string(suffix));
}

/// Whether a name begins with a key, and with `tail` behind it.
static bool isKeyWith(std::string_view name, std::string_view tail) {
  return name.size() >= keyDigits &&
         name.find_first_not_of("0123456789abcdef") == keyDigits &&
         name.substr(keyDigits).starts_with(tail);
}

/// A regular file that nobody else may have written.
static bool isOwn(const fs::path &path) {
  struct stat info;
  return ::lstat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode) &&
         info.st_uid == ::geteuid() &&
         (info.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

/// Access times are often not kept: the time of a change is that of use.
static void markUsed(const fs::path &path) {
  ::utimensat(AT_FDCWD, path.c_str(), nullptr, 0);
}

std::unique_ptr<program::ProgramT>
ProgramCache::find(const std::string &key) const {
  fs::path path = pathOf(key, programs);
  if (off || !isOwn(path))
    return nullptr;
  auto program = readProgram(path);
  if (!program) {
    ::unlink(path.c_str());
    return nullptr;
  }
  markUsed(path);
  return std::move(*program);
}

void ProgramCache::store(const std::string &key,
                         std::span<const uint8_t> bytes) const {
  write(key, programs, std::as_bytes(bytes));
}

/// Of cuDNN's, the largest, 0.1 MB was seen.
static constexpr uint64_t largestPlan = 16 << 20;

/// A plan's file: the digest of what follows, the name, a line each; the plan.
static std::string fileOfPlan(std::string_view name, std::string_view plan) {
  std::string body = fmt::format("{}\n{}", name, plan);
  return fmt::format("{}\n{}", digestText(body), body);
}

std::optional<std::string> ProgramCache::findPlan(std::string_view name) const {
  fs::path path = pathOf(digestText(name), plans);
  if (off || !isOwn(path))
    return std::nullopt;
  auto text = readWholeFile(path, largestPlan);
  size_t head = keyDigits + 1 + name.size() + 1;
  if (text && text->size() >= head) {
    std::string plan = text->substr(head);
    if (*text == fileOfPlan(name, plan)) {
      markUsed(path);
      return plan;
    }
  }
  ::unlink(path.c_str());
  return std::nullopt;
}

void ProgramCache::storePlan(std::string_view name,
                             std::string_view plan) const {
  std::string text = fileOfPlan(name, plan);
  write(digestText(name), plans, std::as_bytes(std::span(text)));
}

void ProgramCache::write(const std::string &key, std::string_view suffix,
                         std::span<const std::byte> bytes) const {
  if (off || bytes.size() > most)
    return;
  std::error_code code;
  fs::path parent = root.parent_path();
  if (!parent.empty())
    fs::create_directories(parent, code);
  ::mkdir(root.c_str(), S_IRWXU);
  // Not synced: a file that a crash has cut is found by its digest.
  fs::path temporary =
      root / fmt::format("{}{}-{}", key, unfinished, ::getpid());
  {
    auto file = File::create(temporary, bytes.size());
    if (!file)
      return;
    fs::permissions(temporary, fs::perms::owner_read | fs::perms::owner_write,
                    code);
    if (code || !file->writeAt(0, bytes) ||
        ::rename(temporary.c_str(), pathOf(key, suffix).c_str()) != 0) {
      ::unlink(temporary.c_str());
      return;
    }
  }
  uint64_t total = 0;
  for (const Entry &entry : entries()) {
    total += entry.bytes;
    if (total > most)
      ::unlink(entry.path.c_str());
  }
  removeLeftovers();
}

std::vector<ProgramCache::Entry> ProgramCache::entries() const {
  std::vector<Entry> list;
  std::error_code code;
  for (fs::directory_iterator it(root, code), end; !code && it != end;
       it.increment(code)) {
    struct stat info;
    std::string name = it->path().filename().string();
    bool isPlan = isKeyWith(name, plans);
    if ((!isPlan && !isKeyWith(name, programs)) ||
        ::lstat(it->path().c_str(), &info) != 0 || !S_ISREG(info.st_mode))
      continue;
    list.push_back(
        {it->path(), static_cast<uint64_t>(info.st_size),
         std::chrono::system_clock::time_point(
             std::chrono::duration_cast<std::chrono::system_clock::duration>(
                 std::chrono::seconds(info.st_mtim.tv_sec) +
                 std::chrono::nanoseconds(info.st_mtim.tv_nsec))),
         isPlan});
  }
  std::ranges::sort(list, [](const Entry &a, const Entry &b) {
    return std::pair(b.used, b.path) < std::pair(a.used, a.path);
  });
  return list;
}

/// Removes what killed processes left: a program is written in less than an
/// hour.
void ProgramCache::removeLeftovers() const {
  std::error_code code;
  auto old = fs::file_time_type::clock::now() - std::chrono::hours(1);
  for (fs::directory_iterator it(root, code), end; !code && it != end;
       it.increment(code)) {
    std::error_code gone;
    if (isKeyWith(it->path().filename().string(), unfinished) &&
        fs::last_write_time(it->path(), gone) < old && !gone)
      ::unlink(it->path().c_str());
  }
}

Status ProgramCache::clear() const {
  for (const Entry &entry : entries())
    if (::unlink(entry.path.c_str()) != 0 && errno != ENOENT)
      return fileError(entry.path, "cannot remove", errno);
  removeLeftovers();
  return {};
}

} // namespace mbc
