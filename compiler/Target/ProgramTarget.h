//===- ProgramTarget.h - exec.program as a flatbuffer -----------*- C++ -*-===//
#pragma once

#include "dialects/Exec/ExecDialect.h"

#include "runtime/schema/program_generated.h"

namespace mbc::exec {

/// The program of an `exec.program` whose memory is planned, one table for one
/// op. Equal views of a function are one.
program::ProgramT exportProgram(ProgramOp op);

} // namespace mbc::exec
