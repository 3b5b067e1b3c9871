//===- File.h - Files and folders that appear whole or not at all -*- C++
//-*-===//
#pragma once

#include "runtime/core/Error.h"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mbc {

/// Owns a file descriptor. Errors name the path and the system's reason.
class File {
public:
  static Expected<File> openRead(const std::filesystem::path &path);
  /// Creates a file that must not exist; `size` > 0 reserves the space, so
  /// that a full disk is known before the first byte is written.
  static Expected<File> create(const std::filesystem::path &path,
                               uint64_t size = 0);
  /// Creates a file of `size` bytes that must not exist, all of it a hole:
  /// reads as zeros and takes no space.
  static Expected<File> createSparse(const std::filesystem::path &path,
                                     uint64_t size);
  /// Opens a file that exists for writing into it.
  static Expected<File> openWrite(const std::filesystem::path &path);
  File(File &&other) noexcept;
  File &operator=(File &&other) noexcept;
  ~File();

  /// Reads exactly `buffer.size()` bytes at `offset`; a short file is an
  /// Input error that gives the offset.
  Status readAt(uint64_t offset, std::span<std::byte> buffer) const;
  /// Writes everything; starts write-back of what was written, so that the
  /// final `sync` has little left to do. Concurrent calls are safe as long as
  /// they stay within `size()`.
  Status writeAt(uint64_t offset, std::span<const std::byte> buffer);
  /// fsync.
  Status sync();
  uint64_t size() const { return length; }
  const std::string &path() const { return name; }

private:
  File(int fd, std::string name, uint64_t length);
  int fd = -1;
  std::string name;
  uint64_t length = 0;
};

/// "PATH: DOING: REASON of `code`", an errno value, as a System error; a path
/// that does not exist is an Input error.
Failure fileError(const std::filesystem::path &path, std::string_view doing,
                  int code);

/// Refuses a file to write that is a folder, a device or a pipe, or would lie
/// in no folder, before any work is done for it.
Status checkFileTarget(const std::filesystem::path &target);

/// Whole small files. `limit`: larger ones are refused with a named error.
Expected<std::string> readWholeFile(const std::filesystem::path &path,
                                    uint64_t limit = 64u << 20);
/// Replaces the file, if there is one, by a rename once the new one is synced.
Status writeWholeFile(const std::filesystem::path &path,
                      std::string_view bytes);

/// A folder that is built under a temporary name in the target's parent and
/// renamed when complete. Destroyed without `commit`, it removes what it made.
///
/// A process that is killed cannot: its folder stays, as ".NAME.mbc-HOST-...",
/// beside the target NAME. The next one that is made for the same target
/// removes it, once it is sure that nobody works in it: the name says the host
/// that made it, and a lock on the folder, which dies with its process, is
/// free. Where locks do not work, and from other hosts, it is left alone and
/// named in `notes`.
class StagedDirectory {
public:
  /// An existing target is refused unless `overwrite`; it is then replaced by
  /// the rename (exchange) and removed afterwards, never before. Refused in any
  /// case: a parent that is missing, a target that is no folder, that is or
  /// holds the working folder, or that is a mount point. A target that is a
  /// symbolic link stands for the folder it leads to. `sources` are folders
  /// that are read: a target that is one, lies in one or holds one is refused,
  /// `overwrite` or not.
  static Expected<StagedDirectory>
  create(const std::filesystem::path &target, bool overwrite,
         std::span<const std::filesystem::path> sources = {});
  StagedDirectory(StagedDirectory &&other) noexcept;
  ~StagedDirectory();

  /// Where to write.
  const std::filesystem::path &path() const { return staging; }
  /// Syncs every file and folder below, renames, syncs the parent. Where the
  /// file system cannot exchange two folders (NFS), the old target is first
  /// renamed aside: a crash between the two renames leaves both, the old one
  /// as ".NAME.mbc-old-...", which nobody removes.
  Status commit();

  /// What was found beside the target and removed or left, for the report.
  const std::vector<std::string> &notes() const { return noteList; }

  /// Removes what every staged folder of this process holds, and lets none be
  /// made or committed any more: for a process that was told to stop, and now
  /// ends. A commit that has begun to rename is waited for.
  static void removeAll();

private:
  friend class StagedFile;
  StagedDirectory(std::filesystem::path staging, std::filesystem::path target,
                  bool overwrite, int lock);
  /// An empty staging folder beside `target`, which is canonical.
  static Expected<StagedDirectory> stage(const std::filesystem::path &target,
                                         bool overwrite);
  std::filesystem::path staging, target;
  bool overwrite = false;
  /// Descriptor of the staging folder, which holds the lock; -1: no lock.
  int lock = -1;
  std::vector<std::string> noteList;
};

/// A file of known size that is built in a staged folder beside the target: it
/// replaces the target once it is complete, and goes as staged folders do when
/// the process ends before.
class StagedFile {
public:
  /// Refuses what `checkFileTarget` does, and reserves `size` bytes.
  static Expected<StagedFile> create(const std::filesystem::path &target,
                                     uint64_t size);

  Status writeAt(uint64_t offset, std::span<const std::byte> bytes) {
    return file.writeAt(offset, bytes);
  }
  /// Syncs, and renames over the target.
  Status commit();

private:
  StagedFile(StagedDirectory folder, File file)
      : folder(std::move(folder)), file(std::move(file)) {}

  StagedDirectory folder;
  File file;
};

} // namespace mbc
