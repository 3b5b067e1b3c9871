//===- ReferenceOptions.cpp -----------------------------------------------===//
#include "compiler/Commands/ReferenceOptions.h"

namespace mbc {

void ReferenceOptions::declareIteration(Command &command,
                                        std::string &iteration) {
  command.option("--iteration", iteration, "N",
                 "Of a Megatron checkpoint with several iterations, the folder "
                 "iter_N (default: the one that its tracker names)");
}

void ReferenceOptions::declare(Command &command, const char *hfModelHelp) {
  command.option("--hf-model", hfModel, "DIR", hfModelHelp)
      .option("--model", model, "NAME",
              "The declared model that the checkpoint holds, where several fit "
              "('mbc models' lists them)")
      .option("--vocab-size", vocabulary, "N",
              "Rows of the vocabulary without padding, where Megatron's "
              "configuration does not say");
  declareIteration(command, iteration);
}

Expected<OpenOptions>
ReferenceOptions::openOptions(const CommonOptions &common) const {
  OpenOptions open;
  MBC_TRY(addTo(open));
  std::string folder = hfModel;
  MBC_TRY(resolveInPlace(folder));
  open.hfModel = folder;
  open.config = common.config;
  open.threads = common.threads;
  return open;
}

Expected<std::optional<uint64_t>> parseIteration(std::string_view text) {
  if (text.empty())
    return std::nullopt;
  MBC_ASSIGN(uint64_t number,
             parseCount("--iteration", text, 0, uint64_t(1) << 62));
  return number;
}

} // namespace mbc
