//===- Verify.cpp - What AutoBridge::verify checks ------------------------===//
#include "compiler/Bridge/FileComparison.h"
#include "compiler/Bridge/Manifest.h"
#include "lib/AutoBridgeImpl.h"
#include "runtime/core/Json.h"
#include "runtime/core/Text.h"
#include "runtime/io/Compare.h"
#include "runtime/io/NumberText.h"
#include "runtime/io/TensorViews.h"

#include <algorithm>
#include <fmt/format.h>
#include <iterator>

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

/// What is compared of two proved sides: the tensors as they are stored, or,
/// where only one of them stores FP8 or has been cast, what Megatron makes of
/// them.
class ComparedTensors {
public:
  ComparedTensors(const Checkpoint &a, const Checkpoint &b) : a(a), b(b) {
    byValue = isFp8(a) != isFp8(b) || castOf(a) != castOf(b);
    if (!byValue)
      return;
    hideScales(a, b, onlyA);
    hideScales(b, a, onlyB);
  }
  const TensorSet &setA() const { return onlyA ? *onlyA : tensorsOf(a); }
  const TensorSet &setB() const { return onlyB ? *onlyB : tensorsOf(b); }

  /// Stored as FP8 with block scales.
  static bool isFp8(const Checkpoint &side) {
    return side.hfFolder() && !side.scaled().empty();
  }
  /// The type that an import cast this side to.
  static std::optional<DType> castOf(const Checkpoint &side) {
    return side.record() ? side.record()->cast() : std::nullopt;
  }

private:
  const TensorSet &tensorsOf(const Checkpoint &side) const {
    return byValue ? side.values() : side.tensors();
  }
  /// Scales that the other side does not know.
  void hideScales(const Checkpoint &side, const Checkpoint &other,
                  std::unique_ptr<TensorSet> &shown) {
    std::vector<ScaledName> unknown;
    for (const ScaledName &item : side.scaled())
      if (tensorsOf(other).find(item.scale) < 0)
        unknown.push_back(item);
    if (!unknown.empty())
      shown = std::make_unique<SomeTensors>(
          tensorsOf(side), withoutScales(tensorsOf(side), unknown));
  }

  const Checkpoint &a, &b;
  bool byValue;
  std::unique_ptr<TensorSet> onlyA, onlyB;
};

/// None: a Megatron checkpoint without a record of its source.
static std::optional<FolderFiles> filesOf(const HfFolder *raw,
                                          const Checkpoint *checkpoint) {
  if (const HfFolder *folder = raw ? raw : checkpoint->hfFolder())
    return FolderFiles(*folder);
  if (checkpoint->record())
    return FolderFiles(*checkpoint->record());
  return std::nullopt;
}

/// What a Megatron side holds beside its tensors is as the import stored it.
/// Where something differs already, its checksums need not agree.
static Status checkStored(const Checkpoint &checkpoint, unsigned threads,
                          VerifyReport &report) {
  if (!checkpoint.megatronTensors())
    return {};
  MBC_ASSIGN(std::unique_ptr<Manifest> manifest,
             Manifest::open(checkpoint.folder()));
  if (manifest) {
    MBC_ASSIGN(std::vector<ManifestDifference> differences,
               manifest->checkStored(checkpoint.folder()));
    for (const ManifestDifference &difference : differences)
      report.storedDifferences.push_back(fmt::format(
          "{}: file {} {} since the import", checkpoint.folder().string(),
          quote(difference.name), difference.what));
  }
  auto crc = checkpoint.verifyCrc(threads);
  if (!crc && (report.same() || crc.error().kind != ErrorKind::Input))
    return Failure(crc.error());
  if (!crc)
    report.storedDifferences.push_back(crc.error().message);
  return {};
}

