//===- ModelLibrary.h - The declarations that mbc knows ---------*- C++ -*-===//
#pragma once

#include "runtime/core/Error.h"

#include "llvm/Support/VirtualFileSystem.h"

#include <filesystem>
#include <string>
#include <vector>

namespace mbc {

/// A model and the mapping of the same name.
struct DeclaredModel {
  std::string name;
  std::vector<std::string> architectures;
  /// Paths in ModelLibrary::fileSystem().
  std::string modelFile, mappingFile;
};

/// models/*.mbc and mappings/*.mbc: those built into the binary, below
/// `/mbc/models` and `/mbc/mappings`, and those of folders that were added.
class ModelLibrary {
public:
  ModelLibrary();

  /// Adds DIR/models/*.mbc and DIR/mappings/*.mbc. They come before the
  /// built-in ones where they declare the same architecture.
  Status addFolder(const std::filesystem::path &folder);
  /// Adds several; the first one given comes before the others.
  Status addFolders(const std::vector<std::filesystem::path> &folders);
  /// Adds one pair of files; it comes before all others.
  Status addFiles(const std::filesystem::path &model,
                  const std::filesystem::path &mapping);

  const std::vector<DeclaredModel> &models() const { return list; }
  /// By an architecture of config.json ("LlamaForCausalLM"), or null.
  const DeclaredModel *findArchitecture(std::string_view name) const;
  /// By the model's name ("Llama"), or null.
  const DeclaredModel *findModel(std::string_view name) const;

  /// Reads built-in files and those of the disk.
  llvm::IntrusiveRefCntPtr<llvm::vfs::FileSystem> fileSystem() const {
    return files;
  }

private:
  Status scan(const std::string &model, const std::string &mapping, bool first);

  llvm::IntrusiveRefCntPtr<llvm::vfs::FileSystem> files;
  std::vector<DeclaredModel> list;
};

} // namespace mbc
