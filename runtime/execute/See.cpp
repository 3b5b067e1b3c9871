//===- See.cpp ------------------------------------------------------------===//

#include "runtime/execute/See.h"

#include <algorithm>
#include <fmt/format.h>
#include <limits>

namespace mbc::execute {

int64_t patchNumbers(const program::VisionT &vision) {
  return int64_t(vision.channels) * vision.frames * vision.patch * vision.patch;
}

/// The pictures from `first` on that go together into `rows` patches.
static size_t together(std::span<const PatchGrid> grids, size_t first,
                       int64_t rows) {
  size_t count = 0;
  for (int64_t left = rows; first + count < grids.size(); ++count)
    if ((left -= patchesOf(grids[first + count])) < 0)
      break;
  return count;
}

Expected<std::vector<float>> see(Session &session,
                                 const program::ProgramT &program,
                                 std::span<const float> pixels,
                                 std::span<const PatchGrid> grids) {
  const program::FunctionT *largest =
      findFunction(program, seeFunction, std::numeric_limits<uint32_t>::max());
  if (!program.vision || !largest)
    return inputError(fmt::format("the program has no function '{}'; compile a "
                                  "model that sees, with --patches",
                                  seeFunction));
  int64_t width = patchNumbers(*program.vision), patches = 0;
  for (const PatchGrid &grid : grids) {
    MBC_TRY(checkGrid(grid, *program.vision));
    patches += patchesOf(grid);
    if (patchesOf(grid) > largest->rows)
      return inputError(fmt::format(
          "a picture of {} x {} x {} patches is more than the {} that the "
          "program takes; compile it with --patches {}",
          grid.frames, grid.rows, grid.columns, largest->rows,
          patchesOf(grid)));
  }
  if (static_cast<int64_t>(pixels.size()) != patches * width)
    return inputError(
        fmt::format("{} pixel values for {} patches of {}, expected {}",
                    pixels.size(), patches, width, patches * width));

  std::vector<float> features, rows;
  for (size_t first = 0; first < grids.size();) {
    auto some = grids.subspan(first, together(grids, first, largest->rows));
    PatchLayout layout = layoutPatches(some, *program.vision);
    rows.clear();
    for (int32_t row : layout.rows) {
      auto patch = pixels.subspan(row * width, width);
      rows.insert(rows.end(), patch.begin(), patch.end());
    }
    Call call;
    call.rows = static_cast<int64_t>(layout.rows.size());
    const program::FunctionT &function =
        *findFunction(program, seeFunction, call.rows);
    call.floats["pixels"] = rows;
    call.inputs["grid"] = layout.grid;
    call.inputs["windows"] = layout.windows;
    call.inputs["pictures"] = layout.pictures;
    call.inputs["order"] = layout.order;
    const program::PortT &port = *function.outputs[0];
    size_t known = features.size();
    features.resize(known + layout.order.size() * port.dims.back());
    call.outputs[port.name] = std::span(features).subspan(known);
    MBC_TRY(session.run(function, call));
    pixels = pixels.subspan(call.rows * width);
    first += some.size();
  }
  return features;
}

} // namespace mbc::execute
