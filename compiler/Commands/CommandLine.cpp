//===- CommandLine.cpp - The subcommands of mbc ---------------------------===//
#include "compiler/Commands/CommandLine.h"

#include "compiler/Commands/Command.h"
#include "runtime/commands/Tool.h"
#include "runtime/io/CopyPlan.h"
#include "runtime/program/Program.h"

#include "llvm/Config/llvm-config.h"

namespace mbc {

static constexpr int kLanguageVersion = 1;

int runCommandLine(int argc, char **argv) {
  Tool tool;
  tool.name = "mbc";
  tool.description =
      "Converts LLM checkpoints between Hugging Face folders and Megatron\n"
      "checkpoints: proved before it runs, exact to the bit; runs them from\n"
      "the same declarations, and finds where two of them differ.";
  tool.examples =
      "  mbc import SmolLM2 -o megatron      Hugging Face -> Megatron\n"
      "  mbc export megatron -o hf           Megatron -> Hugging Face\n"
      "  mbc verify SmolLM2 hf               compare them, bit for bit\n"
      "  mbc generate megatron --chat        speak with the model\n"
      "  mbc import --help                   what each flag changes";
  tool.builtWith = "LLVM " LLVM_VERSION_STRING;
  tool.versions.set("llvm", LLVM_VERSION_STRING);
  tool.versions.set("language", kLanguageVersion);
  tool.versions.set("plan", kPlanVersion);
  tool.versions.set("program", programAbi);
  tool.spell = spellBridgeFlags;
  tool.commands = [](CLI::App &root) {
    CommandList commands;
    for (auto add :
         {addImport, addExport, addReshard, addRoundtrip, addVerify, addInspect,
          addModels, addCheck, addToy, addNew, addCompile, addLogits,
          addGenerate, addServe, addCompare, addTokenize, addDoctor, addCache})
      add(root, commands);
    return std::vector<std::unique_ptr<BaseCommand>>(
        std::make_move_iterator(commands.begin()),
        std::make_move_iterator(commands.end()));
  };
  return runTool(tool, argc, argv);
}

} // namespace mbc
