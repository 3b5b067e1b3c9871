//===- InspectProgram.h - What a program file holds -------------*- C++ -*-===//
#pragma once

#include "runtime/commands/Outcome.h"
#include "runtime/core/Error.h"

#include <filesystem>

namespace mbc {

/// Whether a file says that it is a program, whatever its name.
bool isProgramFile(const std::filesystem::path &path);

/// Model, types, functions and sizes of a program, which is checked whole.
Expected<Outcome> inspectProgram(const std::filesystem::path &path);

} // namespace mbc
