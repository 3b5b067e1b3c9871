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
  for (int64_t b = 0; b < batch; ++b)
    for (int64_t at = 0; at < length;) {
      const program::FunctionT *function =
          findFunction(program, scoreFunction, length - at);
      if (!function)
        return inputError(fmt::format("the program has no function '{}'; "
                                      "compile it with --chunk",
                                      scoreFunction));
      Call call;
      call.rows = std::min<int64_t>(function->rows, length - at);
      call.sequences = {{0, call.rows, 0, at}};
      call.inputs["tokens"] = tokens.subspan(b * length + at, call.rows);
      logits.resize(call.rows * program.vocab);
      call.outputs["logits"] = logits;
      MBC_TRY(session.run(*function, call));
      MBC_TRY(sink(b * length + at, logits));
      at += call.rows;
    }
  return {};
}

} // namespace mbc::host
