//===- GeneratedCode.h - Code for programs by hand --------------*- C++ -*-===//
#pragma once

#include "runtime/program/Program.h"

namespace mbc::test {

/// Gives a program of one function code for its row kernels, by the passes of
/// compiler/Codegen: what mbc compile does, for programs that no model has.
Status generateCode(program::ProgramT &program, const std::string &target);

} // namespace mbc::test
