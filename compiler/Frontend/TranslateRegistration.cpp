//===- TranslateRegistration.cpp - Front end in mbc-translate -------------===//

#include "compiler/Frontend/TranslateRegistration.h"
#include "compiler/Frontend/Diagnostics.h"
#include "compiler/Frontend/Import.h"
#include "compiler/Frontend/Parser.h"
#include "compiler/Frontend/Printer.h"

#include "mlir/Tools/mlir-translate/Translation.h"

using namespace mbc;

void mbc::registerFrontendTranslations() {
  static llvm::cl::opt<bool> fullParentheses(
      "mbc-full-parentheses",
      llvm::cl::desc("With --mbc-parse: print every operator in parentheses"));

  mlir::TranslateRegistration(
      "mbc-parse", "parse a .mbc file and print it as canonical text",
      [](const std::shared_ptr<llvm::SourceMgr> &sources, llvm::raw_ostream &os,
         mlir::MLIRContext *context) {
        ErrorLimit limit(context);
        auto file = parseFile(*sources, sources->getMainFileID(), context);
        if (succeeded(file))
          print(*file, os,
                fullParentheses ? Parentheses::Full : Parentheses::Needed);
        return llvm::success(succeeded(file));
      });

  mlir::TranslateRegistration(
      "mbc-parse-only", "check the syntax of a .mbc file and of what it uses",
      [](const std::shared_ptr<llvm::SourceMgr> &sources, llvm::raw_ostream &,
         mlir::MLIRContext *context) {
        ErrorLimit limit(context);
        return llvm::success(
            succeeded(loadBuffer(*sources, sources->getMainFileID(), context)));
      });

  mlir::TranslateToMLIRRegistration(
      "mbc-to-mlir", "lower the models and mappings of a .mbc file",
      [](llvm::SourceMgr &sources,
         mlir::MLIRContext *context) -> mlir::OwningOpRef<mlir::Operation *> {
        return importMainFile(*context, sources);
      },
      [](mlir::DialectRegistry &) {});
}
