//===- Reshard.cpp - mbc reshard ------------------------------------------===//
#include "compiler/Commands/ConvertOutput.h"
#include "compiler/Commands/ReferenceOptions.h"
#include "compiler/Commands/TargetOptions.h"

namespace mbc {

namespace {

struct ReshardArguments {
  std::string source, target;
  ReferenceOptions reference;
  TargetOptions layout;
  bool overwrite = false;
};

Expected<Outcome> runReshard(const ReshardArguments &options,
                             const CommonOptions &common) {
  ReshardOptions reshard;
  MBC_ASSIGN(static_cast<MegatronLayout &>(reshard), options.layout.parse());
  reshard.overwrite = options.overwrite;
  BridgeOptions open = common.bridge();
  MBC_TRY(options.reference.addTo(open));
  MBC_ASSIGN(AutoBridge bridge,
             AutoBridge::from_megatron(options.source, open));
  MBC_ASSIGN(ConvertReport report, bridge.reshard(options.target, reshard));
  return convertOutcome("resharded", report);
}

} // namespace

void addReshard(CLI::App &root, CommandList &commands) {
  auto &command = *commands.emplace_back(std::make_unique<Command>(
      root, "reshard", "Megatron checkpoint -> another Megatron layout",
      "From torch_dist or the legacy torch format, of any parallel layout, to "
      "either format and any layout, in one pass and without a Hugging Face "
      "folder between. Weights only: optimizer state is left out. The record "
      "of the Hugging Face source travels along."));
  auto options = std::make_shared<ReshardArguments>();
  command.argument("MEGATRON_DIR", options->source,
                   "Root of a checkpoint, or one iteration folder of it");
  command.option("-o,--output", options->target, "OUT",
                 "Checkpoint to write; it appears only when it is complete",
                 true);
  options->layout.declare(command, true);
  options->reference.declare(command,
                             "Take config.json from here, not from the "
                             "checkpoint's record or its configuration");
  command
      .flag("--overwrite", options->overwrite,
            "Replace OUT, once the new one is complete")
      .configOptions()
      .examples("  mbc reshard megatron -o tp4 --format torch --tp 4 --pp 2\n"
                "  mbc reshard run/checkpoints -o dist --hf-model Qwen3-8B\n"
                "  mbc reshard megatron -o old --format torch --tp 2 --ep 4 "
                "--experts sequential");
  command.run = [options, &common = command.common] {
    return runReshard(*options, common);
  };
}

} // namespace mbc
