//===- Verify.cpp - mbc verify --------------------------------------------===//
#include "compiler/Bridge/Manifest.h"
#include "compiler/Commands/Command.h"
#include "compiler/Commands/CompareOutput.h"
#include "runtime/core/File.h"
#include "runtime/core/Text.h"
#include "runtime/io/NumberText.h"

#include <fmt/format.h>

namespace mbc {

namespace {

struct VerifyOptions {
  std::string a, b, hfModel;
  bool valuesOnly = false;
};

/// One side: proved and bound, or only opened.
struct Side {
  std::unique_ptr<Checkpoint> checkpoint;
  std::unique_ptr<HfFolder> raw;

  const TensorSet &tensors() const {
    return raw ? static_cast<const TensorSet &>(*raw) : checkpoint->tensors();
  }
  const plan::PlanT *plan() const {
    return checkpoint ? &checkpoint->plan() : nullptr;
  }
};

/// Whether some declaration is for the architecture of a config.json. True
/// when that cannot be told: opening says why.
bool isDeclared(const ModelLibrary &library,
                const std::filesystem::path &config) {
  auto json = Json::parseFile(config);
  if (!json)
    return std::filesystem::exists(config);
  const Json *names = json->find("architectures");
  if (!names || names->elements().empty())
    return false;
  for (const Json &name : names->elements())
    if (const std::string *text = name.asString();
        text && library.findArchitecture(*text))
      return true;
  return false;
}

OpenOptions openOptions(const VerifyOptions &options,
                        const CommonOptions &common) {
  OpenOptions open;
  open.config = common.config;
  open.hfModel = options.hfModel;
  open.threads = common.threads;
  return open;
}

Expected<Side> openProved(const ModelLibrary &library, const std::string &path,
                          const OpenOptions &options) {
  Side side;
  MBC_ASSIGN(side.checkpoint, Checkpoint::open(library, path, options));
  return side;
}

Expected<Side> openRaw(const std::string &path) {
  Side side;
  MBC_ASSIGN(side.raw, HfFolder::open(path));
  return side;
}

Expected<Outcome> verifyTwo(const VerifyOptions &options,
                            const CommonOptions &common,
                            const ModelLibrary &library) {
  MBC_ASSIGN(CheckpointKind kindA, detectCheckpoint(options.a));
  MBC_ASSIGN(CheckpointKind kindB, detectCheckpoint(options.b));
  auto declared = [&](const std::string &folder) {
    return isDeclared(library, std::filesystem::path(folder) / "config.json");
  };
  std::string note;
  // Names need no explanation to be compared where both sides are of one kind.
  if (options.hfModel.empty() && kindA == CheckpointKind::HuggingFace &&
      kindB == CheckpointKind::HuggingFace &&
      !(declared(options.a) && declared(options.b)))
    note = "the architecture is not declared: tensors are compared by name, "
           "and nothing is proved about the model";
  OpenOptions open = openOptions(options, common);
  auto openSide = [&](const std::string &path) {
    return note.empty() ? openProved(library, path, open) : openRaw(path);
  };
  MBC_ASSIGN(Side a, openSide(options.a));
  MBC_ASSIGN(Side b, openSide(options.b));

  CompareOptions compare;
  compare.threads = common.threads;
  compare.valuesOnly = options.valuesOnly;
  compare.plan = a.plan();
  Progress progress("comparing", 0, common.progress());
  MBC_ASSIGN(CompareReport report,
             compareTensors(a.tensors(), b.tensors(), compare, progress));
  progress.finish();

  Outcome outcome;
  outcome.status = report.same() ? 0 : 1;
  if (!note.empty())
    outcome.text = "note: " + note + "\n";
  outcome.text += compareText(report);
  outcome.json = compareJson(report);
  outcome.json.set("a", options.a);
  outcome.json.set("b", options.b);
  outcome.json.set("proved", note.empty());
  return outcome;
}

/// Stored copies of tied parameters must equal their originals.
Expected<CompareReport> compareTies(const Checkpoint &checkpoint,
                                    const CommonOptions &common) {
  const TensorSet &set = checkpoint.tensors();
  std::vector<std::pair<size_t, size_t>> pairs;
  for (const auto &tie : checkpoint.plan().ties) {
    int64_t copy = set.find(tie->copy), original = set.find(tie->original);
    if (copy >= 0 && original >= 0)
      pairs.push_back(
          {static_cast<size_t>(copy), static_cast<size_t>(original)});
  }
  CompareOptions options;
  options.threads = common.threads;
  options.plan = &checkpoint.plan();
  Progress progress("comparing tied copies", 0,
                    pairs.empty() ? Progress::Mode::Quiet : common.progress());
  return compareWithin(set, pairs, options, progress);
}

/// Compares every tensor with the digests that the import recorded.
Status checkManifest(const Checkpoint &checkpoint,
                     const TorchDistCheckpoint &megatron,
                     const CommonOptions &common,
                     std::vector<std::string> &checked, Outcome &outcome) {
  MBC_ASSIGN(std::unique_ptr<Manifest> manifest,
             Manifest::open(megatron.folder()));
  Json list = Json::array();
  if (manifest) {
    Progress progress("digesting", 0, common.progress());
    MBC_ASSIGN(std::vector<Manifest::Difference> differences,
               manifest->check(checkpoint.tensors(), common.threads, progress));
    progress.finish();
    for (const Manifest::Difference &difference : differences) {
      outcome.status = 1;
      outcome.text +=
          fmt::format("'{}' {}\n", difference.name, difference.what);
      Json entry = Json::object();
      entry.set("name", difference.name);
      entry.set("what", difference.what);
      list.push(std::move(entry));
    }
    checked.push_back(fmt::format(
        "XXH3-128 of {} tensors against the manifest of the import: {}",
        groupedNumber(manifest->tensors().size()),
        differences.empty() ? "all equal"
                            : fmt::format("{} differ", differences.size())));
  }
  outcome.json.set("manifest", manifest != nullptr);
  outcome.json.set("manifest_differences", std::move(list));
  return {};
}

Expected<Outcome> verifyOne(const VerifyOptions &options,
                            const CommonOptions &common,
                            const ModelLibrary &library) {
  MBC_ASSIGN(Side side,
             openProved(library, options.a, openOptions(options, common)));
  Checkpoint &checkpoint = *side.checkpoint;
  std::vector<std::string> checked;
  uint64_t elements = 0;
  for (const TensorInfo &info : checkpoint.tensors().tensors())
    elements += static_cast<uint64_t>(info.elements());
  checked.push_back(fmt::format("the declaration of {} holds for {}",
                                checkpoint.proved().declared().name,
                                quote(checkpoint.configPath().string())));
  checked.push_back(fmt::format(
      "{} tensors, {} elements: each used once, none missing, every shape as "
      "proved",
      groupedNumber(checkpoint.tensors().tensors().size()),
      groupedNumber(elements)));

  CompareReport ties;
  Outcome outcome;
  if (const TorchDistCheckpoint *megatron = checkpoint.torchDist()) {
    MBC_ASSIGN(size_t without, megatron->verifyCrc(common.threads));
    checked.push_back(fmt::format(
        "CRC-32 of every record of {} Megatron tensors{}",
        groupedNumber(megatron->tensors().size()),
        without ? fmt::format("; {} records state none", without) : ""));
    outcome.json.set("records_without_crc", without);
    MBC_TRY(checkManifest(checkpoint, *megatron, common, checked, outcome));
  } else {
    MBC_ASSIGN(ties, compareTies(checkpoint, common));
    if (ties.tensors)
      checked.push_back(
          fmt::format("{} stored copies of tied parameters", ties.tensors));
  }
  if (!ties.same())
    outcome.status = 1;
  outcome.text += "checked:\n";
  Json list = Json::array();
  for (const std::string &item : checked) {
    outcome.text += "  " + item + "\n";
    list.push(item);
  }
  for (const TensorComparison &difference : ties.differences)
    outcome.text += "tied copy " + difference.text() + "\n";
  outcome.json.set("a", options.a);
  outcome.json.set("model", checkpoint.proved().declared().name);
  outcome.json.set("tensors", checkpoint.tensors().tensors().size());
  outcome.json.set("elements", elements);
  outcome.json.set("checked", std::move(list));
  outcome.json.set("ties", compareJson(ties));
  return outcome;
}

Expected<Outcome> runVerify(const VerifyOptions &options,
                            const CommonOptions &common) {
  ModelLibrary library;
  MBC_TRY(common.load(library));
  return options.b.empty() ? verifyOne(options, common, library)
                           : verifyTwo(options, common, library);
}

} // namespace

void addVerify(CLI::App &root, CommandList &commands) {
  auto &command = *commands.emplace_back(std::make_unique<Command>(
      root, "verify", "Compare two checkpoints bit for bit, or check one",
      "A and B are Hugging Face folders or Megatron checkpoints (root or "
      "iteration folder), in any mixture. Every tensor of both sides is "
      "covered. Of each tensor that differs, the first differing element is "
      "named with its index in the model, both values, and the files and "
      "offsets where they are stored; exit status 1 then. With A alone: names, "
      "types and shapes are proved, and the checksums of a Megatron checkpoint "
      "and the tied copies of a Hugging Face folder are checked."));
  auto options = std::make_shared<VerifyOptions>();
  command
      .argument("A", options->a, "Hugging Face folder or Megatron checkpoint")
      .argument("B", options->b, "What to compare it with", false)
      .flag("--values-only", options->valuesOnly,
            "Compare tensors of different float types by value, after exact "
            "widening, instead of reporting the type")
      .option("--hf-model", options->hfModel, "DIR",
              "Take config.json from here, for a Megatron checkpoint without a "
              "record of its source")
      .configOptions()
      .examples("  mbc verify SmolLM2 megatron\n"
                "  mbc verify SmolLM2 exported --json\n"
                "  mbc verify megatron/iter_0000000\n"
                "  mbc verify bf16-folder fp32-folder --values-only");
  command.run = [options, &common = command.common]() -> Expected<Outcome> {
    MBC_TRY(resolveInPlace(options->a));
    MBC_TRY(resolveInPlace(options->b));
    MBC_TRY(resolveInPlace(options->hfModel));
    return runVerify(*options, common);
  };
}

} // namespace mbc
