//===- GenerationProgram.cpp ----------------------------------------------===//
#include "compiler/Commands/GenerationProgram.h"

#include "compiler/Commands/ProgramOptions.h"

#include <fmt/format.h>

namespace mbc {

void GenerationProgram::declare(Command &command) {
  command.argument("DIR", folder, "Hugging Face folder, or Megatron checkpoint")
      .option("--dtype", dtype, "DTYPE",
              "Compute with float32, bfloat16 or float16 weights and "
              "activations (default: what config.json says); sums are float32")
      .option("--chunk", chunk, "N",
              "Tokens that one step computes at most (default: 512)")
      .flag("--no-cache", noCache,
            "Compile, whether or not the program is kept from an earlier run, "
            "and keep none; as MBC_CACHE=off. 'mbc cache --help' says more");
  reference.declare(command,
                    "Take config.json, tokenizer and settings from here, not "
                    "from the checkpoint's record");
}

Expected<CompiledModel>
GenerationProgram::open(uint64_t sequences, uint64_t length,
                        const CommonOptions &common) const {
  MBC_ASSIGN(ProgramCache cache, ProgramCache::fromEnvironment());
  MBC_ASSIGN(std::optional<DType> type, parseDType("--dtype", dtype));
  CompileOptions compile;
  compile.sequences = {sequences};
  // The same for every prompt, so that few programs do for all.
  uint64_t rows = defaultChunk;
  if (!chunk.empty()) {
    MBC_ASSIGN(rows, parseCount("--chunk", chunk, 1, mostRows));
    if (rows < sequences)
      return inputError(fmt::format(
          "option '--chunk' is {}, expected at least the {} sequences that are "
          "computed at a time",
          rows, sequences));
  }
  compile.chunks = {rows};
  compile.length = length;
  ModelLibrary library;
  MBC_TRY(common.load(library));
  OpenOptions open;
  open.config = common.config;
  ReferenceOptions found = reference;
  MBC_TRY(resolveInPlace(found.hfModel));
  MBC_TRY(found.addTo(open));
  open.threads = common.threads;
  std::string source = folder;
  MBC_TRY(resolveInPlace(source));
  return compileModel(library, source, open, std::move(compile), type,
                      noCache ? nullptr : &cache);
}

} // namespace mbc
