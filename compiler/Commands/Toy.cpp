//===- Toy.cpp - mbc toy --------------------------------------------------===//
#include "compiler/Bridge/Counts.h"
#include "compiler/Bridge/CutCheckpoint.h"
#include "compiler/Bridge/CutConfig.h"
#include "compiler/Commands/Command.h"
#include "compiler/Commands/CompareOutput.h"
#include "compiler/Commands/RandomTensors.h"
#include "runtime/core/File.h"
#include "runtime/core/Parallel.h"
#include "runtime/core/Text.h"
#include "runtime/io/NumberText.h"
#include "runtime/io/SafetensorsWriter.h"

#include <algorithm>
#include <chrono>
#include <fmt/format.h>
#include <map>
#include <numeric>
#include <tuple>

namespace fs = std::filesystem;

namespace mbc {

namespace {

struct ToyOptions {
  std::string config, target, seed, dtype, maxShard, cut, layers, experts;
  bool sparse = false, overwrite = false;
};

/// Headers of tensors whose values are computed.
class ToyTensors final : public TensorSet {
public:
  explicit ToyTensors(std::vector<RandomTensor> list)
      : random(std::move(list)) {
    for (const RandomTensor &tensor : random)
      infos.push_back(tensor.info);
    indexNames();
  }
  const std::vector<RandomTensor> &list() const { return random; }
  void locate(size_t, int64_t, int64_t, int64_t,
              std::vector<Extent> &) const override {}

private:
  std::vector<RandomTensor> random;
};

/// A top-level field, or that of the text model of a multimodal one.
const Json *findField(const Json &config, std::string_view name) {
  if (const Json *field = config.find(name); field && !field->isNull())
    return field;
  const Json *text = config.find("text_config");
  return text ? text->find(name) : nullptr;
}

/// The type of the weights: asked for, or that of the configuration.
Expected<DType> weightType(const ToyOptions &options, const Json &config) {
  MBC_ASSIGN(std::optional<DType> asked, parseDType("--dtype", options.dtype));
  if (asked)
    return *asked;
  for (const char *name : {"dtype", "torch_dtype"})
    if (const Json *field = findField(config, name); field && field->asString())
      if (auto dtype = dtypeFromTorch(*field->asString());
          dtype && smallestCommonFloat(*dtype, *dtype))
        return *dtype;
  return DType::BF16;
}

float deviationOf(const Json &config) {
  const Json *field = findField(config, "initializer_range");
  return static_cast<float>(field ? field->asDouble().value_or(0.02) : 0.02);
}

/// Gains of norms are vectors, and named so by every declaration.
RandomKind kindOf(const ImpliedFamily &family) {
  llvm::StringRef leaf = const_cast<wmap::EntryOp &>(family.entry).getPath();
  leaf = leaf.rsplit('.').second.empty() ? leaf : leaf.rsplit('.').second;
  bool norm = family.shape.size() == 1 && leaf.contains("norm") &&
              !leaf.contains("bias");
  return norm ? RandomKind::Norm : RandomKind::Weight;
}

/// Every tensor that the configuration implies, layer by layer.
std::vector<RandomTensor> listTensors(const ImpliedTensors &implied,
                                      DType dtype) {
  struct Placed {
    size_t stack;
    int64_t layer;
    RandomTensor tensor;
    size_t number = 0; ///< order of the mapping
  };
  std::vector<Placed> placed;
  std::map<std::string, size_t> stacks;
  // A tied parameter that is stored again holds the same values.
  std::map<std::string, std::string> names;
  for (const ImpliedFamily &family : implied.families)
    if (family.count == 1)
      family.forEachName([&](std::string name, int64_t) {
        wmap::EntryOp entry = family.entry;
        names[entry.getPath().str()] = std::move(name);
      });
  for (const ImpliedFamily &family : implied.families) {
    if (family.optional)
      continue;
    wmap::EntryOp entry = family.entry;
    size_t stack = 0; // what is outside of stacks comes first
    if (!entry.getLoops().empty()) {
      auto loop = mlir::cast<wmap::LoopAttr>(entry.getLoops()[0]);
      stack = stacks.try_emplace(loop.getOver().str(), stacks.size() + 1)
                  .first->second;
    }
    DType stored =
        family.scaleShape ? DType::F8E4M3 : family.pinned.value_or(dtype);
    family.forEachName([&](std::string name, int64_t layer) {
      std::string scale = name + family.scaleSuffix;
      placed.push_back({stack,
                        layer,
                        {{std::move(name), stored, family.shape},
                         kindOf(family),
                         entry.getTie() ? names[entry.getTie()->str()] : ""}});
      if (family.scaleShape)
        placed.push_back({stack,
                          layer,
                          {{std::move(scale), DType::F32, *family.scaleShape},
                           RandomKind::Scale,
                           ""}});
    });
  }
  for (size_t i = 0; i < placed.size(); ++i)
    placed[i].number = i;
  std::ranges::sort(placed, {}, [](const Placed &item) {
    return std::tuple(item.stack, item.layer, item.number);
  });
  std::vector<RandomTensor> tensors;
  tensors.reserve(placed.size());
  for (Placed &item : placed)
    tensors.push_back(std::move(item.tensor));
  return tensors;
}

/// Fills the holes of weight files that are complete but for their values.
Status fillFiles(const fs::path &folder, const ToyTensors &set, uint64_t seed,
                 float deviation, unsigned threads, Progress &progress) {
  constexpr uint64_t blockBytes = 1u << 20;
  struct Block {
    size_t tensor;
    Extent where;
    int64_t begin;
  };
  MBC_ASSIGN(auto written, HfFolder::open(folder));
  std::vector<Block> blocks;
  uint64_t total = 0;
  for (size_t i = 0; i < set.tensors().size(); ++i) {
    const TensorInfo &info = set.tensors()[i];
    total += info.bytes();
    auto step = static_cast<int64_t>(blockBytes / bytesOf(info.dtype, 1));
    auto index = static_cast<size_t>(written->find(info.name));
    std::vector<Extent> extents;
    for (int64_t at = 0; at < info.elements(); at += step) {
      extents.clear();
      written->locate(index, at, std::min(step, info.elements() - at), 0,
                      extents);
      blocks.push_back({i, extents.front(), at});
    }
  }
  progress.setTotal(total);
  std::vector<File> files;
  for (const std::string &path : written->files()) {
    MBC_ASSIGN(File file, File::openWrite(path));
    files.push_back(std::move(file));
  }
  if (threads == 0)
    threads = defaultThreads();
  std::vector<std::vector<std::byte>> buffers(threads);
  return parallelFor(
      threads, blocks.size(), [&](size_t index, unsigned worker) -> Status {
        const Block &block = blocks[index];
        std::vector<std::byte> &buffer = buffers[worker];
        buffer.resize(bytesOf(block.where.dtype, block.where.count));
        fillRandom(set.list()[block.tensor], seed, deviation, block.begin,
                   buffer);
        progress.advance(buffer.size());
        return files[block.where.file].writeAt(block.where.offset, buffer);
      });
}

/// The first layers and experts of a real folder.
Expected<Outcome> runCut(const ToyOptions &options,
                         const CommonOptions &common) {
  auto start = std::chrono::steady_clock::now();
  CutSizes sizes;
  auto count = [](const char *option, const std::string &text,
                  std::optional<int64_t> &size) -> Status {
    if (!text.empty()) {
      MBC_ASSIGN(size, parseCount(option, text, 1, 1u << 24));
    }
    return {};
  };
  MBC_TRY(count("--layers", options.layers, sizes.layers));
  MBC_TRY(count("--experts", options.experts, sizes.experts));
  HfWriteOptions write;
  MBC_ASSIGN(auto shardBytes, parseShardSize(options.maxShard));
  if (shardBytes)
    write.maxShardBytes = *shardBytes;
  ModelLibrary library;
  MBC_TRY(common.load(library));
  fs::path cut = options.cut;
  MBC_ASSIGN(auto folder, HfFolder::open(cut));
  MBC_ASSIGN(auto source,
             ProvedModel::create(library, folder->configPath(), common.config));
  // Everything in the folder is what the declaration says, before any of it is
  // taken.
  MBC_TRY(source->plan(folder.get(), {}));
  MBC_ASSIGN(StagedDirectory staged,
             StagedDirectory::create(options.target, options.overwrite,
                                     std::span(&cut, 1)));
  MBC_ASSIGN(Json config, Json::parseFile(folder->configPath()));
  MBC_ASSIGN(config, cutConfig(library, source->declared(), config, sizes));
  for (const std::string &name : folder->sideFiles()) {
    MBC_ASSIGN(std::string bytes,
               readWholeFile(folder->folder() / name, uint64_t(1) << 30));
    if (name == "config.json")
      bytes = config.dump() + "\n";
    MBC_TRY(writeWholeFile(staged.path() / name, bytes));
  }
  MBC_ASSIGN(auto target,
             ProvedModel::create(library, staged.path() / "config.json",
                                 common.config));
  MBC_ASSIGN(auto tensors, cutTensors(*source, *target, *folder));
  std::vector<size_t> order(tensors->tensors().size());
  std::iota(order.begin(), order.end(), 0);
  uint64_t elements = 0;
  for (const TensorInfo &info : tensors->tensors())
    elements += info.elements();
  Progress progress("cutting", 0, common.progress());
  MBC_ASSIGN(
      HfWriteResult written,
      writeHfWeights(*tensors, order, write, staged.path(), progress,
                     common.threads ? common.threads : defaultThreads()));
  progress.finish();
  MBC_ASSIGN(auto whole, HfFolder::open(staged.path()));
  MBC_TRY(target->plan(whole.get(), {}));
  MBC_TRY(staged.commit());

  double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start)
          .count();
  Outcome outcome;
  outcome.text = fmt::format(
      "cut {}: {} of {} tensors, {} elements, {} in {}\n  from {}\n  to   "
      "{}\n",
      target->declared().name, groupedNumber(order.size()),
      groupedNumber(folder->tensors().size()), groupedNumber(elements),
      sizeText(written.dataBytes), rateText(seconds, written.dataBytes),
      options.cut, options.target);
  outcome.json = Json::object({{"model", target->declared().name},
                               {"source", options.cut},
                               {"target", options.target},
                               {"tensors", order.size()},
                               {"elements", elements},
                               {"bytes", written.dataBytes},
                               {"files", written.files.size()},
                               {"seconds", seconds}});
  return outcome;
}

/// Either a configuration or a folder to cut, and the options of that.
Status checkUsage(const ToyOptions &options) {
  bool cuts = !options.cut.empty();
  auto usage = [](const std::string &message) {
    return inputError(message + "; see 'mbc toy --help'");
  };
  if (cuts != options.config.empty())
    return usage("expected CONFIG_JSON or --cut HF_DIR, one of them");
  if (cuts && options.layers.empty() && options.experts.empty())
    return usage("option '--cut' needs --layers N, --experts K or both");
  if (!cuts && (!options.layers.empty() || !options.experts.empty()))
    return usage("options '--layers' and '--experts' go with --cut");
  if (cuts &&
      (!options.seed.empty() || !options.dtype.empty() || options.sparse))
    return usage("option '--cut' keeps the weights: --seed, --dtype and "
                 "--sparse do not go with it");
  return {};
}

Expected<Outcome> runToy(const ToyOptions &options,
                         const CommonOptions &common) {
  auto start = std::chrono::steady_clock::now();
  uint64_t seed = 0;
  if (!options.seed.empty()) {
    MBC_ASSIGN(seed, parseCount("--seed", options.seed, 0, UINT64_MAX));
  }
  HfWriteOptions write;
  write.sparse = true;
  MBC_ASSIGN(auto shardBytes, parseShardSize(options.maxShard));
  if (shardBytes)
    write.maxShardBytes = *shardBytes;
  fs::path configPath = options.config;
  std::error_code code;
  if (fs::is_directory(configPath, code))
    configPath /= "config.json";
  ModelLibrary library;
  MBC_TRY(common.load(library));
  MBC_ASSIGN(std::string configText, readWholeFile(configPath));
  MBC_ASSIGN(Json config, Json::parse(configText, configPath.string()));
  MBC_ASSIGN(DType dtype, weightType(options, config));
  MBC_ASSIGN(auto proved,
             ProvedModel::create(library, configPath, common.config));
  MBC_ASSIGN(ImpliedTensors implied,
             impliedTensors(proved->model(), proved->mapping()));
  ToyTensors set(listTensors(implied, dtype));

  // A folder that is read is never replaced.
  std::vector<fs::path> sources;
  if (fs::is_directory(options.config, code))
    sources.push_back(options.config);
  MBC_ASSIGN(
      StagedDirectory staged,
      StagedDirectory::create(options.target, options.overwrite, sources));
  std::vector<size_t> order(set.tensors().size());
  std::iota(order.begin(), order.end(), 0);
  Progress headers("writing headers", 0, Progress::Mode::Quiet);
  MBC_ASSIGN(
      HfWriteResult written,
      writeHfWeights(set, order, write, staged.path(), headers,
                     common.threads ? common.threads : defaultThreads()));
  if (!options.sparse) {
    Progress progress("writing", 0, common.progress());
    MBC_TRY(fillFiles(staged.path(), set, seed, deviationOf(config),
                      common.threads, progress));
    progress.finish();
  }
  MBC_TRY(writeWholeFile(staged.path() / "config.json", configText));
  MBC_TRY(staged.commit());

  double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start)
          .count();
  Outcome outcome;
  outcome.text = fmt::format(
      "made {}: {} tensors, {} elements, {} in {}\n  at {}{}\n",
      proved->declared().name, groupedNumber(set.tensors().size()),
      groupedNumber(implied.elements), sizeText(written.dataBytes),
      rateText(seconds, options.sparse ? 0 : written.dataBytes), options.target,
      options.sparse ? "\n  sparse: the weights read as zeros and take no space"
                     : "");
  for (const std::string &note : staged.notes())
    outcome.text += "note: " + note + "\n";
  outcome.json = Json::object({{"model", proved->declared().name},
                               {"target", options.target},
                               {"tensors", set.tensors().size()},
                               {"elements", implied.elements},
                               {"bytes", written.dataBytes},
                               {"files", written.files.size()},
                               {"seed", seed},
                               {"sparse", options.sparse},
                               {"seconds", seconds}});
  return outcome;
}

} // namespace

