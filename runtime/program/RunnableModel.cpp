//===- RunnableModel.cpp --------------------------------------------------===//
#include "runtime/program/RunnableModel.h"

#include "runtime/program/Program.h"
#include "runtime/program/WeightFolder.h"

namespace mbc {

Expected<RunnableModel>
RunnableModel::create(std::unique_ptr<program::ProgramT> program,
                      PlanSide format, std::shared_ptr<const TensorSet> weights,
                      const std::string &name,
                      std::filesystem::path sideFiles) {
  RunnableModel model;
  MBC_ASSIGN(model.source,
             WeightSource::create(*program, format, *weights, name));
  model.program = std::move(program);
  model.weights = std::move(weights);
  model.sideFiles = std::move(sideFiles);
  return model;
}

Expected<RunnableModel> openModel(const std::filesystem::path &program,
                                  const std::filesystem::path &weights,
                                  unsigned threads) {
  MBC_ASSIGN(auto parsed, readProgram(program));
  MBC_ASSIGN(WeightFolder folder, openWeights(weights, threads));
  MBC_TRY(checkConfig(*parsed, folder.config));
  // What another program saved has no record of its source.
  std::error_code code;
  std::filesystem::path sideFiles = std::filesystem::exists(folder.config, code)
                                        ? folder.config.parent_path()
                                        : std::filesystem::path(folder.name);
  return RunnableModel::create(std::move(parsed), folder.format,
                               std::move(folder.set), folder.name,
                               std::move(sideFiles));
}

} // namespace mbc
