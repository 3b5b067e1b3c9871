//===- GenerationProgram.cpp ----------------------------------------------===//
#include "compiler/Commands/GenerationProgram.h"

#include "compiler/Bridge/Iteration.h"
#include "compiler/Commands/ProgramOptions.h"
#include "runtime/program/WeightFolder.h"

#include <algorithm>
#include <fmt/format.h>

namespace mbc {

void GenerationProgram::declare(Command &command) {
  command.argument("DIR", folder, "Hugging Face folder, or Megatron checkpoint")
      .computeType(dtype, "what config.json says");
  declareWeightType(command, weightType);
  command
      .option("--chunk", chunk, "N",
              "Tokens that one step computes at most (default: 512, on a GPU "
              "4096)")
      .noCache(noCache);
  reference.declare(command,
                    "Take config.json, tokenizer and settings from here, not "
                    "from the checkpoint's record");
}

/// Where tokenizer and processors are, as far as that is known before the
/// checkpoint is opened: a legacy one is not looked into.
static std::filesystem::path sideFilesOf(const std::string &source,
                                         const OpenOptions &open) {
  if (!open.hfModel.empty())
    return open.hfModel;
  auto iteration = iterationFolder(source, open.iteration);
  if (!iteration)
    return source;
  auto weights = openWeights(*iteration, open.threads);
  return weights ? weights->config.parent_path() : *iteration;
}

Expected<CompiledModel>
GenerationProgram::open(uint64_t sequences, uint64_t length, uint64_t drafts,
                        const CountPatches &patches,
                        const execute::Device &device,
                        const CommonOptions &common) const {
  MBC_ASSIGN(ProgramCache cache, ProgramCache::fromEnvironment());
  MBC_ASSIGN(std::optional<DType> type, parseDType("--dtype", dtype));
  CompileOptions compile;
  MBC_ASSIGN(compile.scaledWeights, parseWeightType(weightType));
  compile.sequences = {sequences};
  compile.drafts = drafts;
  // The same for every prompt, so that few programs do for all.
  uint64_t together = sequences * (1 + drafts),
           rows = device.isGpu() ? defaultGpuChunk : defaultChunk;
  if (!chunk.empty()) {
    MBC_ASSIGN(rows, parseCount("--chunk", chunk, 1, mostRows));
    if (rows < together)
      return inputError(fmt::format(
          "option '--chunk' is {}, expected at least the {} {} that are "
          "computed at a time",
          rows, together, drafts ? "tokens and drafts" : "sequences"));
  } else if (drafts) {
    rows = std::max(rows, together);
  }
  compile.chunks = {rows};
  MBC_ASSIGN(std::string target, execute::codeTarget(device));
  if (!target.empty())
    compile.targets.push_back(std::move(target));
  compile.length = length;
  ModelLibrary library;
  MBC_TRY(common.load(library));
  MBC_ASSIGN(OpenOptions open, reference.openOptions(common));
  std::string source = folder;
  MBC_TRY(resolveInPlace(source));
  MBC_ASSIGN(uint64_t seen, patches(sideFilesOf(source, open)));
  if (seen > 0)
    compile.patches = {seen};
  return compileModel(library, source, open, std::move(compile), type,
                      noCache ? nullptr : &cache);
}

} // namespace mbc
