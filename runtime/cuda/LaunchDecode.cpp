//===- LaunchDecode.cpp ---------------------------------------------------===//

#include "runtime/cuda/Launcher.h"

#include <algorithm>
#include <fmt/format.h>
#include <optional>

namespace mbc::cuda {

namespace {

/// How a kernel's blocks are made: parts of a row's keys, and warps of a block.
struct Cut {
  int64_t parts, warps;
};

/// Queries of a block, and keys that a warp has at once.
constexpr int64_t blockQueries = 8, tileKeys = 16;

/// What a launch takes, in nanoseconds, as far as it depends on the cut.
/// Figures of an H100 that is not measured for it but estimated: a warp's round
/// of 16 keys, what it takes to put parts together, and bytes that a processor
/// has in a nanosecond, alone and as its share of the memory's.
double costOf(const Cut &cut, int64_t blocks, int64_t keys, int64_t width,
              int64_t processors) {
  constexpr double round = 800, together = 2500, alone = 40, share = 23;
  int64_t tiles = (keys + tileKeys - 1) / tileKeys;
  int64_t ofPart = (tiles + cut.parts - 1) / cut.parts;
  int64_t all = blocks * cut.parts;
  int64_t atOnce = (all + processors - 1) / processors;
  int64_t resident = cut.warps > 4 || width > 128 ? 1 : width > 64 ? 3 : 4;
  double rounds = double((ofPart + cut.warps - 1) / cut.warps) *
                  double((atOnce + resident - 1) / resident);
  double bytes = double(atOnce * ofPart * tileKeys * width * 4);
  double rate = std::min(alone, share * double(processors) /
                                    double(std::min(all, processors)));
  return std::max(rounds * round, bytes / rate) +
         (cut.parts > 1 ? together : 0);
}

Cut cutOf(int64_t blocks, int64_t keys, int64_t width, int64_t processors) {
  Cut best{1, 4};
  double least = costOf(best, blocks, keys, width, processors);
  for (int64_t warps : {4, 8})
    for (int64_t parts = 1; parts <= DecodeArguments::mostParts; ++parts) {
      // Wide blocks have a processor each.
      if (warps > 4 && (width > 128 || blocks * parts > processors))
        break;
      Cut cut{parts, warps};
      if (double cost = costOf(cut, blocks, keys, width, processors);
          cost < least) {
        least = cost;
        best = cut;
      }
    }
  return best;
}

} // namespace

Expected<bool> Launcher::decode(const program::AttentionT &command,
                                uint32_t layer, const HeadTurns *turns) {
  const program::StateT &table = *program.states[command.state];
  View q = view(turns ? turns->q : command.q),
       k = view(turns ? turns->k : command.k), v = view(command.v),
       out = view(command.out);
  Elem elem = elemOf(table.dtype);
  int64_t width = q.dims[3], kv = q.dims[1], group = q.dims[2];
  if (!isSmall() || elem == Elem::F32 || q.elem != elem || k.elem != elem ||
      v.elem != elem || v.dims[2] != width ||
      (width != 64 && width != 128 && width != 256) || !inWholePieces(q) ||
      !inWholePieces(k) || !inWholePieces(v))
    return false;
  std::optional<HeadTurn> turn;
  if (turns) {
    // Of a sequence all rows but those that others have at least.
    int64_t most = bound.rows - std::ssize(call.sequences) + 1;
    turn = headTurn(*turns, elem);
    if (!turn || most > DecodeArguments::mostOwn)
      return false;
  }
  int64_t blocks =
      bound.rows * kv * ((group + blockQueries - 1) / blockQueries);
  int64_t keys =
      command.window > 0 ? std::min<int64_t>(longest, command.window) : longest;
  Cut cut = session.decodeParts > 0
                ? Cut{session.decodeParts, 4}
                : cutOf(blocks, keys, width, session.gpu->facts().processors);
  if (blocks * sizeof(int32_t) > session.arrived.size())
    cut.parts = 1;
  MBC_ASSIGN(std::byte * work,
             session.scratch(uint64_t(bound.rows) * kv * group * cut.parts *
                             (width + 2) * sizeof(float)));
  DecodeArguments arguments{};
  arguments.q = q;
  arguments.out = out;
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
  arguments.parts = static_cast<int32_t>(cut.parts);
  arguments.outTogether =
      reinterpret_cast<uintptr_t>(out.data) % 4 == 0 &&
      std::all_of(out.strides, out.strides + out.rank - 1,
                  [](int64_t stride) { return stride % 2 == 0; });
  arguments.partial = reinterpret_cast<float *>(work);
  arguments.arrived = reinterpret_cast<int32_t *>(session.arrived.data());
  if (turn)
    arguments.turn = *turn;
  MBC_TRY(session.kernels->launch(
      fmt::format("mbc_{}decode{}_{}_{}", turns ? "turn_" : "",
                  cut.warps > 4 ? "_wide" : "",
                  elem == Elem::BF16 ? "bf16" : "f16", width)
          .c_str(),
      {.x = bound.rows,
       .y = blocks / bound.rows,
       .z = cut.parts,
       .threads = static_cast<unsigned>(32 * cut.warps),
       .overlaps = true},
      arguments, Count{counts(), 0, 1, 1}));
  session.attendedTurned += turns != nullptr;
  return true;
}

} // namespace mbc::cuda
