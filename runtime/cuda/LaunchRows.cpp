//===- LaunchRows.cpp -----------------------------------------------------===//

#include "runtime/cuda/Launcher.h"

#include "runtime/program/RopeFrequencies.h"

#include <algorithm>
#include <fmt/format.h>

namespace mbc::cuda {

Status Launcher::embed(const program::EmbedT &command) {
  View out = view(command.out), table = view(command.table);
  auto *ids = static_cast<const int32_t *>(view(command.ids).data);
  return session.kernels->launch(
      "mbc_embed",
      {.x = rowsIn(out), .threads = threadsFor(out.dims[1]), .overlaps = true},
      ids, table, out, countOf(out));
}

Status Launcher::take(const program::TakeT &command) {
  View out = view(command.out), x = view(command.x);
  auto *rows = static_cast<const int32_t *>(view(command.rows).data);
  return session.kernels->launch(
      "mbc_take",
      {.x = rowsIn(out), .threads = threadsFor(out.dims[1]), .overlaps = true},
      x, rows, out, countOf(out));
}

Status Launcher::place(const program::PlaceT &command) {
  View out = view(command.out), features = view(command.features);
  const program::ViewT &from = *function.views[command.features],
                       &list = *function.views[command.places];
  // The caller says which; what he did not give is not read.
  if (from.space == program::Space::Input &&
      list.space == program::Space::Input) {
    repeats = false;
    int64_t given = bound.given[from.index];
    auto rows = static_cast<size_t>(bound.rows);
    for (int32_t row :
         std::span<const int32_t>(bound.numbers[list.index]).first(rows))
      if (row != noPlace && (row < 0 || row >= given))
        return inputError(
            fmt::format("row {} of {} features is placed", row, given));
  }
  auto *places = static_cast<const int32_t *>(view(command.places).data);
  return session.kernels->launch(
      "mbc_place",
      {.x = rowsIn(out), .threads = threadsFor(out.dims[1]), .overlaps = true},
      features, places, out, countOf(out));
}

Status Launcher::copy(const View &from, const View &to, Count count,
                      int64_t rows) {
  int64_t width = 1;
  for (int i = 1; i < to.rank; ++i)
    width *= to.dims[i];
  return session.kernels->launch(
      "mbc_copy", {.x = rows, .threads = threadsFor(width), .overlaps = true},
      from, to, count);
}

Status Launcher::tap(const program::TapT &command, uint32_t layer) {
  View from = view(command.from), to = view(command.to);
  const program::ViewT &table = *function.views[command.to];
  auto only = call.oneLayer.find(function.outputs[table.index]->name);
  if (only == call.oneLayer.end())
    to.data = static_cast<std::byte *>(to.data) +
              layer * to.strides[1] * elemBytes(to.elem);
  else if (only->second != layer)
    return {};
  // The layer's dimension goes.
  for (int i = 1; i + 1 < to.rank; ++i) {
    to.dims[i] = to.dims[i + 1];
    to.strides[i] = to.strides[i + 1];
  }
  --to.rank;
  return copy(from, to, countOf(from), rowsIn(from));
}

Status Launcher::angles(const program::AnglesT &command) {
  const program::RopeT &rope = *program.ropes[command.rope];
  View positions = view(command.positions), out = view(command.out);
  Memory &memory = session.ropes[command.rope];
  if (rope.dynamic) {
    repeats = false;
    const program::ViewT &table = *function.views[command.positions];
    const std::vector<int32_t> &numbers = bound.numbers[table.index];
    int64_t length =
        1 +
        *std::max_element(numbers.begin(),
                          numbers.begin() + bound.rows * positions.strides[0]);
    int64_t &known = session.ropeLengths[command.rope];
    known = longestLength(rope, known, length, call.sequences);
    std::vector<float> grown =
        known > rope.original ? dynamicFrequencies(rope, known) : rope.inv_freq;
    MBC_TRY(session.gpu->upload(memory.data(), grown.data(), grown.size() * 4,
                                "copying frequencies"));
    // They leave pageable memory, which goes.
    MBC_TRY(session.gpu->wait("copying frequencies"));
  }
  auto *frequencies = reinterpret_cast<const float *>(memory.data());
  auto pairs = static_cast<int>(rope.inv_freq.size());
  auto *axis = rope.axis.empty()
                   ? nullptr
                   : reinterpret_cast<const uint8_t *>(frequencies + pairs);
  return session.kernels->launch(
      "mbc_angles",
      {.x = rowsIn(out), .threads = threadsFor(pairs), .overlaps = true},
      frequencies, axis, pairs, rope.attention_factor, positions, out,
      countOf(out));
}

Status Launcher::rows(const program::RowsT &command) {
  if (isFused(command))
    return {};
  if (session.runsGenerated && command.gpu >= 0)
    return generatedRows(command);
  RowArguments arguments{};
  if (command.operands.size() > RowArguments::maxOperands)
    return inputError(
        fmt::format("a fused operation has {} operands, of which a GPU takes "
                    "at most {}",
                    command.operands.size(), RowArguments::maxOperands));
  const program::RowKernelT &kernel = *program.kernels[command.kernel];
  Count count{counts(), 0, 1, 1};
  int64_t rows = bound.rows;
  for (size_t i = 0; i < command.operands.size(); ++i) {
    View &operand = arguments.operands[i] = view(command.operands[i]);
    if (!operand.shared) {
      count = countOf(operand);
      rows = rowsIn(operand);
    }
  }
  arguments.steps =
      reinterpret_cast<const RowStep *>(session.steps[command.kernel].data());
  arguments.count = static_cast<int32_t>(kernel.steps.size());
  arguments.total = session.stepFloats[command.kernel];
  // A block a row, as long as they all fit at once.
  constexpr int64_t mostBlocks = 1024;
  constexpr unsigned mostShared = 96 * 1024;
  Shape shape{
      .x = std::min(rows, mostBlocks), .threads = 256, .overlaps = true};
  uint64_t bytes = uint64_t(arguments.total) * sizeof(float);
  if (bytes <= mostShared) {
    shape.shared = static_cast<unsigned>(bytes);
  } else {
    MBC_ASSIGN(std::byte * work, session.scratch(bytes * shape.x));
    arguments.scratch = reinterpret_cast<float *>(work);
  }
  return session.kernels->launch("mbc_rows", shape, arguments, count);
}

} // namespace mbc::cuda
