//===- Signature.h - Operations with a named region -------------*- C++ -*-===//
#pragma once

#include "mlir/IR/OpImplementation.h"

namespace mbc {

/// Reads `(%x: TYPE, ...) { ... }` into a region whose entry block has these
/// arguments. Assembly formats find it by its name.
inline mlir::ParseResult parseSignature(mlir::OpAsmParser &parser,
                                        mlir::Region &body) {
  llvm::SmallVector<mlir::OpAsmParser::Argument> arguments;
  return mlir::failure(mlir::failed(parser.parseArgumentList(
                           arguments, mlir::OpAsmParser::Delimiter::Paren,
                           /*allowType=*/true)) ||
                       mlir::failed(parser.parseRegion(body, arguments)));
}

/// Prints what `parseSignature` reads.
inline void printSignature(mlir::OpAsmPrinter &printer, mlir::Operation *,
                           mlir::Region &body) {
  printer << '(';
  llvm::interleaveComma(
      body.getArguments(), printer,
      [&](mlir::BlockArgument arg) { printer.printRegionArgument(arg); });
  printer << ") ";
  printer.printRegion(body, /*printEntryBlockArgs=*/false);
}

} // namespace mbc
