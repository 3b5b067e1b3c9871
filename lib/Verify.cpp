//===- Verify.cpp - What AutoBridge::verify checks ------------------------===//
#include "compiler/Bridge/Manifest.h"
#include "lib/AutoBridgeImpl.h"
#include "runtime/core/Json.h"
#include "runtime/core/Text.h"
#include "runtime/io/Compare.h"
#include "runtime/io/NumberText.h"

#include <fmt/format.h>

namespace fs = std::filesystem;

namespace mbc {

/// Whether some declaration is for the architecture of a config.json. True
/// when that cannot be told: opening says why.
static bool isDeclared(const ModelLibrary &library, const fs::path &config) {
  auto json = Json::parseFile(config);
  if (!json)
    return fs::exists(config);
  const Json *names = json->find("architectures");
  if (!names || names->elements().empty())
    return false;
  for (const Json &name : names->elements())
    if (const std::string *text = name.asString();
        text && library.findArchitecture(*text))
      return true;
  return false;
}

static uint64_t elementsOf(const TensorSet &set) {
  uint64_t elements = 0;
  for (const TensorInfo &info : set.tensors())
    elements += static_cast<uint64_t>(info.elements());
  return elements;
}

Expected<VerifyReport> AutoBridge::Impl::verifyAgainst(Impl &other,
                                                       bool valuesOnly) {
  auto canOnlyCompareNames = [](const Impl &side) {
    return side.kind == CheckpointKind::HuggingFace &&
           side.options.hfModel.empty();
  };
  VerifyReport report;
  // Names need no explanation to be compared where both sides are of one kind.
  report.proved = !canOnlyCompareNames(*this) || !canOnlyCompareNames(other) ||
                  (isDeclared(library, source / "config.json") &&
                   isDeclared(other.library, other.source / "config.json"));
  std::shared_ptr<Checkpoint> proved[2];
  std::unique_ptr<HfFolder> raw[2];
  const TensorSet *sets[2];
  Impl *sides[2] = {this, &other};
  for (int i = 0; i < 2; ++i) {
    if (report.proved) {
      MBC_ASSIGN(proved[i], sides[i]->open());
      sets[i] = &proved[i]->tensors();
    } else {
      MBC_ASSIGN(raw[i], HfFolder::open(sides[i]->source));
      sets[i] = raw[i].get();
    }
  }

  CompareOptions compare;
  compare.threads = options.threads;
  compare.valuesOnly = valuesOnly;
  if (report.proved) {
    compare.plan = &proved[0]->plan();
    report.model = proved[0]->proved().declared().name;
  }
  report.tensors = sets[0]->tensors().size();
  report.elements = elementsOf(*sets[0]);
  Progress bar("comparing", 0, progress());
  MBC_ASSIGN(report.compared, compareTensors(*sets[0], *sets[1], compare, bar));
  bar.finish();
  return report;
}

/// Stored copies of tied parameters must equal their originals.
static Expected<CompareReport> compareTies(const Checkpoint &checkpoint,
                                           unsigned threads,
                                           Progress::Mode mode) {
  const TensorSet &set = checkpoint.tensors();
  std::vector<std::pair<size_t, size_t>> pairs;
  for (const auto &tie : checkpoint.plan().ties) {
    int64_t copy = set.find(tie->copy), original = set.find(tie->original);
    if (copy >= 0 && original >= 0)
      pairs.push_back(
          {static_cast<size_t>(copy), static_cast<size_t>(original)});
  }
  CompareOptions options;
  options.threads = threads;
  options.plan = &checkpoint.plan();
  Progress progress("comparing tied copies", 0,
                    pairs.empty() ? Progress::Mode::Quiet : mode);
  return compareWithin(set, pairs, options, progress);
}

/// Compares every tensor with the digests that the import recorded.
static Status checkManifest(const Checkpoint &checkpoint, unsigned threads,
                            Progress::Mode mode, VerifyReport &report) {
  MBC_ASSIGN(std::unique_ptr<Manifest> manifest,
             Manifest::open(checkpoint.folder()));
  report.hasManifest = manifest != nullptr;
  if (!manifest)
    return {};
  Progress progress("digesting", 0, mode);
  MBC_ASSIGN(report.manifestDifferences,
             manifest->check(checkpoint.tensors(), threads, progress));
  progress.finish();
  size_t differing = report.manifestDifferences.size();
  report.checked.push_back(fmt::format(
      "XXH3-128 of {} tensors against the manifest of the import: {}",
      groupedNumber(manifest->tensors().size()),
      differing == 0 ? "all equal" : fmt::format("{} differ", differing)));
  return {};
}

Expected<VerifyReport> AutoBridge::Impl::verifyAlone() {
  MBC_ASSIGN(std::shared_ptr<Checkpoint> checkpoint, open());
  VerifyReport report;
  report.model = checkpoint->proved().declared().name;
  report.tensors = checkpoint->tensors().tensors().size();
  report.elements = elementsOf(checkpoint->tensors());
  report.checked.push_back(
      fmt::format("the declaration of {} holds for {}", report.model,
                  quote(checkpoint->configPath().string())));
  report.checked.push_back(fmt::format(
      "{} tensors, {} elements: each used once, none missing, every shape as "
      "proved",
      groupedNumber(report.tensors), groupedNumber(report.elements)));

  if (const TorchDistCheckpoint *megatron = checkpoint->torchDist()) {
    MBC_ASSIGN(size_t without, megatron->verifyCrc(options.threads));
    report.recordsWithoutCrc = without;
    report.checked.push_back(fmt::format(
        "CRC-32 of every record of {} Megatron tensors{}",
        groupedNumber(megatron->tensors().size()),
        without ? fmt::format("; {} records state none", without) : ""));
    MBC_TRY(checkManifest(*checkpoint, options.threads, progress(), report));
    return report;
  }
  MBC_ASSIGN(report.compared,
             compareTies(*checkpoint, options.threads, progress()));
  if (report.compared.tensors)
    report.checked.push_back(fmt::format("{} stored copies of tied parameters",
                                         report.compared.tensors));
  return report;
}

} // namespace mbc
