//===- ProgramArguments.h - What mbc-run runs -------------------*- C++ -*-===//
#pragma once

#include "runtime/commands/RunCommandLine.h"
#include "runtime/program/RunnableModel.h"

#include <string>

namespace mbc {

/// A program and where its weights are, as they were typed.
struct ProgramArguments {
  std::string program, weights;

  /// PROGRAM and --weights; before the command's own options.
  void declare(RunCommand &command);

  /// An Input error where the weights are not for the program.
  Expected<RunnableModel> open(const BaseOptions &common) const;
};

} // namespace mbc
