//===- ProgramKey.cpp -----------------------------------------------------===//
#include "compiler/Bridge/ProgramKey.h"

#include "compiler/Bridge/BuiltinDeclarations.h"
#include "compiler/Frontend/Parser.h"
#include "runtime/core/File.h"
#include "runtime/program/Program.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Config/llvm-config.h"

#include <sys/stat.h>

namespace fs = std::filesystem;

namespace mbc {

namespace {

/// Collects what is digested; each text with its length, so that no two lists
/// are one text.
class Material {
public:
  void add(std::string_view text) {
    add(text.size());
    bytes += text;
  }
  void add(uint64_t number) {
    bytes.append(reinterpret_cast<const char *>(&number), sizeof(number));
  }
  DigestText digest() const { return digestText(bytes); }

private:
  std::string bytes;
};

/// This build: a changed compiler may make another program of the same
/// declaration. The executable's time stands for what is not committed.
void addBuild(Material &material) {
  material.add(programAbi);
  material.add(LLVM_VERSION_STRING);
  struct stat info = {};
  ::stat("/proc/self/exe", &info);
  material.add(info.st_size);
  material.add(info.st_mtim.tv_sec);
  material.add(info.st_mtim.tv_nsec);
}

/// The texts of a pair of declarations and of all that they use.
bool addDeclarations(Material &material, const ModelLibrary &library,
                     const DeclaredModel &declared) {
  material.add(declared.modelFile);
  // What is in the binary uses nothing outside of it.
  if (llvm::any_of(builtinDeclarations(), [&](const BuiltinDeclaration &file) {
        return file.path == declared.modelFile;
      }))
    return true;
  llvm::SourceMgr sources;
  sources.setVirtualFileSystem(library.fileSystem());
  mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
  // Whoever compiles says what is wrong with a file.
  context.getDiagEngine().registerHandler([](mlir::Diagnostic &) {});
  for (const std::string &path : {declared.modelFile, declared.mappingFile}) {
    auto files = loadFile(sources, path, &context);
    if (failed(files))
      return false;
    for (const SourceFile &file : *files) {
      material.add(file.path);
      material.add(
          std::string_view(sources.getMemoryBuffer(file.buffer)->getBuffer()));
    }
  }
  return true;
}

} // namespace

std::optional<DigestText> programKey(const ModelLibrary &library,
                                     const fs::path &config,
                                     const TensorSet &set,
                                     const OpenOptions &open,
                                     const CompileOptions &compile) {
  Material material;
  addBuild(material);
  auto text = readWholeFile(config);
  if (!text)
    return std::nullopt;
  material.add(*text);
  auto json = Json::parse(*text, config.string());
  if (!json)
    return std::nullopt;
  auto architecture = architectureOf(*json, config);
  const DeclaredModel *declared =
      architecture ? library.findArchitecture(*architecture) : nullptr;
  if (!declared || !addDeclarations(material, library, *declared))
    return std::nullopt;

  material.add(open.config.strictConfig);
  material.add(open.config.accept.size());
  for (const std::string &field : open.config.accept)
    material.add(field);
  material.add(open.model);
  material.add(open.vocabulary.has_value());
  material.add(open.vocabulary.value_or(0));

  material.add(static_cast<uint64_t>(compile.dtype));
  material.add(compile.scaledWeights);
  for (const std::vector<uint64_t> *sizes :
       {&compile.chunks, &compile.sequences, &compile.patches}) {
    material.add(sizes->size());
    for (uint64_t size : *sizes)
      material.add(size);
  }
  material.add(compile.length);
  material.add(compile.draft);
  material.add(compile.drafts);
  for (const std::vector<std::string> *texts :
       {&compile.targets, &compile.taps}) {
    material.add(texts->size());
    for (const std::string &text : *texts)
      material.add(text);
  }

  material.add(set.tensors().size());
  for (const TensorInfo &info : set.tensors()) {
    material.add(info.name);
    material.add(static_cast<uint64_t>(info.dtype));
    material.add(info.shape.size());
    for (int64_t size : info.shape)
      material.add(size);
  }
  return material.digest();
}

} // namespace mbc
