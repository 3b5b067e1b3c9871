//===- RunCommandLine.h - The mbc-run program -------------------*- C++ -*-===//
#pragma once

#include "runtime/commands/Tool.h"

namespace mbc {

/// A subcommand of mbc-run.
class RunCommand final : public ChainedCommand<RunCommand> {
public:
  RunCommand(CLI::App &root, std::string name, const char *summary,
             const char *details)
      : ChainedCommand(root, "mbc-run", std::move(name), summary, details) {
    declareCommon(common);
  }
  BaseOptions common;
};

// One file each.
std::unique_ptr<BaseCommand> makeRunLogits(CLI::App &root);
std::unique_ptr<BaseCommand> makeRunGenerate(CLI::App &root);
std::unique_ptr<BaseCommand> makeTokenize(CLI::App &root);
std::unique_ptr<BaseCommand> makeRunServe(CLI::App &root);
std::unique_ptr<BaseCommand> makeDoctor(CLI::App &root);

/// Runs compiled programs where there is no LLVM; as runTool.
int runProgramLine(int argc, char **argv);

} // namespace mbc
