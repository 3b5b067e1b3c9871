//===- Score.cpp ----------------------------------------------------------===//

#include "runtime/host/Score.h"

#include <algorithm>
#include <fmt/format.h>

namespace mbc::host {

Status
score(Session &session, const program::ProgramT &program,
      std::span<const int32_t> tokens, int64_t batch, int64_t length,
      const std::function<Status(int64_t, std::span<const float>)> &sink) {
  std::vector<float> logits;
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
      logits.resize(call.rows * program.vocab);
      call.outputs["logits"] = logits;
      MBC_TRY(session.run(*function, call));
      MBC_TRY(sink(row, logits));
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
