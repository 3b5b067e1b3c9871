//===- Import.cpp - .mbc files as a module --------------------------------===//

#include "compiler/Frontend/Import.h"
#include "compiler/Frontend/LowerMapping.h"
#include "compiler/Frontend/LowerModel.h"
#include "compiler/Frontend/Parser.h"

#include "mlir/IR/Verifier.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringSet.h"

using namespace mbc;
using llvm::StringRef;

namespace {

/// All files that are loaded, by canonical path.
class Files : public ModelSources {
public:
  void add(std::vector<SourceFile> loaded) {
    for (SourceFile &file : loaded) {
      std::string key = canonicalPath(file.path);
      if (!byPath.contains(key))
        byPath[key] = std::make_unique<SourceFile>(std::move(file));
    }
  }
  const SourceFile *find(StringRef path) const {
    auto it = byPath.find(canonicalPath(path));
    return it == byPath.end() ? nullptr : it->second.get();
  }

  std::vector<LibrarySource> libraries(const ast::Use &use,
                                       StringRef file) override {
    return ownLibraries(pathOfUse(use, file));
  }
  std::vector<LibrarySource> ownLibraries(StringRef path) override {
    std::vector<LibrarySource> result;
    if (const SourceFile *file = find(path))
      for (const ast::Library &library : file->tree.libraries)
        result.push_back({&library, file->path});
    return result;
  }

private:
  llvm::StringMap<std::unique_ptr<SourceFile>> byPath;
};

struct LoweredModel {
  nn::ModelOp op;
  std::unique_ptr<NameScope> names;
};

mlir::OwningOpRef<mlir::ModuleOp> lower(mlir::MLIRContext &context,
                                        llvm::SourceMgr &sources, Files &files,
                                        llvm::ArrayRef<std::string> paths) {
  context.loadDialect<nn::NNDialect, wmap::WMapDialect>();
  Diagnostics diagnostics(sources, &context);
  mlir::OpBuilder builder(&context);
  mlir::OwningOpRef<mlir::ModuleOp> module =
      mlir::ModuleOp::create(builder, mlir::UnknownLoc::get(&context));
  builder.setInsertionPointToStart(module->getBody());
  llvm::StringMap<LoweredModel> models;
  llvm::StringMap<llvm::SMLoc> defined;
  auto once = [&](const ast::Ident &name, StringRef what) { // (L51)
    auto [it, inserted] =
        defined.try_emplace((what + name.name).str(), name.loc);
    if (inserted)
      return true;
    auto diag = diagnostics.error(name.loc)
                << what << " '" << name.name << "' is defined twice";
    diag.attachNote(diagnostics.at(it->second))
        << "the first definition is here";
    return false;
  };
  for (const std::string &path : paths)
    for (const ast::Model &model : files.find(path)->tree.models) {
      if (!once(model.name, "model"))
        continue;
      // Each model on its own, so that one error does not hide another.
      Diagnostics own(sources, &context);
      auto names = std::make_unique<NameScope>();
      nn::ModelOp op = lowerModel(model, files.find(path)->path, files, own,
                                  builder, *names);
      if (!op)
        return {};
      models[model.name.name] = {op, std::move(names)};
    }
  bool ok = true;
  for (const std::string &path : paths)
    for (const ast::Mapping &mapping : files.find(path)->tree.mappings) {
      if (!once(mapping.name, "mapping"))
        continue;
      auto model = models.find(mapping.name.name);
      if (model == models.end()) { // (L68)
        diagnostics.error(mapping.name.loc)
            << "there is no model '" << mapping.name.name
            << "' for this mapping";
        continue;
      }
      Diagnostics own(sources, &context);
      if (!lowerMapping(mapping, files.find(path)->path, files, own, builder,
                        *model->second.names))
        ok = false;
      else
        checkUnusedConfig(*model->second.names, diagnostics);
    }
  if (!ok || diagnostics.hadError() || failed(mlir::verify(*module)))
    return {};
  return module;
}

} // namespace

mlir::OwningOpRef<mlir::ModuleOp>
mbc::importFiles(mlir::MLIRContext &context, llvm::SourceMgr &sources,
                 llvm::ArrayRef<std::string> paths) {
  ErrorLimit limit(&context);
  Files files;
  for (const std::string &path : paths) {
    auto loaded = loadFile(sources, path, &context);
    if (failed(loaded))
      return {};
    files.add(std::move(*loaded));
  }
  return lower(context, sources, files, paths);
}

mlir::OwningOpRef<mlir::ModuleOp>
mbc::importMainFile(mlir::MLIRContext &context, llvm::SourceMgr &sources) {
  ErrorLimit limit(&context);
  Files files;
  auto loaded = loadBuffer(sources, sources.getMainFileID(), &context);
  if (failed(loaded))
    return {};
  std::string path = loaded->back().path;
  files.add(std::move(*loaded));
  return lower(context, sources, files, {path});
}
