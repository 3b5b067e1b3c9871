//===- FileComparison.h - What lies beside the tensors ----------*- C++ -*-===//
#pragma once

#include "compiler/Bridge/SourceRecord.h"
#include "runtime/core/Json.h"
#include "runtime/io/HfFolder.h"

namespace mbc {

/// Differences between two folders beside their tensors, one sentence each.
struct FileComparison {
  uint64_t compared = 0; ///< files that both have
  /// Files of one name with other bytes, metadata of weight files of one name,
  /// and metadata of the index.
  std::vector<std::string> differences;
  /// Files that only one side has.
  std::vector<std::string> single;
};

/// The files of a Hugging Face folder, or of the record that an import kept of
/// them. Both are read where they are.
struct FolderFiles {
  explicit FolderFiles(const HfFolder &folder);
  explicit FolderFiles(const SourceRecord &record);

  std::filesystem::path folder;
  std::vector<std::string> sideFiles;
  /// Names of the weight files and the exact JSON of their headers.
  std::vector<std::pair<std::string, std::string>> headers;
  /// Exact bytes of the index; empty: there is none.
  Expected<std::string> index;
};

Expected<FileComparison> compareFiles(const FolderFiles &a,
                                      const FolderFiles &b);

} // namespace mbc
