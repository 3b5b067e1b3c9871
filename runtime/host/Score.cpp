//===- Score.cpp ----------------------------------------------------------===//

#include "runtime/host/Score.h"

#include <algorithm>
#include <fmt/format.h>

namespace mbc::host {

Status score(Session &session, const program::ProgramT &program,
             std::span<const int32_t> tokens, int64_t batch, int64_t length,
             const std::function<Status(int64_t, const Outputs &)> &sink) {
  std::map<std::string, std::vector<float>> arrays;
  for (int64_t first = 0; first < batch;) {
    // Sequences that one call holds whole go together: a row has the same bits
    // in any company.
    int64_t together = std::min(batch - first, session.slots() / length);
    const program::FunctionT *function =
        findFunction(program, scoreFunction, together * length);
    if (!function)
      return inputError(fmt::format("the program has no function '{}'; "
                                    "compile it with --chunk",
                                    scoreFunction));
    together = std::clamp<int64_t>(function->rows / length, 1, together);
    for (int64_t at = 0; at < length;) {
      Call call;
      int64_t count = std::min<int64_t>(function->rows, length - at);
      call.rows = together * count;
      for (int64_t i = 0; i < together; ++i)
        call.sequences.push_back({i * count, count, i * length, at});
      int64_t row = first * length + at;
      call.inputs["tokens"] = tokens.subspan(row, call.rows);
      for (const auto &port : function->outputs) {
        int64_t width = 1;
        for (size_t i = 1; i < port->dims.size(); ++i)
          width *= port->dims[i];
        // Zero where a layer has no such value.
        std::vector<float> &array = arrays[port->name];
        array.assign(call.rows * width, 0);
        call.outputs[port->name] = array;
      }
      MBC_TRY(session.run(*function, call));
      MBC_TRY(sink(row, call.outputs));
      at += count;
    }
    first += together;
  }
  return {};
}

int64_t scoreSlots(const program::ProgramT &program, int64_t batch,
                   int64_t length) {
  int64_t most = 0;
  for (const auto &function : program.functions)
    if (kindOf(*function) == scoreFunction)
      most = std::max<int64_t>(most, function->rows);
  return length * std::clamp<int64_t>(most / length, 1, batch);
}

} // namespace mbc::host
