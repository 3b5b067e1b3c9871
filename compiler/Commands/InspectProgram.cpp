//===- InspectProgram.cpp - What a program file holds ---------------------===//
#include "compiler/Commands/InspectProgram.h"

#include "runtime/commands/TextTable.h"
#include "runtime/core/DType.h"
#include "runtime/core/File.h"
#include "runtime/core/Text.h"
#include "runtime/program/GpuCode.h"
#include "runtime/program/Program.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace fs = std::filesystem;

namespace mbc {

bool isProgramFile(const fs::path &path) {
  // Bytes 4 to 7 of a flatbuffer are its identifier.
  char head[8] = {};
  auto file = File::openRead(path);
  return file && file->size() >= sizeof(head) &&
         file->readAt(0, std::as_writable_bytes(std::span(head))) &&
         std::string_view(head + 4, 4) == program::ProgramIdentifier();
}

Expected<Outcome> inspectProgram(const fs::path &path) {
  MBC_ASSIGN(auto program, readProgram(path));
  std::error_code code;
  uint64_t bytes = fs::file_size(path, code), weights = 0, weightBytes = 0;
  for (const auto &weight : program->weights) {
    weights += instancesOf(*weight);
    weightBytes += instancesOf(*weight) * bytesOf(*weight);
  }
  std::string dtype(torchName(static_cast<DType>(program->dtype)));
  std::vector<std::string> functions, states;
  Json functionList = Json::array(), stateList = Json::array(),
       architectures = Json::array();
  for (const auto &function : program->functions) {
    functions.push_back(function->name);
    functionList.push(function->name);
  }
  for (const auto &state : program->states) {
    states.push_back(state->path);
    stateList.push(state->path);
  }
  for (const std::string &name : program->architectures)
    architectures.push(name);

  Outcome outcome;
  TextTable facts;
  facts.row({"format", "program"});
  facts.row({"path", path.string()});
  facts.row({"model", program->model});
  facts.row({"architectures",
             fmt::format("{}", fmt::join(program->architectures, ", "))});
  facts.row({"dtype", dtype});
  facts.row({"length",
             fmt::format("{} tokens, {} {} at a time", program->length,
                         program->sequences,
                         program->sequences == 1 ? "sequence" : "sequences")});
  facts.row({"functions", fmt::format("{}", fmt::join(functions, ", "))});
  facts.row({"weights", fmt::format("{}, {}, not in the file", weights,
                                    sizeText(weightBytes))});
  facts.row({"states", fmt::format("{}", fmt::join(states, ", "))});
  facts.row({"kernels", fmt::format("{}", program->kernels.size())});
  std::vector<std::string> targets = codeNames(*program);
  facts.row({"code", targets.empty()
                         ? "none"
                         : fmt::format("{}", fmt::join(targets, ", "))});
  facts.row({"bytes", sizeText(bytes)});
  facts.row({"abi", fmt::format("{}", program->abi)});
  facts.row({"digest", program->digest});
  outcome.text = facts.text();
  outcome.json = Json::object({{"format", "program"},
                               {"path", path.string()},
                               {"model", program->model},
                               {"architectures", std::move(architectures)},
                               {"dtype", dtype},
                               {"length", program->length},
                               {"sequences", program->sequences},
                               {"functions", std::move(functionList)},
                               {"weights", weights},
                               {"weight_bytes", weightBytes},
                               {"states", std::move(stateList)},
                               {"kernels", program->kernels.size()},
                               {"bytes", bytes},
                               {"abi", program->abi},
                               {"digest", program->digest}});
  return outcome;
}

} // namespace mbc
