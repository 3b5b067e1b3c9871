//===- Import.cpp - mbc import --------------------------------------------===//
#include "compiler/Commands/ConvertOutput.h"
#include "compiler/Commands/TargetOptions.h"

namespace mbc {

namespace {

struct ImportArguments {
  std::string source, target, dtype;
  TargetOptions layout;
  bool overwrite = false, sha256 = false;
};

Expected<Outcome> runImport(const ImportArguments &options,
                            const CommonOptions &common) {
  ImportOptions import;
  MBC_ASSIGN(static_cast<MegatronLayout &>(import), options.layout.parse());
  MBC_ASSIGN(import.dtype, parseDType("--dtype", options.dtype));
  import.overwrite = options.overwrite;
  import.sha256 = options.sha256;
  MBC_ASSIGN(AutoBridge bridge,
             AutoBridge::from_hf_pretrained(options.source, common.bridge()));
  MBC_ASSIGN(ConvertReport report, bridge.import_ckpt(options.target, import));
  return convertOutcome("imported", report);
}

} // namespace

void addImport(CLI::App &root, CommandList &commands) {
  auto &command = *commands.emplace_back(std::make_unique<Command>(
      root, "import", "Hugging Face folder -> Megatron checkpoint",
      "Proves the mapping, binds it to the headers, and writes in one pass. "
      "Parallel sizes do not change what a torch_dist checkpoint means: they "
      "are proved admissible, recorded, and set the chunks, so that ranks of "
      "that layout read whole chunks. Any layout can load it. A checkpoint of "
      "the legacy torch format holds one layout, and is loaded by that one."));
  auto options = std::make_shared<ImportArguments>();
  command
      .argument("HF_DIR", options->source,
                "Folder with config.json and safetensors weights, or a hub id "
                "(org/name[@revision]) in the local Hugging Face cache")
      .option("-o,--output", options->target, "MEGATRON_DIR",
              "Checkpoint to write; it appears only when it is complete", true);
  options->layout.declare(command, true);
  command
      .option("--dtype", options->dtype, "DTYPE",
              "Store weights as bfloat16, float16 or float32, but those that "
              "the model pins; rounds to nearest even (default: the source's "
              "type, tensor by tensor)")
      .flag("--overwrite", options->overwrite,
            "Replace MEGATRON_DIR, once the new one is complete")
      .flag("--sha256", options->sha256,
            "Also record the SHA-256 of every file in the manifest, as the "
            "hub prints it (slower)")
      .configOptions()
      .bridgeFlags()
      .examples("  mbc import SmolLM2-135M-Instruct -o megatron\n"
                "  mbc import Llama-3.1-8B -o megatron --tp 4 --pp 2\n"
                "  mbc import Llama-3.1-8B -o megatron --format torch --tp 4 "
                "--pp 2\n"
                "  mbc import Qwen3-0.6B -o megatron --dtype float32 "
                "--overwrite --json");
  command.run = [options, &common = command.common] {
    return runImport(*options, common);
  };
}

} // namespace mbc
