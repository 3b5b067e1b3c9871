//===- StagedDirectory.cpp - Folders that appear whole or not at all ------===//

#include "runtime/core/File.h"
#include "runtime/core/Text.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <fmt/format.h>
#include <mutex>
#include <set>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace mbc {

namespace fs = std::filesystem;

namespace {

/// The folders that have to go when the process is told to stop.
struct Registry {
  std::mutex mutex;
  std::set<fs::path> folders;
  bool stopped = false;
};

Registry &registry() {
  // Never destroyed: threads may still stage while the process exits.
  static Registry &instance = *new Registry;
  return instance;
}

Failure stoppedError(const fs::path &target) {
  return systemError(fmt::format("{}: was interrupted", target.string()));
}

} // namespace

void StagedDirectory::removeAll() {
  Registry &all = registry();
  std::lock_guard lock(all.mutex);
  all.stopped = true;
  for (const fs::path &folder : all.folders) {
    // Other threads may still add to it.
    std::error_code error;
    for (int attempt = 0; attempt < 100; ++attempt) {
      fs::remove_all(folder, error);
      if (!error && !fs::exists(folder, error))
        break;
    }
  }
  all.folders.clear();
}

/// What the names of all staging folders of a target begin with. Shortened:
/// with what is added, a name must not be longer than names may be.
static std::string stagingPrefix(const fs::path &target) {
  return fmt::format(".{}.mbc-", target.filename().string().substr(0, 180));
}

/// A short name of this host: several of them may write to one file system.
static std::string hostTag() {
  char name[256] = {};
  ::gethostname(name, sizeof(name) - 1);
  uint32_t hash = 2166136261u; // FNV-1a
  for (const char *c = name; *c; ++c)
    hash = (hash ^ static_cast<unsigned char>(*c)) * 16777619u;
  return fmt::format("{:08x}", hash);
}

/// A hidden name beside `target` that no other process uses. `kind`: the host,
/// or "old" for a former target.
static fs::path temporaryName(const fs::path &target, const std::string &kind) {
  uint32_t random = 0;
  if (::getrandom(&random, sizeof(random), GRND_NONBLOCK) < 0)
    random = static_cast<uint32_t>(::clock());
  return target.parent_path() / fmt::format("{}{}-{}-{:08x}",
                                            stagingPrefix(target), kind,
                                            ::getpid(), random);
}

/// The descriptor of a folder that is now locked by this process; -1 when it
/// is locked by another one or cannot be.
static int lockFolder(const fs::path &folder) {
  int fd =
      ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd >= 0 && ::flock(fd, LOCK_EX | LOCK_NB) == 0)
    return fd;
  if (fd >= 0)
    ::close(fd);
  return -1;
}

/// Removes what runs that were killed have left beside the target; returns a
/// note on each folder, also on those that have to stay.
static std::vector<std::string> removeLeftovers(const fs::path &target) {
  std::vector<std::string> notes;
  std::string prefix = stagingPrefix(target), own = prefix + hostTag() + "-";
  std::error_code error;
  for (fs::directory_iterator it(target.parent_path(), error), end;
       !error && it != end; it.increment(error)) {
    fs::path folder = it->path();
    std::string name = folder.filename().string();
    if (!name.starts_with(prefix))
      continue;
    if (name.starts_with(prefix + "old-")) {
      notes.push_back(fmt::format(
          "{} is what stood here before a run that was killed while it "
          "replaced it; move it back, or remove it",
          quote(folder.string())));
      continue;
    }
    int lock = name.starts_with(own) ? lockFolder(folder) : -1;
    if (lock < 0) {
      // Of a live run, another host, another user, or where nothing locks.
      notes.push_back(fmt::format("{} belongs to another run; if none is at "
                                  "work, remove it",
                                  quote(folder.string())));
      continue;
    }
    std::error_code failed;
    fs::remove_all(folder, failed);
    ::close(lock);
    notes.push_back(failed
                        ? fmt::format("{} was left by a run that was killed, "
                                      "and cannot be removed: {}",
                                      quote(folder.string()), failed.message())
                        : fmt::format("removed {}, left by a run that was "
                                      "killed",
                                      quote(folder.string())));
  }
  std::ranges::sort(notes);
  return notes;
}

/// Whether `inner` is `outer` or lies below it; both canonical.
static bool isWithin(const fs::path &inner, const fs::path &outer) {
  auto [o, i] =
      std::mismatch(outer.begin(), outer.end(), inner.begin(), inner.end());
  return o == outer.end();
}

