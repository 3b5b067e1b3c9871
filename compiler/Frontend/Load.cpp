//===- Load.cpp - Files and the files they use ----------------------------===//

#include "compiler/Frontend/Diagnostics.h"
#include "compiler/Frontend/Parser.h"
#include "compiler/Frontend/ParserImpl.h"

#include "llvm/ADT/StringMap.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/VirtualFileSystem.h"

using namespace mbc;
using llvm::failure;
using llvm::StringRef;
using llvm::success;

namespace {

/// Depth-first over `use`, so that a file comes behind those that it uses.
class Loader {
public:
  Loader(llvm::SourceMgr &sources, mlir::MLIRContext *context)
      : sources(sources), context(context), diagnostics(sources, context) {}

  llvm::LogicalResult load(unsigned buffer, StringRef path);
  std::vector<SourceFile> takeFiles() { return std::move(files); }

private:
  llvm::LogicalResult follow(const ast::Use &use, StringRef user,
                             std::vector<unsigned> &uses);

  llvm::SourceMgr &sources;
  mlir::MLIRContext *context;
  Diagnostics diagnostics;
  std::vector<SourceFile> files;
  /// Position in `files` by canonical path, or one of the two below.
  llvm::StringMap<unsigned> known;
  static constexpr unsigned loading = ~0u, broken = ~1u;
  unsigned depth = 0;
};

} // namespace

/// Reads through the file system of `sources`, so that declarations inside the
/// binary can be used like files.
static llvm::ErrorOr<std::unique_ptr<llvm::MemoryBuffer>>
openFile(const llvm::SourceMgr &sources, StringRef path) {
  if (auto files = sources.getVirtualFileSystem())
    return files->getBufferForFile(path);
  return llvm::MemoryBuffer::getFile(path);
}

std::string mbc::canonicalPath(StringRef path) {
  llvm::SmallString<128> real;
  return llvm::sys::fs::real_path(path, real) ? path.str() : real.str().str();
}

std::string mbc::pathOfUse(const ast::Use &use, StringRef user) {
  llvm::SmallString<128> path(use.path.value);
  if (llvm::sys::path::is_relative(path)) {
    path = llvm::sys::path::parent_path(user);
    llvm::sys::path::append(path, use.path.value);
  }
  return path.str().str();
}

static void forEachUse(const std::vector<ast::ConfigEntry> &entries,
                       llvm::function_ref<void(const ast::Use &)> action) {
  for (const ast::ConfigEntry &entry : entries) {
    if (const auto *use = std::get_if<ast::Use>(&entry.value))
      action(*use);
    else if (const auto *group = std::get_if<ast::FromGroup>(&entry.value))
      forEachUse(group->entries, action);
  }
}

llvm::LogicalResult Loader::load(unsigned buffer, StringRef path) {
  std::string key = canonicalPath(path);
  known[key] = loading;
  mlir::FailureOr<ast::File> tree = parseFile(sources, buffer, context);
  bool ok = succeeded(tree);
  std::vector<unsigned> uses;
  if (ok) {
    auto followOne = [&](const ast::Use &use) {
      ok &= succeeded(follow(use, path, uses));
    };
    for (const ast::Model &model : tree->models) {
      llvm::for_each(model.uses, followOne);
      forEachUse(model.config, followOne);
    }
    for (const ast::Library &library : tree->libraries) {
      llvm::for_each(library.uses, followOne);
      forEachUse(library.config, followOne);
    }
    for (const ast::Mapping &mapping : tree->mappings)
      llvm::for_each(mapping.uses, followOne);
  }
  if (!ok) {
    known[key] = broken;
    return failure();
  }
  known[key] = files.size();
  files.push_back({path.str(), buffer, std::move(*tree), std::move(uses)});
  return success();
}

llvm::LogicalResult Loader::follow(const ast::Use &use, StringRef user,
                                   std::vector<unsigned> &uses) {
  std::string path = pathOfUse(use, user);
  std::string key = canonicalPath(path);
  if (auto found = known.find(key); found != known.end()) {
    if (found->second == broken)
      return failure();
    if (found->second == loading) { // L28
      diagnostics.error(use.path.loc)
          << "'" << use.path.value << "' uses this file, directly or not: "
          << "files cannot use each other in a circle";
      return failure();
    }
    if (!llvm::is_contained(uses, found->second))
      uses.push_back(found->second);
    return success();
  }
  if (depth == Parser::maxDepth) { // L08
    diagnostics.error(use.path.loc)
        << "files use each other deeper than " << depth << " levels";
    return failure();
  }
  auto opened = openFile(sources, path);
  if (!opened) { // L27
    diagnostics.error(use.path.loc)
        << "cannot read '" << path << "': " << opened.getError().message();
    return failure();
  }
  unsigned buffer =
      sources.AddNewSourceBuffer(std::move(*opened), use.path.loc);
  ++depth;
  llvm::LogicalResult loaded = load(buffer, path);
  --depth;
  if (succeeded(loaded))
    uses.push_back(files.size() - 1);
  return loaded;
}

mlir::FailureOr<std::vector<SourceFile>>
mbc::loadBuffer(llvm::SourceMgr &sources, unsigned buffer,
                mlir::MLIRContext *context) {
  StringRef path = sources.getMemoryBuffer(buffer)->getBufferIdentifier();
  // The pieces of a file split by tools are named "within split at FILE:LINE
  // offset ".
  if (path.consume_front("within split at "))
    path = path.rsplit(':').first;
  Loader loader(sources, context);
  if (failed(loader.load(buffer, path)))
    return failure();
  return loader.takeFiles();
}

mlir::FailureOr<std::vector<SourceFile>>
mbc::loadFile(llvm::SourceMgr &sources, StringRef path,
              mlir::MLIRContext *context) {
  auto opened = openFile(sources, path);
  if (!opened) { // L27
    mlir::emitError(mlir::UnknownLoc::get(context))
        << "cannot read '" << path << "': " << opened.getError().message();
    return failure();
  }
  return loadBuffer(
      sources, sources.AddNewSourceBuffer(std::move(*opened), llvm::SMLoc()),
      context);
}
