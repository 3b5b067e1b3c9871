//===- ProgramArguments.cpp -----------------------------------------------===//
#include "runtime/commands/ProgramArguments.h"

namespace mbc {

void ProgramArguments::declare(RunCommand &command) {
  command.argument("PROGRAM", program, "The file that 'mbc compile' made")
      .option("--weights", weights, "DIR",
              "Hugging Face folder, or Megatron torch_dist checkpoint", true);
}

Expected<RunnableModel>
ProgramArguments::open(const BaseOptions &common) const {
  std::string folder = weights;
  MBC_TRY(resolveInPlace(folder));
  return openModel(program, folder, common.threads);
}

} // namespace mbc