/// The target with its parent resolved and a final symbolic link followed, so
/// that all names used later are siblings in the folder that is written to.
static Expected<fs::path> resolveTarget(const fs::path &target) {
  std::error_code error;
  fs::path path = target;
  if (!path.has_filename()) // "out/"
    path = path.parent_path();
  if (path.filename().empty() || path.filename() == "." ||
      path.filename() == "..")
    return inputError(fmt::format("{}: cannot be written as a new folder; name "
                                  "a folder inside it",
                                  quote(target.string())));
  if (fs::is_symlink(path, error)) {
    path = fs::canonical(path, error);
    if (error)
      return inputError(fmt::format("{}: is a symbolic link that leads nowhere",
                                    target.string()));
    return path;
  }
  fs::path parent = path.has_parent_path() ? path.parent_path() : ".";
  fs::path resolved = fs::canonical(parent, error);
  if (error)
    return inputError(
        fmt::format("{}: the parent folder {} does not exist; create it first",
                    target.string(), quote(parent.string())));
  if (!fs::is_directory(resolved, error))
    return inputError(fmt::format("{}: {} is not a folder", target.string(),
                                  quote(parent.string())));
  return resolved / path.filename();
}

/// Whether an existing target may be replaced.
static Status checkReplaceable(const fs::path &target, bool overwrite) {
  struct stat info, parent;
  if (::lstat(target.c_str(), &info) != 0)
    return errno == ENOENT ? Status() : fileError(target, "cannot use", errno);
  if (!S_ISDIR(info.st_mode))
    return inputError(
        fmt::format("{}: exists and is not a folder", target.string()));
  if (!overwrite)
    return inputError(fmt::format(
        "{}: already exists; pass --overwrite to replace it", target.string()));
  std::error_code error;
  fs::path working = fs::current_path(error);
  if (!error && isWithin(working, target))
    return inputError(fmt::format("{}: cannot be replaced, since the working "
                                  "folder {} is in it",
                                  target.string(), quote(working.string())));
  if (::stat(target.parent_path().c_str(), &parent) != 0)
    return fileError(target.parent_path(), "cannot use", errno);
  if (parent.st_dev != info.st_dev)
    return inputError(
        fmt::format("{}: is a mount point and cannot be replaced; "
                    "name a folder inside it",
                    target.string()));
  return {};
}

/// What is read is never replaced, nor written into.
static Status checkApart(const fs::path &resolved, const fs::path &target,
                         std::span<const fs::path> sources) {
  for (const fs::path &source : sources) {
    std::error_code error;
    fs::path real = fs::canonical(source, error);
    if (error)
      continue; // The reader names what it cannot find.
    if (real == resolved)
      return inputError(fmt::format(
          "{}: is the folder that is read; name another one", target.string()));
    if (isWithin(resolved, real))
      return inputError(fmt::format("{}: lies in {}, which is read; name a "
                                    "folder outside of it",
                                    target.string(), quote(source.string())));
    if (isWithin(real, resolved))
      return inputError(fmt::format("{}: holds {}, which is read; name another "
                                    "folder",
                                    target.string(), quote(source.string())));
  }
  return {};
}

StagedDirectory::StagedDirectory(fs::path staging, fs::path target,
                                 bool overwrite, int lock)
    : staging(std::move(staging)), target(std::move(target)),
      overwrite(overwrite), lock(lock) {}

StagedDirectory::StagedDirectory(StagedDirectory &&other) noexcept
    : staging(std::exchange(other.staging, {})),
      target(std::move(other.target)), overwrite(other.overwrite),
      lock(std::exchange(other.lock, -1)), noteList(std::move(other.noteList)) {
}

StagedDirectory::~StagedDirectory() {
  if (lock >= 0)
    ::close(lock);
  if (staging.empty())
    return;
  std::error_code ignored;
  fs::remove_all(staging, ignored);
  std::lock_guard lock(registry().mutex);
  registry().folders.erase(staging);
}

Expected<StagedDirectory>
StagedDirectory::create(const fs::path &target, bool overwrite,
                        std::span<const fs::path> sources) {
  MBC_ASSIGN(fs::path resolved, resolveTarget(target));
  MBC_TRY(checkApart(resolved, target, sources));
  MBC_TRY(checkReplaceable(resolved, overwrite));
  return stage(resolved, overwrite);
}

Expected<StagedDirectory> StagedDirectory::stage(const fs::path &target,
                                                 bool overwrite) {
  std::vector<std::string> notes = removeLeftovers(target);
  for (int attempt = 0; attempt < 16; ++attempt) {
    fs::path staging = temporaryName(target, hostTag());
    std::lock_guard lock(registry().mutex);
    if (registry().stopped)
      return stoppedError(target);
    if (::mkdir(staging.c_str(), 0777) == 0) {
      int held = lockFolder(staging);
      // Before it was locked, another run may have taken it for a leftover.
      if (std::error_code error; !fs::exists(staging, error)) {
        if (held >= 0)
          ::close(held);
        continue;
      }
      registry().folders.insert(staging);
      StagedDirectory result(std::move(staging), target, overwrite, held);
      result.noteList = std::move(notes);
      return result;
    }
    if (errno != EEXIST)
      return fileError(target.parent_path(), "cannot create a folder in it",
                       errno);
  }
  return systemError(fmt::format("{}: cannot find a free temporary name",
                                 target.parent_path().string()));
}