Expected<VerifyReport> AutoBridge::Impl::verifyAgainst(Impl &other,
                                                       VerifyScope scope) {
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
  std::optional<ComparedTensors> compared;
  if (report.proved) {
    // Megatron first: a folder is compared with what the import of the other
    // side made of it.
    std::optional<DType> cast;
    for (bool folders : {false, true})
      for (int i = 0; i < 2; ++i)
        if (folders == (sides[i]->kind == CheckpointKind::HuggingFace)) {
          MBC_ASSIGN(proved[i],
                     sides[i]->openCast(folders ? cast : std::nullopt));
          if (!folders && !cast)
            cast = ComparedTensors::castOf(*proved[i]);
        }
    compared.emplace(*proved[0], *proved[1]);
    sets[0] = &compared->setA();
    sets[1] = &compared->setB();
    if (ComparedTensors::isFp8(*proved[0]) !=
        ComparedTensors::isFp8(*proved[1]))
      report.notes.push_back("FP8 is compared as element times block scale, "
                             "rounded to the type that Megatron holds");
    if (cast && sides[0]->kind != sides[1]->kind)
      report.notes.push_back(fmt::format("compared after the cast to {} that "
                                         "the import made",
                                         safetensorsName(*cast)));
  } else {
    report.notes.push_back("the architecture is not declared: tensors are "
                           "compared by name, and nothing is proved about the "
                           "model");
    for (int i = 0; i < 2; ++i) {
      MBC_ASSIGN(raw[i], HfFolder::open(sides[i]->source));
      sets[i] = raw[i].get();
    }
  }

  CompareOptions compare;
  compare.threads = options.threads;
  compare.valuesOnly = scope == VerifyScope::Values;
  if (report.proved) {
    compare.plan = &proved[0]->plan();
    report.model = proved[0]->proved().declared().name;
  }
  report.tensors = sets[0]->tensors().size();
  report.elements = elementsOf(*sets[0]);
  Progress bar("comparing", 0, progress());
  MBC_ASSIGN(report.compared, compareTensors(*sets[0], *sets[1], compare, bar));
  bar.finish();
  if (scope == VerifyScope::Everything) {
    auto a = filesOf(raw[0].get(), proved[0].get()),
         b = filesOf(raw[1].get(), proved[1].get());
    if (a && b) {
      MBC_ASSIGN(FileComparison files, compareFiles(*a, *b));
      report.filesCompared = files.compared;
      report.fileDifferences = std::move(files.differences);
      report.singleFiles = std::move(files.single);
    }
  }
  for (const auto &side : proved)
    if (side)
      MBC_TRY(checkStored(*side, options.threads, report));
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

/// Compares every tensor and stored file with the digests that the import
/// recorded, then the checksums of the records.
static Status checkMegatron(const Checkpoint &checkpoint,
                            const TensorSet &megatron, unsigned threads,
                            Progress::Mode mode, VerifyReport &report) {
  MBC_ASSIGN(std::unique_ptr<Manifest> manifest,
             Manifest::open(checkpoint.folder()));
  report.megatron = true;
  report.hasManifest = manifest != nullptr;
  if (manifest) {
    Progress progress("digesting", 0, mode);
    MBC_ASSIGN(report.manifestDifferences,
               manifest->check(checkpoint.tensors(), threads, progress));
    progress.finish();
    std::vector<Holding> holdings;
    for (const ManifestDifference &difference : report.manifestDifferences)
      if (!difference.owner.empty())
        holdings.push_back({difference.name, difference.owner});
    PlanPlaces places(checkpoint.plan());
    report.exchanges = nameExchanges(holdings, &places);
    size_t differing = report.manifestDifferences.size();
    MBC_ASSIGN(std::vector<ManifestDifference> files,
               manifest->checkStored(checkpoint.folder()));
    report.checked.push_back(fmt::format(
        "XXH3-128 of {} tensors and of every stored file against the manifest "
        "of the import: {}",
        groupedNumber(manifest->tensors().size()),
        differing == 0 && files.empty()
            ? "all equal"
            : fmt::format("{} tensors and {} files differ", differing,
                          files.size())));
    std::ranges::move(files, std::back_inserter(report.manifestDifferences));
  }
  auto without = checkpoint.verifyCrc(threads);
  if (!without) {
    // What the manifest has found says more than one checksum.
    if (report.same() || without.error().kind != ErrorKind::Input)
      return Failure(without.error());
    report.storedDifferences.push_back(without.error().message);
    return {};
  }
  report.recordsWithoutCrc = *without;
  report.checked.push_back(fmt::format(
      "CRC-32 of every record of {} Megatron tensors{}",
      groupedNumber(megatron.tensors().size()),
      *without ? fmt::format("; {} records state none", *without) : ""));
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

  report.notes = checkpoint->notes();
  if (const TensorSet *megatron = checkpoint->megatronTensors()) {
    report.skipped = checkpoint->trainingState();
    if (!report.skipped.empty())
      report.checked.push_back("left out: " + report.skipped.text());
    MBC_TRY(checkMegatron(*checkpoint, *megatron, options.threads, progress(),
                          report));
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
