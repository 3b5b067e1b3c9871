//===- LaunchDraw.cpp -----------------------------------------------------===//

#include "runtime/cuda/Launcher.h"

namespace mbc::cuda {

Status Launcher::draw(const float *logits, int64_t vocab, int64_t rows) {
  int64_t parts = (vocab + DrawArguments::part - 1) / DrawArguments::part;
  DrawArguments given{};
  given.logits = logits;
  given.vocab = vocab;
  given.drawings =
      reinterpret_cast<const Drawing *>(session.ports.data() + drawingsOffset);
  given.chosen = reinterpret_cast<ChosenToken *>(session.chosen.data());
  MBC_ASSIGN(given.rows, session.drawRows(rows));
  MBC_ASSIGN(std::byte * work, session.scratch(rows * parts * sizeof(Mass)));
  given.partWeights = reinterpret_cast<Mass *>(work);
  for (const char *kernel : {"mbc_draw_count", "mbc_draw_cut", "mbc_draw"})
    MBC_TRY(session.kernels->launch(
        kernel, {.x = parts, .y = rows, .threads = 256, .overlaps = true},
        given));
  return {};
}

} // namespace mbc::cuda
