//===- GenerationProgram.cpp ----------------------------------------------===//
#include "compiler/Commands/GenerationProgram.h"

#include "compiler/Commands/ProgramOptions.h"

#include <fmt/format.h>

namespace mbc {

void GenerationProgram::declare(Command &command) {
  command.argument("DIR", folder, "Hugging Face folder, or Megatron checkpoint")
      .computeType(dtype, "what config.json says")
      .option("--chunk", chunk, "N",
              "Tokens that one step computes at most (default: 512)")
      .noCache(noCache);
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
  MBC_ASSIGN(OpenOptions open, reference.openOptions(common));
  std::string source = folder;
  MBC_TRY(resolveInPlace(source));
  return compileModel(library, source, open, std::move(compile), type,
                      noCache ? nullptr : &cache);
}

} // namespace mbc
