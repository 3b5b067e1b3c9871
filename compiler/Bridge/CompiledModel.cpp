//===- CompiledModel.cpp --------------------------------------------------===//
#include "compiler/Bridge/CompiledModel.h"

#include "compiler/Bridge/Iteration.h"
#include "compiler/Bridge/ProgramKey.h"
#include "runtime/host/NativeCode.h"
#include "runtime/program/GpuCode.h"
#include "runtime/program/Program.h"
#include "runtime/program/WeightFolder.h"

#include <chrono>

namespace fs = std::filesystem;

namespace mbc {

/// What transformers loads a checkpoint as: config.json's `dtype`, which was
/// `torch_dtype`, also of a text part, or that of the first weight. FP8 stands
/// for the bfloat16 that Megatron holds it in.
static DType ownType(const Json &config, const TensorSet &weights) {
  const Json *text = config.find("text_config");
  for (const Json *part : {&config, text})
    for (const char *field : {"dtype", "torch_dtype"})
      if (const Json *value = part ? part->find(field) : nullptr)
        for (DType dtype : {DType::F32, DType::BF16, DType::F16})
          if (const std::string *name = value->asString();
              name && *name == torchName(dtype))
            return dtype;
  for (const TensorInfo &info : weights.tensors())
    if (info.dtype == DType::F32 || info.dtype == DType::F16 ||
        info.dtype == DType::BF16)
      return info.dtype;
    else if (info.dtype == DType::F8E4M3)
      return DType::BF16;
  return DType::BF16;
}

namespace {

struct Compilation {
  const ModelLibrary &library;
  const fs::path &folder;
  const OpenOptions &open;
  CompileOptions compile;
  std::optional<DType> dtype;
  const ProgramCache *cache;
  /// Of the program in the cache; none where no program can be kept.
  std::optional<DigestText> key = {};

  std::optional<RunnableModel> findCached();
  Expected<RunnableModel> compileNew();
};

/// A program that was compiled, and proved, for the same configuration and the
/// same tensors. None where there is no such program, and where anything is
/// wrong: the whole way then says what.
std::optional<RunnableModel> Compilation::findCached() {
  auto iteration = iterationFolder(folder, open.iteration);
  if (!iteration)
    return std::nullopt;
  auto weights = openWeights(*iteration, open.threads);
  if (!weights)
    return std::nullopt;
  if (!open.hfModel.empty())
    weights->config = open.hfModel / "config.json";
  auto config = Json::parseFile(weights->config);
  if (!config)
    return std::nullopt;
  CompileOptions asked = compile;
  asked.dtype = dtype.value_or(ownType(*config, *weights->set));
  key = programKey(library, weights->config, *weights->set, open, asked);
  if (!key)
    return std::nullopt;
  auto program = cache->find(*key);
  // A program under another one's name.
  if (!program || !checkConfig(*program, weights->config))
    return std::nullopt;
  auto model = RunnableModel::create(std::move(program), weights->format,
                                     std::move(weights->set), weights->name,
                                     weights->config.parent_path());
  return model ? std::optional(std::move(*model)) : std::nullopt;
}

Expected<RunnableModel> Compilation::compileNew() {
  MBC_ASSIGN(std::shared_ptr<Checkpoint> checkpoint,
             Checkpoint::open(library, folder, open));
  const TensorSet *megatron = checkpoint->megatronTensors();
  const TensorSet &weights = megatron ? *megatron : checkpoint->tensors();
  Json config;
  if (const Json *rebuilt = checkpoint->rebuiltConfig()) {
    config = *rebuilt;
  } else {
    MBC_ASSIGN(config, Json::parseFile(checkpoint->configPath()));
  }
  compile.dtype = dtype.value_or(ownType(config, weights));
  MBC_ASSIGN(program::ProgramT compiled, checkpoint->proved().compile(compile));
  // Through its bytes, as mbc-run would have it.
  std::vector<uint8_t> bytes = serializeProgram(compiled);
  MBC_ASSIGN(std::unique_ptr<program::ProgramT> program,
             parseProgram(bytes, "the program"));
  if (key)
    cache->store(*key, bytes);
  return RunnableModel::create(
      std::move(program), megatron ? PlanSide::Megatron : PlanSide::HuggingFace,
      std::shared_ptr<const TensorSet>(checkpoint, &weights),
      checkpoint->folder().string(), checkpoint->configPath().parent_path());
}

} // namespace

Expected<CompiledModel>
compileModel(const ModelLibrary &library, const fs::path &folder,
             const OpenOptions &open, CompileOptions compile,
             std::optional<DType> dtype, const ProgramCache *cache) {
  auto start = std::chrono::steady_clock::now();
  std::erase_if(compile.targets, [](const std::string &target) {
    return !findGpuTarget(target);
  });
  if (std::string_view target = host::codeTarget(); !target.empty())
    compile.targets.emplace_back(target);
  Compilation run{library, folder, open, std::move(compile), dtype, cache};
  std::optional<RunnableModel> found;
  if (cache && !cache->isOff())
    found = run.findCached();
  CompiledModel result;
  result.cached = found.has_value();
  if (!found) {
    MBC_ASSIGN(found, run.compileNew());
  }
  static_cast<RunnableModel &>(result) = std::move(*found);
  result.seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start)
          .count();
  return result;
}

} // namespace mbc
