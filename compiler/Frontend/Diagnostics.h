//===- Diagnostics.h - Errors in .mbc files ---------------------*- C++ -*-===//
//
// Every error about a .mbc file is an MLIR diagnostic at a FileLineColLoc, so
// that MLIR's handlers print it (source line, caret, chain of uses) and verify
// it (`expected-error`), whether parser, name resolution or lowering found it.
//
//===----------------------------------------------------------------------===//
#pragma once

#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/Location.h"
#include "llvm/Support/SourceMgr.h"

namespace mbc {

/// The place of `loc` in one of the buffers of `sources`.
mlir::Location translateLoc(llvm::SMLoc loc, const llvm::SourceMgr &sources,
                            mlir::MLIRContext *context);

/// Reports errors at source places and remembers whether there was one.
class Diagnostics {
public:
  Diagnostics(llvm::SourceMgr &sources, mlir::MLIRContext *context)
      : sources(sources), context(context) {}

  mlir::Location at(llvm::SMLoc loc) const {
    return translateLoc(loc, sources, context);
  }
  mlir::InFlightDiagnostic error(llvm::SMLoc loc) {
    failed = true;
    return mlir::emitError(at(loc));
  }
  bool hadError() const { return failed; }

private:
  llvm::SourceMgr &sources;
  mlir::MLIRContext *context;
  bool failed = false;
};

/// While it lives, lets the first errors of a context through, with their
/// notes, and hides the rest; says at the end how many it hid.
class ErrorLimit : public mlir::ScopedDiagnosticHandler {
public:
  explicit ErrorLimit(mlir::MLIRContext *context, unsigned limit = 20);
  ~ErrorLimit();

private:
  unsigned shown = 0, hidden = 0;
  std::optional<mlir::Location> firstHidden;
};

} // namespace mbc
