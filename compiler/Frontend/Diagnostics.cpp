//===- Diagnostics.cpp - Errors in .mbc files -----------------------------===//

#include "compiler/Frontend/Diagnostics.h"

using namespace mbc;

mlir::Location mbc::translateLoc(llvm::SMLoc loc,
                                 const llvm::SourceMgr &sources,
                                 mlir::MLIRContext *context) {
  unsigned buffer = sources.FindBufferContainingLoc(loc);
  if (!buffer)
    return mlir::UnknownLoc::get(context);
  auto [line, column] = sources.getLineAndColumn(loc, buffer);
  return mlir::FileLineColLoc::get(
      context, sources.getMemoryBuffer(buffer)->getBufferIdentifier(), line,
      column);
}

ErrorLimit::ErrorLimit(mlir::MLIRContext *context, unsigned limit)
    : ScopedDiagnosticHandler(context) {
  // A handler that succeeds ends the diagnostic: those before see nothing.
  setHandler([this, limit](mlir::Diagnostic &diagnostic) {
    if (diagnostic.getSeverity() != mlir::DiagnosticSeverity::Error)
      return mlir::failure();
    if (shown < limit) {
      ++shown;
      return mlir::failure();
    }
    if (!hidden++)
      firstHidden = diagnostic.getLocation();
    return mlir::success();
  });
}

ErrorLimit::~ErrorLimit() {
  if (!hidden)
    return;
  unsigned count = hidden;
  setHandler([](mlir::Diagnostic &) { return mlir::failure(); });
  mlir::emitError(*firstHidden)
      << "too many errors: " << count << (count == 1 ? " is" : " are")
      << " not shown, the first of them here";
}
