//===- Export.cpp - mbc export --------------------------------------------===//
#include "compiler/Commands/Command.h"
#include "compiler/Commands/ConvertOutput.h"
#include "compiler/Commands/ReferenceOptions.h"
#include "runtime/core/Text.h"

namespace mbc {

namespace {

struct ExportArguments {
  std::string source, target, dtype, maxShard, fp8Block, tokenizer;
  ReferenceOptions reference;
  bool overwrite = false;
};

Expected<Outcome> runExport(const ExportArguments &options,
                            const CommonOptions &common) {
  ExportOptions exported;
  MBC_ASSIGN(exported.dtype, parseDType("--dtype", options.dtype));
  MBC_ASSIGN(exported.maxShard, parseShardSize(options.maxShard));
  if (!options.fp8Block.empty()) {
    MBC_ASSIGN(exported.fp8Block,
               parseCount("--fp8-block", options.fp8Block, 1, 1u << 20));
  }
  exported.tokenizer = options.tokenizer;
  exported.overwrite = options.overwrite;
  BridgeOptions open = common.bridge();
  MBC_TRY(options.reference.addTo(open));
  MBC_ASSIGN(AutoBridge bridge,
             AutoBridge::from_megatron(options.source, open));
  MBC_ASSIGN(ConvertReport report,
             bridge.export_ckpt(options.target, exported));
  return convertOutcome("exported", report);
}

} // namespace

void addExport(CLI::App &root, CommandList &commands) {
  auto &command = *commands.emplace_back(std::make_unique<Command>(
      root, "export", "Megatron checkpoint -> Hugging Face folder",
      "A checkpoint that mbc imported keeps the record of its source: files, "
      "order and types of the original come back byte for byte, unless a flag "
      "asks for others. Any parallel layout can be exported."));
  auto options = std::make_shared<ExportArguments>();
  command
      .argument("MEGATRON_DIR", options->source,
                "Root of a checkpoint, or one iteration folder of it")
      .option("-o,--output", options->target, "HF_DIR",
              "Folder to write; it appears only when it is complete", true)
      .option("--max-shard-size", options->maxShard, "SIZE",
              "Cut the weights into files of at most SIZE, such as 5GB or "
              "512MiB (default: the source's files, else 5GB)")
      .option("--dtype", options->dtype, "DTYPE",
              "Store weights as bfloat16, float16 or float32, but those that "
              "the model pins; rounds to nearest even (default: the source's "
              "type, tensor by tensor; FP8 weights in their original bytes)")
      .option("--fp8-block", options->fp8Block, "N",
              "Store what the declaration marks 'scaled' as FP8 E4M3 with an "
              "F32 scale for each block of N x N (largest magnitude / 448), "
              "and say so in config.json")
      .option("--tokenizer", options->tokenizer, "DIR",
              "Take the tokenizer from this folder (default: that of the "
              "source, else the folder 'tokenizer' of the checkpoint)")
      .flag("--overwrite", options->overwrite,
            "Replace HF_DIR, once the new one is complete");
  options->reference.declare(
      command, "Take config.json, tokenizer and the cut into files from here. "
               "Without it, a checkpoint that mbc did not import gets a "
               "config.json from Megatron's own configuration");
  command.configOptions().bridgeFlags().examples(
      "  mbc export megatron -o hf\n"
      "  mbc export megatron/iter_0000100 -o hf --max-shard-size "
      "2GB\n"
      "  mbc export trained -o hf --fp8-block 128\n"
      "  mbc export run/checkpoints -o hf --iteration 2000\n"
      "  mbc export run/checkpoints -o hf --hf-model Llama-3.1-8B");
  command.run = [options, &common = command.common] {
    return runExport(*options, common);
  };
}

} // namespace mbc
