//===- Tool.h - A program of subcommands ------------------------*- C++ -*-===//
#pragma once

#include "runtime/commands/BaseCommand.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace mbc {

struct Tool {
  std::string name, description, examples;
  /// Libraries worth naming beside its version: "LLVM 22.1.8".
  std::string builtWith;
  /// Versions of formats, for --version --json.
  Json versions = Json::object();
  /// Declares the subcommands, in the order of the help.
  std::function<std::vector<std::unique_ptr<BaseCommand>>(CLI::App &root)>
      commands;
  /// Replaces spellings that the parser would take apart; may be empty.
  std::function<void(std::vector<std::string> &arguments)> spell;
};

/// Runs one command and returns the exit status: 0 all asked for was done and
/// checked; 1 a comparison found a difference; 2 bad usage, bad input or a
/// refused proof; 3 the system failed. Nothing is thrown out of it.
int runTool(const Tool &tool, int argc, char **argv);

} // namespace mbc
