//===- ProgramTarget.h - exec.program as a flatbuffer -----------*- C++ -*-===//
#pragma once

#include "dialects/Exec/ExecDialect.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"
#include "runtime/schema/program_generated.h"

namespace mbc::exec {

/// How a model with these values of its configuration sees, by the names that
/// its declaration gives to what pictures are cut into: image_token,
/// video_token, channels, frames, patch, fold, window (in pixels). Null where
/// one of them is missing.
std::unique_ptr<program::VisionT> visionOf(mlir::DictionaryAttr values);

/// The program of an `exec.program` whose memory is planned, one table for one
/// op. Equal views of a function are one.
program::ProgramT exportProgram(ProgramOp op);

/// The module of a program file: the `exec.program`, with attributes for what
/// is about the file alone (`architectures`, `config`, `length`, `optional`,
/// `sequences`, and `rest`: fields of the schema that no operation has, as they
/// lie in the file), and a module with a `wmap.plan` for each of its sources.
/// Every view of the arena is a buffer of its own.
mlir::OwningOpRef<mlir::ModuleOp>
importProgram(mlir::MLIRContext *ctx, const program::ProgramT &program);

/// The program that `importProgram` would have such a module of; what is
/// missing is reported as an error.
mlir::FailureOr<program::ProgramT> exportProgramFile(mlir::ModuleOp module);

/// mbc-translate --program-to-mlir and --mlir-to-program.
void registerProgramTranslations();

} // namespace mbc::exec
