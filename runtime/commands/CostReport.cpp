//===- CostReport.cpp -----------------------------------------------------===//
#include "runtime/commands/CostReport.h"

#include "runtime/commands/TextTable.h"
#include "runtime/core/Text.h"
#include "runtime/io/NumberText.h"
#include "runtime/program/GpuCode.h"

#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>

namespace mbc {

static void addParts(const ProgramCost &cost, TextTable &table, Json &json) {
  table.row({"a layer and token", "layers", "FLOPs", "a token before it",
             "moved", "weights", "state"});
  PartCost sum{"in all"};
  auto add = [&](const PartCost &part, std::string layers) {
    table.row({part.name, std::move(layers), groupedNumber(part.flops),
               groupedNumber(part.attentionFlops), sizeText(part.movedBytes),
               sizeText(part.weightBytes), sizeText(part.stateBytes)});
  };
  json = Json::array();
  for (const PartCost &part : cost.parts) {
    add(part, groupedNumber(part.layers));
    sum.flops += part.flops * part.layers;
    sum.attentionFlops += part.attentionFlops * part.layers;
    sum.movedBytes += part.movedBytes * part.layers;
    sum.weightBytes += part.weightBytes * part.layers;
    sum.stateBytes += part.stateBytes * part.layers;
    json.push(Json::object({{"name", part.name},
                            {"layers", part.layers},
                            {"flops", part.flops},
                            {"attention_flops", part.attentionFlops},
                            {"moved_bytes", part.movedBytes},
                            {"weight_bytes", part.weightBytes},
                            {"state_bytes", part.stateBytes}}));
  }
  add(sum, "");
}

static void addFunctions(const ProgramCost &cost, TextTable &table,
                         Json &json) {
  table.row({"function", "tokens", "scratch", "inputs and outputs"});
  json = Json::array();
  const FunctionCost &largest =
      *std::ranges::max_element(cost.functions, {}, &FunctionCost::arena);
  for (const FunctionCost &function : cost.functions) {
    table.row({function.name, groupedNumber(function.rows),
               sizeText(function.arena), sizeText(function.ports)});
    Json buffers = Json::array();
    for (const BufferCost &buffer : function.largest) {
      Json dims = Json::array();
      for (uint32_t dim : buffer.dims)
        dims.push(dim);
      buffers.push(Json::object({{"bytes", buffer.bytes},
                                 {"dtype", buffer.dtype},
                                 {"shape", std::move(dims)},
                                 {"origin", buffer.origin}}));
      // The others' are alike, and smaller.
      if (&function == &largest)
        table.note(fmt::format("  {} {} [{}] {}", sizeText(buffer.bytes),
                               buffer.dtype, fmt::join(buffer.dims, ", "),
                               buffer.origin));
    }
    json.push(Json::object({{"name", function.name},
                            {"tokens", function.rows},
                            {"arena_bytes", function.arena},
                            {"port_bytes", function.ports},
                            {"largest_buffers", std::move(buffers)}}));
  }
}

void reportCost(const program::ProgramT &program, bool tables,
                Outcome &outcome) {
  ProgramCost cost = costOf(program);
  TextTable parts({1, 2, 3, 4, 5, 6}), functions({1, 2, 3});
  Json partList, functionList;
  addParts(cost, parts, partList);
  addFunctions(cost, functions, functionList);
  const MemoryLayout &memory = cost.memory;
  outcome.json.set("parts", std::move(partList));
  outcome.json.set("functions", std::move(functionList));
  outcome.json.set("memory", Json::object({{"state_tokens", cost.slots},
                                           {"weight_bytes", memory.weights},
                                           {"state_bytes", memory.states},
                                           {"arena_bytes", memory.arena},
                                           {"port_bytes", memory.ports},
                                           {"peak_bytes", memory.total()}}));
  std::vector<std::string> code = codeNames(program);
  Json codeList = Json::array();
  for (const std::string &name : code)
    codeList.push(name);
  outcome.json.set("code", std::move(codeList));
  if (!tables)
    return;
  outcome.text += "\n" + parts.text() + "\n" + functions.text();
  outcome.text += fmt::format(
      "\npeak memory {}: weights {}, a state of {} tokens ({} of {}) {}, "
      "scratch {}, inputs and outputs {}\n",
      sizeText(memory.total()), sizeText(memory.weights),
      groupedNumber(cost.slots), groupedNumber(program.sequences),
      groupedNumber(program.length), sizeText(memory.states),
      sizeText(memory.arena), sizeText(memory.ports));
  outcome.text += fmt::format(
      "code of fused operations: {}\n",
      code.empty() ? "none" : fmt::format("{}", fmt::join(code, ", ")));
}

} // namespace mbc
