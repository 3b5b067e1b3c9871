//===- Roundtrip.cpp - mbc roundtrip --------------------------------------===//
#include "compiler/Bridge/FileComparison.h"
#include "compiler/Commands/Command.h"
#include "compiler/Commands/CompareOutput.h"
#include "compiler/Commands/ConvertOutput.h"
#include "compiler/Commands/TargetOptions.h"
#include "runtime/core/File.h"
#include "runtime/core/Text.h"

#include <algorithm>
#include <cstdlib>
#include <fmt/format.h>

namespace fs = std::filesystem;

namespace mbc {

namespace {

struct RoundtripOptions {
  std::string source, temporary;
  TargetOptions layout;
};

/// Where the two conversions are made.
fs::path temporaryParent(const RoundtripOptions &options) {
  if (!options.temporary.empty())
    return options.temporary;
  if (const char *chosen = std::getenv("TMPDIR"); chosen && *chosen)
    return chosen;
  std::error_code code;
  fs::path source = fs::canonical(options.source, code);
  return code ? fs::path(".") : source.parent_path();
}

/// Whether the weight files and the index came back as they were.
bool sameWeightFiles(const HfFolder &source, const HfFolder &back) {
  auto equal = [](const HfShard &a, const HfShard &b) {
    return a.file == b.file && a.rawHeader == b.rawHeader;
  };
  if (!std::ranges::equal(source.shards(), back.shards(), equal))
    return false;
  FolderFiles a(source), b(back);
  return a.index && b.index && *a.index == *b.index;
}

Expected<Outcome> runRoundtrip(const RoundtripOptions &options,
                               const CommonOptions &common) {
  ImportOptions import;
  MBC_ASSIGN(static_cast<MegatronLayout &>(import), options.layout.parse());
  MBC_ASSIGN(AutoBridge bridge,
             AutoBridge::from_hf_pretrained(options.source, common.bridge()));

  // Never committed: destroyed, it takes everything with it.
  MBC_ASSIGN(StagedDirectory temporary,
             StagedDirectory::create(temporaryParent(options) / "mbc-roundtrip",
                                     false));
  fs::path megatron = temporary.path() / "megatron",
           result = temporary.path() / "hf";
  MBC_ASSIGN(ConvertReport imported, bridge.import_ckpt(megatron, import));
  MBC_ASSIGN(AutoBridge middle,
             AutoBridge::from_megatron(megatron, common.bridge()));
  MBC_ASSIGN(ConvertReport exported, middle.export_ckpt(result));
  MBC_ASSIGN(AutoBridge end,
             AutoBridge::from_hf_pretrained(result.string(), common.bridge()));
  MBC_ASSIGN(VerifyReport verified, bridge.verify(end, VerifyScope::Tensors));
  const CompareReport &report = verified.compared;
  MBC_ASSIGN(auto source, HfFolder::open(bridge.path()));
  MBC_ASSIGN(auto back, HfFolder::open(result));
  MBC_ASSIGN(FileComparison compared,
             compareFiles(FolderFiles(*source), FolderFiles(*back)));
  std::vector<std::string> files = std::move(compared.single);
  std::ranges::move(compared.differences, std::back_inserter(files));
  bool sameFiles = sameWeightFiles(*source, *back);

  Outcome outcome;
  outcome.status = report.same() && files.empty() ? 0 : 1;
  outcome.text = fmt::format(
      "import   {} in {}\nexport   {} in {}\ncompare  {}", //
      sizeText(imported.bytes), rateText(imported.seconds, imported.bytes),
      sizeText(exported.bytes), rateText(exported.seconds, exported.bytes),
      compareText(report));
  for (const std::string &difference : files)
    outcome.text += difference + "\n";
  if (files.empty())
    outcome.text +=
        fmt::format("{} other files: equal byte for byte; weight files {}\n",
                    back->sideFiles().size(),
                    sameFiles ? "too" : "are cut or ordered anew");
  for (const std::string &note : temporary.notes())
    outcome.text += "note: " + note + "\n";
  Json differences = Json::array();
  for (const std::string &difference : files)
    differences.push(difference);
  outcome.json =
      Json::object({{"import", convertJson(imported)},
                    {"export", convertJson(exported)},
                    {"compare", compareJson(report)},
                    {"side_files", back->sideFiles().size()},
                    {"side_file_differences", std::move(differences)},
                    {"weight_files_equal", sameFiles}});
  return outcome;
}

} // namespace

void addRoundtrip(CLI::App &root, CommandList &commands) {
  auto &command = *commands.emplace_back(std::make_unique<Command>(
      root, "roundtrip", "Import and export a folder, compare, leave nothing",
      "Imports HF_DIR into a temporary folder, exports it again, and compares "
      "every tensor bit by bit and every other file byte by byte. The "
      "temporary "
      "folder, twice the size of the weights, is removed in any case. Exit "
      "status 1 when something differs."));
  auto options = std::make_shared<RoundtripOptions>();
  command.argument("HF_DIR", options->source,
                   "Folder with config.json and safetensors weights");
  options->layout.declare(command, false);
  command
      .option("--tmp", options->temporary, "DIR",
              "Make the temporary folder in DIR (default: $TMPDIR, else beside "
              "HF_DIR)")
      .configOptions()
      .bridgeFlags()
      .examples("  mbc roundtrip SmolLM2-135M-Instruct\n"
                "  mbc roundtrip Llama-3.1-8B --tp 8 --pp 4 --tmp /scratch\n"
                "  mbc roundtrip Qwen3-30B-A3B --format torch --tp 2 --ep 4");
  command.run = [options, &common = command.common]() -> Expected<Outcome> {
    MBC_TRY(resolveInPlace(options->source));
    return runRoundtrip(*options, common);
  };
}

} // namespace mbc
