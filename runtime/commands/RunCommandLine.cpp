//===- RunCommandLine.cpp - The subcommands of mbc-run --------------------===//
#include "runtime/commands/RunCommandLine.h"

#include "runtime/program/Program.h"

namespace mbc {

int runProgramLine(int argc, char **argv) {
  Tool tool;
  tool.name = "mbc-run";
  tool.description = "Runs the programs that 'mbc compile' makes, with the "
                     "weights of a\ncheckpoint of either format.";
  tool.examples =
      "  mbc-run logits llama.mbcp --weights DIR --tokens 1,2,3 -o logits.npy\n"
      "  mbc-run generate llama.mbcp --weights DIR --chat --prompt \"Hello\"";
  tool.versions.set("program", programAbi);
  tool.commands = [](CLI::App &root) {
    std::vector<std::unique_ptr<BaseCommand>> commands;
    commands.push_back(makeRunLogits(root));
    commands.push_back(makeRunGenerate(root));
    commands.push_back(makeTokenize(root));
    commands.push_back(makeRunServe(root));
    commands.push_back(makeDoctor(root));
    return commands;
  };
  return runTool(tool, argc, argv);
}

} // namespace mbc
