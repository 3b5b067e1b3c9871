//===- LaunchAttention.cpp ------------------------------------------------===//

#include "runtime/cuda/Launcher.h"

#include <algorithm>
#include <fmt/format.h>
#include <utility>

namespace mbc::cuda {

/// Keys of a part. Long sequences with few rows are cut, so that there is work
/// for every processor.
constexpr int32_t partKeys = 256;
constexpr int64_t fewRows = 64;

static int32_t partsOf(int64_t rows, int64_t longest) {
  return rows > fewRows
             ? 1
             : static_cast<int32_t>((longest + partKeys - 1) / partKeys);
}

uint64_t Launcher::partialBytes(const AttentionArguments &arguments) const {
  if (std::optional<CudnnShape> shape = prefillShape(arguments))
    return *session.cudnn()->scratchFor(*shape);
  int64_t parts = partsOf(bound.rows, longest);
  return parts == 1 ? 0
                    : uint64_t(bound.rows) * arguments.kv * arguments.group *
                          parts * (arguments.width + 2) * sizeof(float);
}

Status Launcher::attend(AttentionArguments arguments, std::byte *work) {
  if (std::optional<CudnnShape> shape = prefillShape(arguments))
    return prefill(*shape, arguments, work);
  MBC_ASSIGN(bool done, flash(arguments));
  if (done)
    return {};
  struct Size {
    int keys, values, queries; ///< 32 elements each; queries of a block
  };
  constexpr Size sizes[] = {{2, 2, 8}, {4, 4, 8}, {8, 8, 4}, {18, 16, 2}};
  const Size *size = std::ranges::find_if(sizes, [&](const Size &of) {
    return arguments.first + arguments.second <= 32 * of.keys &&
           arguments.width <= 32 * of.values;
  });
  if (size == std::end(sizes))
    return inputError(fmt::format(
        "attention with keys of {} and values of {} elements does not run on "
        "GPUs; at most 576 and 512",
        arguments.first + arguments.second, arguments.width));
  arguments.part = partKeys;
  arguments.parts = partsOf(bound.rows, longest);
  arguments.partial = reinterpret_cast<float *>(work);
  const char *type = arguments.elem == Elem::BF16  ? "bf16"
                     : arguments.elem == Elem::F16 ? "f16"
                                                   : "f32";
  int64_t chunks = (arguments.group + size->queries - 1) / size->queries;
  Count count{counts(), 0, 1, 1};
  MBC_TRY(session.kernels->launch(
      fmt::format("mbc_attend_{}_{}", type, size->keys).c_str(),
      {.x = bound.rows,
       .y = arguments.kv * chunks,
       .z = arguments.parts,
       .threads = 128,
       .overlaps = true},
      arguments, count));
  if (arguments.parts == 1)
    return {};
  return session.kernels->launch("mbc_attend_parts",
                                 {.x = bound.rows,
                                  .y = int64_t(arguments.kv) * arguments.group,
                                  .threads = threadsFor(arguments.width),
                                  .overlaps = true},
                                 arguments, count);
}

/// What of an attention does not depend on where keys and values lie.
static AttentionArguments argumentsOf(const program::AttentionT &command,
                                      const View &q, const View &out) {
  AttentionArguments arguments{};
  arguments.q = q;
  arguments.out = out;
  arguments.kv = static_cast<int32_t>(q.dims[1]);
  arguments.group = static_cast<int32_t>(q.dims[2]);
  arguments.first = static_cast<int32_t>(q.dims[3]);
  arguments.width = static_cast<int32_t>(out.dims[3]);
  arguments.causal = command.causal;
  arguments.window = static_cast<int32_t>(command.window);
  arguments.scale = static_cast<float>(command.scale);
  return arguments;
}

Status Launcher::attention(const program::AttentionT &command, uint32_t layer) {
  if (std::exchange(attended, nullptr) == &command)
    return {};
  if (command.state < 0)
    return attentionOfParts(command);
  MBC_ASSIGN(bool done, decode(command, layer));
  if (done)
    return {};
  auto state = static_cast<size_t>(command.state);
  if (std::exchange(appended, nullptr) != &command)
    MBC_TRY(append(view(command.k), view(command.v), state, layer));
  const program::StateT &table = *program.states[state];
  AttentionArguments arguments =
      argumentsOf(command, view(command.q), view(command.out));
  arguments.keys = stateAt(state, 0, layer);
  arguments.values = stateAt(state, 1, layer);
  arguments.places = places();
  arguments.keySlot = table.widths[0];
  arguments.valueSlot = table.widths[1];
  arguments.keyHead = arguments.first;
  arguments.valueHead = arguments.width;
  arguments.elem = elemOf(table.dtype);
  MBC_ASSIGN(std::byte * work, session.scratch(partialBytes(arguments)));
  return attend(arguments, work);
}

/// The rows of the call are the state: nothing is remembered.
Status Launcher::attentionOfParts(const program::AttentionT &command) {
  View k = view(command.k), v = view(command.v);
  if (k.elem != v.elem)
    return inputError("attention with keys and values of two types does not "
                      "run on GPUs");
  const int32_t *ends = nullptr;
  if (command.ends >= 0) {
    auto index = static_cast<uint32_t>(command.ends);
    const program::ViewT &table = *function.views[index];
    auto rows = static_cast<size_t>(bound.rows);
    if (table.space == program::Space::Input) {
      repeats = false;
      MBC_TRY(checkParts(
          std::span<const int32_t>(bound.numbers[table.index]).first(rows)));
    }
    ends = static_cast<const int32_t *>(view(index).data);
  }
  AttentionArguments arguments =
      argumentsOf(command, view(command.q), view(command.out));
  arguments.keys = k.data;
  arguments.values = v.data;
  arguments.keySlot = k.strides[0];
  arguments.valueSlot = v.strides[0];
  arguments.keyHead = k.strides[1];
  arguments.valueHead = v.strides[1];
  arguments.elem = k.elem;
  severalParts = ends != nullptr;
  // A part has as many rows as the call at most.
  longest = bound.rows;
  uint64_t bytes = aligned(uint64_t(bound.rows) * sizeof(RowPlace));
  MBC_ASSIGN(std::byte * work,
             session.scratch(bytes + partialBytes(arguments)));
  auto *standing = reinterpret_cast<RowPlace *>(work);
  arguments.places = standing;
  constexpr unsigned threads = 128;
  MBC_TRY(session.kernels->launch("mbc_part_places",
                                  {.x = (bound.rows + threads - 1) / threads,
                                   .threads = threads,
                                   .overlaps = true},
                                  ends, standing, Count{counts(), 0, 1, 1}));
  return attend(arguments, work + bytes);
}

} // namespace mbc::cuda