void addToy(CLI::App &root, CommandList &commands) {
  auto &command = *commands.emplace_back(std::make_unique<Command>(
      root, "toy", "Write a random-weight folder, or cut a real one",
      "Writes the Hugging Face folder that config.json implies, with random "
      "weights: bell-shaped, initializer_range wide, those of norms near 1; "
      "FP8 weights with their block scales where the configuration asks for "
      "them. A value depends on the seed, the tensor's name and the element's "
      "index alone, so the same command gives the same bytes anywhere. With "
      "--cut: the first layers and the first experts of a real folder, with "
      "config.json and everything in it that counts layers or experts made "
      "to fit, and the other files as they are."));
  auto options = std::make_shared<ToyOptions>();
  command
      .argument("CONFIG_JSON", options->config,
                "A config.json, or a folder that has one", false)
      .option("--cut", options->cut, "HF_DIR",
              "Take the weights of this folder instead, as many as asked for")
      .option("--layers", options->layers, "N",
              "With --cut: keep the first N layers (default: all)")
      .option("--experts", options->experts, "K",
              "With --cut: keep the first K experts of each layer (default: "
              "all)")
      .option("-o,--output", options->target, "HF_DIR",
              "Folder to write; it appears only when it is complete", true)
      .option("--seed", options->seed, "N", "Changes every weight (default: 0)")
      .option("--dtype", options->dtype, "DTYPE",
              "Store weights as bfloat16, float16 or float32, but those that "
              "the model pins and FP8 ones (default: that of config.json)")
      .option("--max-shard-size", options->maxShard, "SIZE",
              "Cut the weights into files of at most SIZE (default: 5GB)")
      .flag("--sparse", options->sparse,
            "Write true headers, but leave the weights a hole that takes no "
            "space: models of any size in seconds")
      .flag("--overwrite", options->overwrite,
            "Replace HF_DIR, once the new one is complete")
      .configOptions()
      .examples("  mbc toy tiny.json -o tiny\n"
                "  mbc toy Llama-3.2-1B/config.json -o toy --seed 7 --dtype "
                "float32\n"
                "  mbc toy DeepSeek-V3.json -o v3 --sparse\n"
                "  mbc toy --cut Qwen3-30B-A3B -o small --layers 4 --experts "
                "8");
  command.run = [options, &common = command.common]() -> Expected<Outcome> {
    MBC_TRY(resolveInPlace(options->cut));
    MBC_TRY(checkUsage(*options));
    return options->cut.empty() ? runToy(*options, common)
                                : runCut(*options, common);
  };
}

} // namespace mbc
