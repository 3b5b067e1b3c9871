//===- Call.cpp -----------------------------------------------------------===//

#include "runtime/program/Call.h"

#include <algorithm>
#include <fmt/format.h>

namespace mbc {

/// An input of which a call may have any number of rows.
static constexpr const char *featuresInput = "features";

/// Whether commands append to the state.
static bool keepsState(const program::BodyT &body) {
  return std::ranges::any_of(body.commands, [](const auto &command) {
    if (const auto *repeat = command->op.AsRepeat())
      return std::ranges::any_of(
          repeat->bodies, [](const auto &inner) { return keepsState(*inner); });
    const auto *attention = command->op.AsAttention();
    return command->op.AsLatentAttention() ||
           (attention && attention->state >= 0);
  });
}

static Status checkSequences(const program::FunctionT &function,
                             const Call &call, int64_t slots) {
  if (call.sequences.empty() && !keepsState(*function.body))
    return {};
  int64_t next = 0;
  for (const Sequence &sequence : call.sequences) {
    if (sequence.begin != next || sequence.count <= 0)
      return inputError(fmt::format(
          "the sequences of a call to '{}' have a gap", function.name));
    next += sequence.count;
    if (sequence.slot < 0 || sequence.cached < 0 ||
        sequence.slot + sequence.cached + sequence.count > slots)
      return inputError(fmt::format(
          "a sequence of {} tokens does not fit the {} that the state holds",
          sequence.cached + sequence.count, slots));
  }
  if (next != call.rows)
    return inputError(fmt::format("the sequences of a call to '{}' have {} "
                                  "tokens, expected {}",
                                  function.name, next, call.rows));
  return {};
}

/// Numbers of a row.
static int64_t widthOf(const program::PortT &port) {
  int64_t width = 1;
  for (size_t i = 1; i < port.dims.size(); ++i)
    width *= port.dims[i];
  return width;
}

/// The floats of an input: of every row, or of some features.
static Expected<std::span<const float>>
floatsOf(const program::FunctionT &function, const program::PortT &port,
         const Call &call, const BoundCall &bound) {
  bool features = port.name == featuresInput;
  std::span<const float> values;
  if (auto found = call.floats.find(port.name); found != call.floats.end())
    values = found->second;
  else if (!features)
    return inputError(
        fmt::format("'{}' needs the input '{}'", function.name, port.name));
  uint64_t width = widthOf(port), numbers = values.size(),
           expected =
               width * (features ? port.dims[0]
                                 : rowsOf(function, bound, port.dims[0]));
  if (features ? numbers > expected || numbers % width != 0
               : numbers != expected)
    return inputError(fmt::format(
        "input '{}' of '{}' has {} numbers, expected {}{}", port.name,
        function.name, numbers, features ? "at most " : "", expected));
  return values;
}

/// Rows that become one come together.
static Status checkMerged(const program::FunctionT &function, int64_t rows) {
  for (const auto *ports : {&function.inputs, &function.outputs})
    for (const auto &port : *ports)
      if (port->name == "outputs")
        return {};
  for (const auto &port : function.outputs)
    if (int64_t merged = function.rows / port->dims[0];
        function.rows % port->dims[0] == 0 && rows % merged != 0)
      return inputError(fmt::format("'{}' takes rows in groups of {}, found {}",
                                    function.name, merged, rows));
  return {};
}

Expected<BoundCall> bindCall(const program::ProgramT &program,
                             const program::FunctionT &function,
                             const Call &call, int64_t slots) {
  if (call.rows <= 0 || call.rows > function.rows)
    return inputError(fmt::format("'{}' takes 1 to {} rows, found {}",
                                  function.name, function.rows, call.rows));
  MBC_TRY(checkSequences(function, call, slots));
  BoundCall bound;
  bound.rows = call.rows;
  MBC_TRY(checkMerged(function, call.rows));
  for (const auto &port : function.inputs) {
    int64_t width = widthOf(*port);
    std::vector<int32_t> &values = bound.numbers.emplace_back();
    std::span<const float> &floats = bound.floats.emplace_back();
    if (port->dtype != plan::DType::I32) {
      MBC_ASSIGN(floats, floatsOf(function, *port, call, bound));
      bound.given.push_back(static_cast<int64_t>(floats.size()) / width);
      continue;
    }
    auto given = call.inputs.find(port->name);
    if (given != call.inputs.end()) {
      values.assign(given->second.begin(), given->second.end());
    } else if (port->name == "positions") {
      // Every number of a position is the place in the sequence.
      for (const Sequence &sequence : call.sequences)
        for (int64_t i = 0; i < sequence.count; ++i)
          values.insert(values.end(), width,
                        static_cast<int32_t>(sequence.cached + i));
    } else if (port->name == "place") {
      values.assign(call.rows, noPlace);
    } else {
      return inputError(
          fmt::format("'{}' needs the input '{}'", function.name, port->name));
    }
    int64_t capacity = width * port->dims[0];
    // Of every row, or of some: what the caller asks for is a list.
    bool asked = port->name == "outputs" && port->dims[0] != function.rows;
    int64_t expected =
        asked ? capacity : width * rowsOf(function, bound, port->dims[0]);
    auto found = static_cast<int64_t>(values.size());
    if (asked ? found > expected || found % width != 0 : found != expected)
      return inputError(fmt::format(
          "input '{}' of '{}' has {} numbers, expected {}{}", port->name,
          function.name, values.size(), asked ? "at most " : "", expected));
    bound.given.push_back(found / width);
    if (port->name == "outputs") {
      bound.outputs = static_cast<int64_t>(values.size());
      for (int32_t row : values)
        if (row < 0 || row >= call.rows)
          return inputError(fmt::format("output row {} of {}", row, call.rows));
    }
    if (port->name == "tokens")
      for (int32_t token : values)
        if (token < 0 || static_cast<uint32_t>(token) >= program.vocab)
          return inputError(
              fmt::format("token {} is outside of the vocabulary of {}", token,
                          program.vocab));
    values.resize(capacity);
  }
  for (const auto &port : function.outputs) {
    uint64_t elements = 1;
    for (uint32_t dim : port->dims)
      elements *= dim;
    uint64_t width = elements / port->dims[0];
    if (auto one = call.oneLayer.find(port->name); one != call.oneLayer.end()) {
      if (port->dims.size() < 2 || one->second >= port->dims[1])
        return inputError(fmt::format("output '{}' of '{}' has no layer {}",
                                      port->name, function.name, one->second));
      width /= port->dims[1];
    }
    int64_t rows = rowsOf(function, bound, port->dims[0]);
    if (auto ids = call.chosen.find(port->name); ids != call.chosen.end()) {
      if (static_cast<int64_t>(ids->second.size()) != rows)
        return inputError(fmt::format(
            "output '{}' of '{}' needs room for the tokens of {} rows",
            port->name, function.name, rows));
      if (!call.drawings.empty() && call.drawings.size() != ids->second.size())
        return inputError(fmt::format(
            "output '{}' of '{}' needs settings for {} tokens, found {}",
            port->name, function.name, rows, call.drawings.size()));
      continue;
    }
    auto given = call.outputs.find(port->name);
    if (given == call.outputs.end() ||
        given->second.size() != width * static_cast<uint64_t>(rows))
      return inputError(fmt::format(
          "output '{}' of '{}' needs room for {} numbers", port->name,
          function.name, width * static_cast<uint64_t>(rows)));
  }
  return bound;
}

int64_t rowsOf(const program::FunctionT &function, const BoundCall &call,
               int64_t most) {
  int64_t rows = function.rows;
  if (most % rows == 0)
    return call.rows * (most / rows);
  if (call.outputs)
    return std::min(call.outputs, most);
  return rows % most == 0 ? call.rows / (rows / most) : most;
}

Status checkParts(std::span<const int32_t> ends) {
  auto rows = static_cast<int64_t>(ends.size());
  for (int64_t begin = 0; begin < rows;) {
    int64_t behind = ends[begin];
    bool whole = behind > begin && behind <= rows;
    for (int64_t row = begin; whole && row < behind; ++row)
      whole = ends[row] == behind;
    if (!whole)
      return inputError(fmt::format("the part of row {} ends at {} of {} rows",
                                    begin, behind, rows));
    begin = behind;
  }
  return {};
}

} // namespace mbc
