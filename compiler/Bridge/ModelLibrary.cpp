//===- ModelLibrary.cpp ---------------------------------------------------===//
#include "compiler/Bridge/ModelLibrary.h"

#include "compiler/Bridge/BuiltinDeclarations.h"
#include "runtime/core/File.h"

#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Regex.h"

#include <algorithm>
#include <fmt/format.h>

namespace fs = std::filesystem;

namespace mbc {

ModelLibrary::ModelLibrary() {
  auto memory = llvm::makeIntrusiveRefCnt<llvm::vfs::InMemoryFileSystem>();
  for (const BuiltinDeclaration &file : builtinDeclarations())
    memory->addFile(
        file.path, 0,
        llvm::MemoryBuffer::getMemBuffer(file.text, file.path,
                                         /*RequiresNullTerminator=*/false));
  auto overlay = llvm::makeIntrusiveRefCnt<llvm::vfs::OverlayFileSystem>(
      llvm::vfs::getRealFileSystem());
  overlay->pushOverlay(memory);
  files = overlay;
  for (const BuiltinDeclaration &file : builtinDeclarations()) {
    llvm::StringRef path = file.path;
    if (!path.consume_front("/mbc/models/"))
      continue;
    // Built-in declarations are read back by the tests; a file without a model
    // is a library.
    (void)scan(file.path.str(), "/mbc/mappings/" + path.str(), /*first=*/false);
  }
}

/// Finds `model NAME for "ARCH", "ARCH"` without parsing the file: what else it
/// says matters only when the model is used.
Status ModelLibrary::scan(const std::string &model, const std::string &mapping,
                          bool first) {
  auto buffer = files->getBufferForFile(model);
  if (!buffer)
    return inputError(
        fmt::format("{}: {}", model, buffer.getError().message()));
  llvm::StringRef text = (*buffer)->getBuffer();
  llvm::Regex declaration(
      "(^|\n)[ \t]*model[ \t\r\n]+([A-Za-z_][A-Za-z0-9_]*)[ \t\r\n]+for"
      "(([ \t\r\n]*\"[^\"]*\"[ \t\r\n]*,?)+)");
  llvm::SmallVector<llvm::StringRef> match;
  if (!declaration.match(text, &match))
    return {};
  DeclaredModel declared{match[2].str(), {}, model, mapping};
  llvm::SmallVector<llvm::StringRef> names;
  match[3].split(names, ',');
  for (llvm::StringRef name : names)
    if (llvm::StringRef trimmed = name.trim(" \t\r\n\""); !trimmed.empty())
      declared.architectures.push_back(trimmed.str());
  list.insert(first ? list.begin() : list.end(), std::move(declared));
  return {};
}

Status ModelLibrary::addFolder(const fs::path &folder) {
  std::error_code code;
  fs::path models = folder / "models";
  if (!fs::is_directory(models, code))
    return inputError(fmt::format("{}: has no folder 'models'; expected "
                                  "models/*.mbc and mappings/*.mbc",
                                  folder.string()));
  std::vector<fs::path> found;
  for (const fs::directory_entry &entry : fs::directory_iterator(models, code))
    if (entry.path().extension() == ".mbc")
      found.push_back(entry.path());
  std::sort(found.rbegin(), found.rend());
  for (const fs::path &model : found)
    MBC_TRY(scan(model.string(),
                 (folder / "mappings" / model.filename()).string(),
                 /*first=*/true));
  return {};
}

Status ModelLibrary::addFolders(const std::vector<fs::path> &folders) {
  // A folder goes in front of those before it.
  for (auto folder = folders.rbegin(); folder != folders.rend(); ++folder)
    MBC_TRY(addFolder(*folder));
  return {};
}

Status ModelLibrary::addFiles(const fs::path &model, const fs::path &mapping) {
  size_t before = list.size();
  MBC_TRY(scan(model.string(), mapping.string(), /*first=*/true));
  if (list.size() == before)
    return inputError(fmt::format(
        "{}: declares no model; expected 'model NAME for \"ARCHITECTURE\"'",
        model.string()));
  return {};
}

const DeclaredModel *
ModelLibrary::findArchitecture(std::string_view name) const {
  for (const DeclaredModel &model : list)
    if (std::find(model.architectures.begin(), model.architectures.end(),
                  name) != model.architectures.end())
      return &model;
  return nullptr;
}

const DeclaredModel *ModelLibrary::findModel(std::string_view name) const {
  for (const DeclaredModel &model : list)
    if (model.name == name)
      return &model;
  return nullptr;
}

} // namespace mbc