static Status syncPath(const fs::path &path, int flags) {
  int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | flags);
  if (fd < 0)
    return fileError(path, "cannot open to sync", errno);
  // A few file systems cannot sync folders; they say EINVAL.
  int code = ::fsync(fd) == 0 || ((flags & O_DIRECTORY) && errno == EINVAL)
                 ? 0
                 : errno;
  ::close(fd);
  return code == 0 ? Status() : fileError(path, "cannot sync", code);
}

/// Syncs every file and folder below `folder`, contents before names.
static Status syncTree(const fs::path &folder) {
  std::error_code error;
  fs::directory_iterator it(folder, error), end;
  while (!error && it != end) {
    auto status = it->symlink_status(error);
    if (error)
      break;
    if (fs::is_directory(status))
      MBC_TRY(syncTree(it->path()));
    else if (fs::is_regular_file(status))
      MBC_TRY(syncPath(it->path(), 0));
    it.increment(error);
  }
  if (error)
    return fileError(folder, "cannot list", error.value());
  return syncPath(folder, O_DIRECTORY);
}

static int renameFlags(const fs::path &from, const fs::path &to,
                       unsigned flags) {
  return ::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), flags) == 0
             ? 0
             : errno;
}

/// What kernels and file systems without the flags of renameat2 say.
static bool isUnsupported(int code) { return code == EINVAL || code == ENOSYS; }

/// Renames to a name that is free.
static int renameToFree(const fs::path &from, const fs::path &to) {
  int code = renameFlags(from, to, RENAME_NOREPLACE);
  if (!isUnsupported(code))
    return code;
  struct stat info;
  if (::lstat(to.c_str(), &info) == 0)
    return EEXIST;
  return ::rename(from.c_str(), to.c_str()) == 0 ? 0 : errno;
}

/// Puts `staging` in the place of `target`; `old` is then where the former
/// target is.
static int replace(const fs::path &staging, const fs::path &target,
                   fs::path &old) {
  old = staging;
  int code = renameFlags(staging, target, RENAME_EXCHANGE);
  if (!isUnsupported(code))
    return code;
  old = temporaryName(target, "old");
  if (::rename(target.c_str(), old.c_str()) != 0)
    return errno;
  if (::rename(staging.c_str(), target.c_str()) == 0)
    return 0;
  code = errno;
  ::rename(old.c_str(), target.c_str());
  return code;
}

Status StagedDirectory::commit() {
  MBC_TRY(syncTree(staging));
  // From the first rename to the last nobody may remove anything.
  std::unique_lock lock(registry().mutex);
  if (registry().stopped)
    return stoppedError(target);
  // Once more: hours may have passed since `create`.
  MBC_TRY(checkReplaceable(target, overwrite));
  fs::path old;
  struct stat info;
  bool exists = ::lstat(target.c_str(), &info) == 0;
  int code =
      exists ? replace(staging, target, old) : renameToFree(staging, target);
  if (code == EEXIST)
    return inputError(fmt::format(
        "{}: was created meanwhile by another process", target.string()));
  if (code != 0)
    return fileError(target, "cannot move the finished folder here", code);
  // From here on the new folder is in place, and nothing of it is removed.
  registry().folders.erase(staging);
  staging.clear();
  if (!old.empty())
    registry().folders.insert(old);
  lock.unlock();
  MBC_TRY(syncPath(target.parent_path(), O_DIRECTORY));
  std::error_code error;
  if (!old.empty()) {
    fs::remove_all(old, error);
    std::lock_guard again(registry().mutex);
    registry().folders.erase(old);
  }
  if (error)
    return systemError(fmt::format(
        "{}: is complete, but the folder it replaced could not be removed and "
        "is left at {}: {}",
        target.string(), quote(old.string()), error.message()));
  return {};
}

/// The file's name in its staged folder.
static constexpr const char *stagedName = "file";

Expected<StagedFile> StagedFile::create(const fs::path &target, uint64_t size) {
  MBC_TRY(checkFileTarget(target));
  MBC_ASSIGN(fs::path resolved, resolveTarget(target));
  MBC_ASSIGN(StagedDirectory folder,
             StagedDirectory::stage(resolved, /*overwrite=*/true));
  auto file = File::create(folder.path() / stagedName, size);
  if (!file) {
    // What matters is where the file was to be.
    std::string message = file.error().message, at = folder.path() / stagedName;
    if (message.starts_with(at))
      message.replace(0, at.size(), target.string());
    return Failure(Error{file.error().kind, std::move(message)});
  }
  return StagedFile(std::move(folder), std::move(*file));
}

Status StagedFile::commit() {
  MBC_TRY(file.sync());
  {
    std::lock_guard lock(registry().mutex);
    if (registry().stopped)
      return stoppedError(folder.target);
    if (::rename((folder.staging / stagedName).c_str(),
                 folder.target.c_str()) != 0)
      return fileError(folder.target, "cannot be written", errno);
  }
  return syncPath(folder.target.parent_path(), O_DIRECTORY);
}

} // namespace mbc
