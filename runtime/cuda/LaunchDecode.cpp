//===- LaunchDecode.cpp ---------------------------------------------------===//

#include "runtime/cuda/Launcher.h"

#include <algorithm>
#include <fmt/format.h>

namespace mbc::cuda {

/// Whether rows of heads can be read in pieces of 16 bytes.
static bool inWholePieces(const View &view) {
  return reinterpret_cast<uintptr_t>(view.data) % 16 == 0 &&
         view.strides[view.rank - 1] == 1 &&
         std::all_of(view.strides, view.strides + view.rank - 1,
                     [](int64_t stride) { return stride % 8 == 0; });
}

Expected<bool> Launcher::decode(const program::AttentionT &command,
                                uint32_t layer) {
  const program::StateT &table = *program.states[command.state];
  View q = view(command.q), k = view(command.k), v = view(command.v);
  Elem elem = elemOf(table.dtype);
  int64_t width = q.dims[3], kv = q.dims[1], group = q.dims[2];
  if (!isSmall() || elem == Elem::F32 || q.elem != elem || k.elem != elem ||
      v.elem != elem || v.dims[2] != width ||
      (width != 64 && width != 128 && width != 256) || !inWholePieces(q) ||
      !inWholePieces(k) || !inWholePieces(v))
    return false;
  // Queries of a block, and the fewest keys of a part that are worth one.
  constexpr int64_t queries = 8, leastKeys = 64, mostParts = 32;
  constexpr int64_t blocksOfProcessor = 4;
  int64_t blocks = bound.rows * kv * ((group + queries - 1) / queries);
  int64_t wanted = blocksOfProcessor * session.gpu->facts().processors / blocks;
  int64_t parts =
      blocks * sizeof(int32_t) > session.arrived.size()
          ? 1
          : std::clamp<int64_t>(
                std::min(wanted, (longest + leastKeys - 1) / leastKeys), 1,
                mostParts);
  MBC_ASSIGN(std::byte * work,
             session.scratch(uint64_t(bound.rows) * kv * group * parts *
                             (width + 2) * sizeof(float)));
  DecodeArguments arguments{};
  arguments.q = q;
  arguments.out = view(command.out);
  arguments.k = k;
  arguments.v = v;
  auto state = static_cast<size_t>(command.state);
  arguments.keys = stateAt(state, 0, layer);
  arguments.values = stateAt(state, 1, layer);
  arguments.places = places();
  arguments.keySlot = table.widths[0];
  arguments.valueSlot = table.widths[1];
  arguments.keyHead = arguments.valueHead = width;
  arguments.kv = static_cast<int32_t>(kv);
  arguments.group = static_cast<int32_t>(group);
  arguments.causal = command.causal;
  arguments.window = static_cast<int32_t>(command.window);
  arguments.scale = static_cast<float>(command.scale);
  arguments.parts = static_cast<int32_t>(parts);
  arguments.partial = reinterpret_cast<float *>(work);
  arguments.arrived = reinterpret_cast<int32_t *>(session.arrived.data());
  MBC_TRY(session.kernels->launch(
      fmt::format("mbc_decode_{}_{}", elem == Elem::BF16 ? "bf16" : "f16",
                  width)
          .c_str(),
      {.x = bound.rows,
       .y = blocks / bound.rows,
       .z = parts,
       .threads = 128,
       .overlaps = true},
      arguments, Count{counts(), 0, 1, 1}));
  return true;
}

} // namespace mbc::cuda
