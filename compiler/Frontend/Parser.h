//===- Parser.h - From .mbc text to syntax trees ----------------*- C++ -*-===//
#pragma once

#include "compiler/Frontend/AST.h"

#include "mlir/IR/MLIRContext.h"
#include "llvm/Support/SourceMgr.h"

namespace mbc {

/// Parses one buffer of `sources`, which must outlive the tree. All its syntax
/// errors are reported in `context`.
mlir::FailureOr<ast::File> parseFile(llvm::SourceMgr &sources, unsigned buffer,
                                     mlir::MLIRContext *context);

/// A parsed file and the files that it uses.
struct SourceFile {
  std::string path; ///< as opened
  unsigned buffer;  ///< in the SourceMgr
  ast::File tree;
  std::vector<unsigned> uses; ///< positions in the list of files
};

/// Opens and parses `path` and what it uses, directly or not: each file once,
/// a file behind those that it uses, `path` last. Buffers are added to
/// `sources`, which must outlive the trees.
mlir::FailureOr<std::vector<SourceFile>> loadFile(llvm::SourceMgr &sources,
                                                  llvm::StringRef path,
                                                  mlir::MLIRContext *context);

/// The same for a file that is a buffer of `sources` already.
mlir::FailureOr<std::vector<SourceFile>> loadBuffer(llvm::SourceMgr &sources,
                                                    unsigned buffer,
                                                    mlir::MLIRContext *context);

/// One spelling for every path that leads to a file, for comparing.
std::string canonicalPath(llvm::StringRef path);

/// The path that `use` means: relative to the file that says it.
std::string pathOfUse(const ast::Use &use, llvm::StringRef user);

} // namespace mbc
